"""Frames of the RFID readers: noise in any pieces, sound frames of any content, and both directions of their commands."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from protocols import feig, mmm
from protocols.feig import gate
from protocols.feig.describe import describe as describe_feig
from protocols.frames import FrameError, LocalFrameError
from protocols.mmm.describe import describe as describe_mmm
from protocols.uhf import cf, m100, swct, uhfreader18
from protocols.uhf import replies as uhf_replies
from protocols.uhf import requests as uhf_requests
from protocols.uhf import target as uhf_target
from protocols.uhf.status import BadRequest, StatusError
from tests.fuzz.target import Target, chunks, in_chunks, vectors

__all__ = ["TARGETS", "Family"]

_UHF: tuple[uhf_target.Family, ...] = ("18", "288")
_SOUND = 1
"""Bit of the first byte: what follows is the content of one sound frame, not noise on the line."""


def _nothing(frame: Any) -> None:
    """A family without codecs above its frame."""


@dataclass(frozen=True, slots=True)
class Family:
    """A family of frames: `make` shapes any bytes into a frame, `flat` is its inverse; `deep` asks the codecs above the frame."""

    framer: Callable[[], Any]
    read: Callable[[bytes], Any]
    make: Callable[[bytes], Any]
    flat: Callable[[Any], bytes]
    describe: Callable[[bytes, Any], object]
    deep: Callable[[Any], None] = _nothing
    unchecked: int = 0
    """Bytes at the front that the check value does not cover."""

    def run(self, data: bytes) -> None:
        """The first byte chooses noise or a sound frame."""
        if data and data[0] & _SOUND:
            self._sound(data[1:])
        else:
            self._noise(list(chunks(data[1:])))

    def _noise(self, pieces: list[bytes]) -> None:
        found, skipped, bad = self._framed(pieces)
        assert (found, skipped, bad) == self._framed([b"".join(pieces)]), "other pieces gave other frames"
        taken = 0
        for frame in found:
            raw = frame.to_bytes()
            taken += len(raw)
            assert self.read(raw) == frame
            self._told(raw, frame)
        assert taken + skipped == sum(map(len, pieces)), "bytes were lost or counted twice"

    def _framed(self, pieces: list[bytes]) -> tuple[list[Any], int, int]:
        framer = self.framer()
        found = [frame for piece in pieces for frame in framer.receive(piece)]
        found += framer.idle()
        assert framer.pending == 0
        return found, framer.skipped, framer.bad_checks

    def _sound(self, data: bytes) -> None:
        where, kind, content = (data[0], data[1], data[2:]) if len(data) > 1 else (0, 1, b"")
        try:
            frame = self.make(content)
            raw = frame.to_bytes()
        except LocalFrameError:
            return
        assert self.read(raw) == frame
        assert self.framer().receive(raw) == [frame]
        broken = bytearray(raw)
        broken[self.unchecked + where % (len(raw) - self.unchecked)] ^= kind or 1
        try:
            self.read(bytes(broken))
        except FrameError:
            pass
        else:
            raise AssertionError("a frame with one wrong byte was taken")
        self._told(raw, frame)

    def _told(self, raw: bytes, frame: Any) -> None:
        for source in (None, "host", "device"):
            with suppress(FrameError):
                self.describe(raw, source)
        self.deep(frame)


def _halves(body: bytes) -> tuple[bytes, bytes]:
    """A byte says how long the request is, the reply follows."""
    size = body[0] if body else 0
    return body[1 : 1 + size], body[1 + size :]


def _settles(reply: Any, again: Callable[[Any], Any]) -> None:
    """Devices are read tolerantly, so writing may drop what they added; what was written once is read as the same for ever."""
    once = again(reply)
    assert again(once) == once, "what was written is read as something else"


def _feig(frame: feig.Frame) -> None:
    with suppress(FrameError, LocalFrameError):
        asked = feig.decode_request(frame)
        wire = feig.encode_request(frame.address, asked, frame.form)
        assert feig.decode_request(feig.Frame.from_bytes(wire)) == asked
    with suppress(FrameError):
        gate.decode_counter(frame.body)
    with suppress(FrameError):
        gate.decode_records(frame.data)
    first, second = _halves(frame.body)
    with suppress(FrameError, LocalFrameError, feig.StatusError):
        request = feig.decode_request(feig.Frame(frame.address, frame.command, first, frame.form))
        reply = feig.decode_reply(request, feig.Frame(frame.address, frame.command, second, frame.form))

        def again(reply: Any) -> Any:
            wire = feig.encode_reply(frame.address, request, reply, frame.form)
            return feig.decode_reply(request, feig.Frame.from_bytes(wire))

        _settles(reply, again)


def _mmm(frame: mmm.Frame) -> None:
    with suppress(FrameError, LocalFrameError):
        asked = mmm.decode_request(frame)
        assert mmm.decode_request(mmm.Frame.from_bytes(mmm.encode_request(asked))) == asked
    first, second = _halves(frame.body)
    with suppress(FrameError, LocalFrameError, mmm.MmmError):
        head = frame.payload[:1]
        request = mmm.decode_request(mmm.Frame(head + first, frame.start))
        reply = mmm.decode_reply(request, mmm.Frame(head + second, frame.start))
        _settles(reply, lambda reply: mmm.decode_reply(request, mmm.Frame.from_bytes(mmm.encode_reply(request, reply))))


def _uhfreader18(frame: uhfreader18.Frame) -> None:
    for family in _UHF:
        with suppress(FrameError, LocalFrameError, BadRequest):
            asked = uhf_requests.decode_request(frame, family)
            wire = uhf_requests.encode_request(frame.address, asked)
            assert uhf_requests.decode_request(uhfreader18.Frame.from_bytes(wire), family) == asked
        with suppress(FrameError, LocalFrameError, BadRequest, StatusError):
            _uhf_reply(frame, family)
    for modern in (True, False):
        with suppress(FrameError):
            uhfreader18.decode_report(frame.body, modern=modern)


def _uhf_reply(frame: uhfreader18.Frame, family: uhf_target.Family) -> None:
    first, second = _halves(frame.body)
    request = uhf_requests.decode_request(uhfreader18.Frame(frame.address, frame.command, first), family)
    answer = uhfreader18.Frame(frame.address, frame.command, second)

    def again(reply: Any) -> Any:
        wire = uhf_replies.encode_reply(frame.address, request, reply, family)
        return uhf_replies.decode_reply(request, uhfreader18.Frame.from_bytes(wire), family)

    _settles(uhf_replies.decode_reply(request, answer, family), again)


def _m100(frame: m100.Frame) -> None:
    with suppress(FrameError):
        m100.decode_notice(frame.data)


def _first(data: bytes, count: int) -> bytes:
    return data[:count].ljust(count, b"\x00")


_FORMS: tuple[feig.Form, feig.Form] = ("standard", "advanced")
_FAMILIES: dict[str, Family] = {
    "feig": Family(
        feig.Framer,
        feig.Frame.from_bytes,
        lambda data: feig.Frame(*_first(data[1:], 2), data[3:], _FORMS[_first(data, 1)[0] & 1]),
        lambda frame: bytes((_FORMS.index(frame.form), frame.address, frame.command)) + frame.body,
        describe_feig,
        _feig,
    ),
    "3m": Family(
        mmm.Framer,
        mmm.Frame.from_bytes,
        lambda data: mmm.Frame(data[1:] or b"\xfe", mmm.START - (_first(data, 1)[0] & 1)),
        lambda frame: bytes((mmm.START - frame.start,)) + frame.payload,
        describe_mmm,
        _mmm,
        unchecked=1,
    ),
    "uhfreader18": Family(
        uhfreader18.Framer,
        uhfreader18.Frame.from_bytes,
        lambda data: uhfreader18.Frame(*_first(data, 2), data[2:]),
        lambda frame: bytes((frame.address, frame.command)) + frame.body,
        uhfreader18.describe,
        _uhfreader18,
    ),
    "m100": Family(
        m100.Framer,
        m100.Frame.from_bytes,
        lambda data: m100.Frame(*_first(data, 2), data[2:]),
        lambda frame: bytes((frame.type, frame.command)) + frame.data,
        m100.describe,
        _m100,
    ),
    "cf": Family(
        cf.Framer,
        cf.Frame.from_bytes,
        lambda data: cf.Frame(_first(data, 1)[0], int.from_bytes(_first(data[1:], 2), "big"), data[3:]),
        lambda frame: bytes((frame.address,)) + frame.command.to_bytes(2, "big") + frame.body,
        cf.describe,
    ),
    "swct": Family(
        swct.Framer,
        swct.Frame.from_bytes,
        lambda data: swct.Frame("device" if _first(data, 1)[0] & 1 else "host", *_first(data[1:], 2), data[3:]),
        lambda frame: bytes((frame.source == "device", frame.address, frame.command)) + frame.body,
        swct.describe,
    ),
}


def _seeds(kind: str, family: Family) -> Callable[[], list[bytes]]:
    def seeds() -> list[bytes]:
        found = []
        for vector in vectors("frames"):
            if vector["kind"] != kind or "hex" not in vector:
                continue
            raw = bytes.fromhex(vector["hex"])
            found.append(b"\x00" + in_chunks(raw))
            with suppress(FrameError):
                frame = family.read(raw)
                found.append(b"\x01\x00\x01" + family.flat(frame))
        return found

    return seeds


TARGETS = {f"frames_{kind}": Target(family.run, _seeds(kind, family)) for kind, family in _FAMILIES.items()}
"""By name."""
