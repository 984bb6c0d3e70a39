"""What a target is made of. Nothing here needs the fuzzer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

__all__ = ["Target", "chunks", "decoder", "in_chunks", "vectors"]

_DATA = Path(__file__).parents[1] / "data"
_CHUNK = 200

Value = TypeVar("Value")


def _no_seeds() -> list[bytes]:
    return [b"\x00", b"\x01" * 16]


@dataclass(frozen=True, slots=True)
class Target:
    """`run` takes bytes and raises where the code breaks a promise; fuzzing begins with `seeds`, and knows the `words`."""

    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]] = _no_seeds
    words: tuple[bytes, ...] = ()


def decoder(
    decode: Callable[[bytes], Value],
    errors: tuple[type[Exception], ...],
    encode: Callable[[Value], bytes] | None = None,
    seeds: Callable[[], list[bytes]] = _no_seeds,
) -> Target:
    """A target in one line: `decode` raises nothing but `errors`, and what `encode` writes of a value decodes to the same."""

    def run(data: bytes) -> None:
        try:
            value = decode(data)
        except errors:
            return
        if encode is not None:
            try:
                written = encode(value)
            except errors:
                return
            assert decode(written) == value, "what was written is read as something else"

    return Target(run, seeds)


def chunks(data: bytes) -> Iterator[bytes]:
    """A byte says how long the next chunk is, and the chunk follows."""
    at = 0
    while at < len(data):
        size = data[at]
        yield data[at + 1 : at + 1 + size]
        at += 1 + size


def in_chunks(data: bytes) -> bytes:
    """The shape that `chunks` reads."""
    pieces = [data[at : at + _CHUNK] for at in range(0, len(data), _CHUNK)]
    return b"".join(bytes([len(piece)]) + piece for piece in pieces)


def vectors(name: str) -> list[dict[str, Any]]:
    """The vectors of `tests/data/<name>.jsonl`."""
    return [json.loads(line) for line in (_DATA / f"{name}.jsonl").read_text("utf-8").splitlines()]
