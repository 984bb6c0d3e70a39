"""Hex in, one line of JSON or text out: what `tongjie tag` and `tongjie frame` share."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = ["Describe", "Refusal", "describe_all"]

Describe = Callable[[bytes], Mapping[str, object]]

MAX_LINE = 131_072
"""Longest line read from stdin in bytes: an advanced FEIG frame of the greatest length, in hex."""


class Refusal(ValueError):
    """One input does not decode; `fields` begin with `error` and `message`."""

    def __init__(self, code: str, message: str, fields: Mapping[str, object]) -> None:
        super().__init__(message)
        self.fields: Mapping[str, object] = {"error": code, "message": message, **fields}


def describe_all(words: Iterable[str] | None, describe: Describe, *, as_json: bool) -> bool:
    """Print one line for each hex word (None: for each line of stdin); return whether every one decoded."""
    sound = True
    for word in _stdin() if words is None else words:
        try:
            facts = describe(_bytes(word))
        except Refusal as refusal:
            facts = refusal.fields
            sound = False
        print(json.dumps(facts, ensure_ascii=False) if as_json else _text(facts), flush=True)
    return sound


def _stdin() -> Iterator[str]:
    """Yield the lines that hold something; one that is too long is read to its end and refused as a whole."""
    while line := sys.stdin.buffer.readline(MAX_LINE):
        if len(line) == MAX_LINE and not line.endswith(b"\n"):
            while (rest := sys.stdin.buffer.readline(MAX_LINE)) and not rest.endswith(b"\n"):
                pass
            line = b"(too long)"
        if line.strip():
            yield line.decode("ascii", "replace")


def _bytes(word: str) -> bytes:
    try:
        data = bytes.fromhex(word)
    except ValueError:
        data = b""
    if not data or len(word) > MAX_LINE:
        raise Refusal("bad-hex", "this is not an even number of hex digits", {})
    return data


def _text(facts: Mapping[str, object]) -> str:
    return "  ".join(f"{name}={value}" for name, value in facts.items())
