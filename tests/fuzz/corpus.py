"""The committed corpus: one file a target, an input a line in hex.

Its first inputs come from the vectors. What is kept is minimised: shortest inputs first, each takes a step from line to
line of the SIP2 code, or ends, as none before it.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType

from protocols.sip2 import guess_encoding, seal
from tests.fuzz.targets import ENCODINGS

__all__ = ["FOLDER", "inputs", "keep", "minimised", "seeds"]

FOLDER = Path(__file__).parent / "corpus"
_VECTORS = Path(__file__).parents[1] / "data" / "sip2.jsonl"
_CHUNK = 200


def inputs(target: str) -> list[bytes]:
    """The corpus of a target."""
    return [bytes.fromhex(line) for line in (FOLDER / f"{target}.hex").read_text("ascii").split()]


def keep(target: str, found: list[bytes]) -> None:
    """Write the corpus of a target, shortest first."""
    FOLDER.mkdir(exist_ok=True)
    lines = [one.hex() for one in sorted(set(found), key=lambda one: (len(one), one)) if one]
    (FOLDER / f"{target}.hex").write_text("".join(f"{line}\n" for line in lines), "ascii")


def minimised(run: Callable[[bytes], None], found: Iterable[bytes]) -> list[bytes]:
    """Those inputs that take new ways through the code, shortest first."""
    kept: list[bytes] = []
    ways: set[tuple[str, int, int]] = set()
    for one in sorted(set(found), key=lambda one: (len(one), one)):
        new = _ways(run, one) - ways
        if new:
            ways |= new
            kept.append(one)
    return kept


def _ways(run: Callable[[bytes], None], one: bytes) -> set[tuple[str, int, int]]:
    """The steps (file, line before, line) in protocols.sip2 that an input takes, and where it makes them often."""
    steps: Counter[tuple[str, int, int]] = Counter()

    def follow(frame: FrameType, event: str, argument: object) -> Callable[..., object] | None:
        name = frame.f_code.co_filename
        if "sip2" not in name or "tests" in name:
            return None
        before = frame.f_lineno

        def step(frame: FrameType, event: str, argument: object) -> Callable[..., object]:
            nonlocal before
            steps[name, before, frame.f_lineno] += 1
            before = frame.f_lineno
            return step

        return step

    sys.settrace(follow)
    try:
        run(one)
    finally:
        sys.settrace(None)
    # Once, twice, a few and many times are different ways, as libFuzzer counts them.
    return {(f"{name} {min(times.bit_length(), 4)}", first, then) for (name, first, then), times in steps.items()}


def _frames() -> list[bytes]:
    frames = []
    for line in _VECTORS.read_text("utf-8").splitlines():
        vector = json.loads(line)
        if "chunks" in vector:
            frames.append(b"".join(map(bytes.fromhex, vector["chunks"])))
        else:
            frames.append(bytes.fromhex(vector["hex"]) if "hex" in vector else vector["text"].encode())
    return frames


def _in_chunks(data: bytes) -> bytes:
    pieces = [data[at : at + _CHUNK] for at in range(0, len(data), _CHUNK)]
    return b"".join(bytes([len(piece)]) + piece for piece in pieces)


def seeds(target: str) -> list[bytes]:
    """What fuzzing begins with: every vector, in the shape that the target takes."""
    frames = _frames()
    if target == "codec":
        return [bytes([_choice(frame)]) + frame for frame in frames]
    if target == "server":
        login = seal(b"9300CNkiosk1|COsecret|", "0") + b"\r"
        return [b"\x01" + _in_chunks(login + frame + b"\r" + frame + b"\r\n97AZFEF5\r") for frame in frames]
    return [bytes([number % 256]) + _in_chunks(frame + b"\r") for number, frame in enumerate(frames)]


def _choice(frame: bytes) -> int:
    name = guess_encoding(frame)
    return ENCODINGS.index(name) if name in ENCODINGS else 0
