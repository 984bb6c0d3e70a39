"""What drivers tell and what they are told: the frozen types of every device, without a line of I/O.

Events go up (`DeviceEvent`), commands go down (`Command`), and what came of a write to a tag comes back as `SecurityWrite`
or `TagWrite`. ``t_mono_ns`` is always the monotonic clock at the arrival of the bytes that made the event.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

State: TypeAlias = Literal["online", "degraded", "offline"]
Fact: TypeAlias = str | int
Direction: TypeAlias = Literal["IN", "OUT", ""]

# --- events ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CardRead:
    """A cardreader read a card.

    ``reader_no`` is the cardreader's index at the device (OSDP: 0, 1). ``direction`` is "IN", "OUT" or "" (not known).
    ``format`` is "raw" (bytes of a chip or number), "wiegand" (``bits`` with parity as they came) or "ascii" (digits as text);
    ``bits`` counts the meaningful bits of ``raw``, the card bytes exactly as the cardreader sent them. ``medium`` is what the
    cardreader could tell of the chip: "" (nothing), MF_CLASSIC, MF_ULTRALIGHT, MF_PLUS, DESFIRE, CPU (ISO 14443-4, not told
    further), ISO15693, FELICA or QR. ``raw`` stays out of ``repr``.
    """

    device: str
    reader_no: int
    direction: str
    format: str
    bits: int
    raw: bytes = field(repr=False)
    t_mono_ns: int
    medium: str = ""


@dataclass(frozen=True, slots=True)
class CodeScanned:
    """A barcode or QR scanner read ``text`` (at most 512 characters, terminator removed); it stays out of ``repr``."""

    device: str
    text: str = field(repr=False)
    t_mono_ns: int


@dataclass(frozen=True, slots=True)
class DeviceState:
    """The device went online, degraded or offline, or a fact about it changed; ``reason_code`` is "OK" when online."""

    device: str
    state: State
    reason_code: str
    facts: Mapping[str, Fact]


@dataclass(frozen=True, slots=True)
class PadTag:
    """One tag on a pad or in a security gate.

    HF (ISO 15693): ``uid`` is 16 upper-case hex digits from E0, ``dsfid`` 0..255, ``afi`` 0..255 or None where it could not be
    read, ``data`` the user blocks in address order, ``block_size`` bytes each. UHF (Gen2, ``tech`` "UHF"): ``uid`` is the TID in
    hex where it was read, else `protocols.iso28560.uhf.identity` of PC and EPC, which a change of the security state does not
    change; ``pc`` and ``epc`` are the EPC bank after its CRC, ``data`` is the user bank as far as read, ``afi`` that of the PC
    where its T bit is set, ``dsfid`` 0. ``eas`` is the chip's own security bit, None where it is not known. ``secured`` is what a
    security gate of this site would make of the tag (True: it alarms), None where the tag says neither.
    """

    uid: str
    dsfid: int
    afi: int | None
    data: bytes
    block_size: int
    tech: Literal["HF", "UHF"] = "HF"
    eas: bool | None = None
    pc: int | None = None
    epc: bytes = b""
    secured: bool | None = None


@dataclass(frozen=True, slots=True)
class TagsOnPad:
    """The stable set of tags on a pad after a change; empty when the last one was lifted."""

    device: str
    tags: tuple[PadTag, ...]


@dataclass(frozen=True, slots=True)
class TagPassed:
    """A tag was carried through a security gate; ``alarmed`` says whether the device sounded, None where it does not tell.

    ``antenna`` counts from 1, 0 = not told. One passing is told once, however often the antennas saw the tag.
    """

    device: str
    tag: PadTag
    antenna: int
    alarmed: bool | None
    t_mono_ns: int


@dataclass(frozen=True, slots=True)
class PeopleCounted:
    """A people counter moved: ``came`` and ``left`` since the last event (never negative), and the counter's own totals.

    ``reset`` is True where the counter itself started anew (power, overflow, `ResetCounter`), so that the totals jumped.
    """

    device: str
    came: int
    left: int
    total_in: int
    total_out: int
    reset: bool
    t_mono_ns: int


@dataclass(frozen=True, slots=True)
class Passage:
    """Somebody really went through (light barrier, turnstile contact, controller's report); "" where the way is not told."""

    device: str
    direction: Direction
    t_mono_ns: int


@dataclass(frozen=True, slots=True)
class InputChanged:
    """An input contact of a device changed; its state at start is told once. ``input_no`` counts from 0."""

    device: str
    input_no: int
    active: bool
    t_mono_ns: int


@dataclass(frozen=True, slots=True)
class DoorAlarm:
    """A door says something is wrong: FORCED_OPEN, HELD_OPEN, FIRE, PASSED_TWICE or DEVICE (with the device's own ``detail``)."""

    device: str
    code: str
    detail: str
    t_mono_ns: int


@dataclass(frozen=True, slots=True)
class Tamper:
    """A device's tamper switch; its state at start is always told once."""

    device: str
    active: bool


DeviceEvent: TypeAlias = (
    CardRead
    | CodeScanned
    | DeviceState
    | DoorAlarm
    | InputChanged
    | Passage
    | PeopleCounted
    | TagPassed
    | TagsOnPad
    | Tamper
)

# --- commands ----------------------------------------------------------------------------------------------------------


class BadCommand(ValueError):
    """A command that no device could take; ``code`` is BAD_OPEN_TIME, BAD_OUTPUT, BAD_SIGNAL or BAD_RECEIPT."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class OpenGate:
    """Open the gate for ``seconds_tenths`` tenths of a second, 1..65535 (OSDP counts 100 ms), for somebody going that way."""

    seconds_tenths: int
    direction: Direction = "IN"

    def __post_init__(self) -> None:
        if not 1 <= self.seconds_tenths <= 0xFFFF:
            raise BadCommand("BAD_OPEN_TIME", "a gate opens for 1 to 65535 tenths of a second")


@dataclass(frozen=True, slots=True)
class ShowDenied:
    """Show and sound a refusal at cardreader ``reader_no`` of the device."""

    reader_no: int = 0


@dataclass(frozen=True, slots=True)
class Signal:
    """Light and buzzer of cardreader ``reader_no``: a colour for ``tenths`` of a second (1..255) and 0..9 beeps."""

    colour: Literal["green", "red", "amber", "blue", "off"]
    tenths: int = 10
    beeps: int = 0
    reader_no: int = 0

    def __post_init__(self) -> None:
        if not (1 <= self.tenths <= 255 and 0 <= self.beeps <= 9):
            raise BadCommand("BAD_SIGNAL", "a signal lasts 1 to 255 tenths of a second and beeps 0 to 9 times")


@dataclass(frozen=True, slots=True)
class SetOutput:
    """Switch output ``output_no`` (from 0) on or off, for ``tenths`` of a second and back, or for good (0).

    The contact itself: on is energised, whatever is wired to it. Only `OpenGate` and `ShowDenied` know an output that is
    energised at rest (``active_low``), so switching such a one off opens what hangs on it.
    """

    output_no: int
    on: bool
    tenths: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.output_no <= 255 and 0 <= self.tenths <= 0xFFFF):
            raise BadCommand("BAD_OUTPUT", "an output is 0 to 255, its time 0 to 65535 tenths of a second")


@dataclass(frozen=True, slots=True)
class SetAlarm:
    """Let a security gate sound for secured tags, or be silent."""

    on: bool


@dataclass(frozen=True, slots=True)
class ResetCounter:
    """Set a people counter to zero."""


Command: TypeAlias = OpenGate | ShowDenied | Signal | SetOutput | SetAlarm | ResetCounter

# --- what came of a write ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Security:
    """A tag's security state as it stands on the tag; None = could not be read, or the tag has no such thing.

    ``afi`` 0..255 (HF), ``eas`` the chip's bit (HF), ``epc`` the PC word and EPC as upper-case hex (UHF): whatever `Pad.restore`
    needs to put back exactly what was there.
    """

    afi: int | None = None
    eas: bool | None = None
    epc: str | None = None


@dataclass(frozen=True, slots=True)
class SecurityWrite:
    """What came of switching a tag's security.

    ``ok`` only when everything the tag has was read back as wanted. ``before`` and ``after`` are read from the tag. ``failed`` names
    the parts that did not take it, of "AFI", "EAS", "EPC". ``reason`` is "" or one of NO_TAG, WRITE_ERROR, LOCKED, NOT_VERIFIED,
    OFFLINE.
    """

    uid: str
    before: Security
    after: Security
    ok: bool
    reason: str = ""
    failed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TagWrite:
    """What came of writing a whole tag: ``ok`` only when all of it was read back; ``reason`` as in `SecurityWrite`, or TOO_SMALL."""

    uid: str
    ok: bool
    reason: str = ""
