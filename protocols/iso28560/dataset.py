"""What the data sets of part 2 and of the user bank of part 4 say, as fields of `TagContent`, and back."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from protocols.iso28560.compaction import APPLICATION
from protocols.iso28560.content import TagContent
from protocols.iso28560.elements import CONTENT, OWNER, PII, SET_INFO, USAGE, Element, set_info, split_set_info
from protocols.iso28560.errors import LocalTagError

__all__ = ["NOTHING_SAID", "Said", "said_by", "values_of"]

_OCTETS = frozenset({19, 20})
"""Elements of octets (other media, stage of supply): hex in `TagContent`, compaction 0 on the tag."""
_ISILS = frozenset({11})


class Said(NamedTuple):
    """The fields of `TagContent` beside identifier and owner; a named tuple for speed, as `Element`."""

    usage: int | None = None
    parts: int = 1
    part: int = 1
    elements: tuple[tuple[int, str], ...] = ()
    own: tuple[tuple[str, str], ...] = ()
    divergences: tuple[str, ...] = ()


NOTHING_SAID = Said()
"""What no elements say."""


def said_by(elements: Iterable[Element]) -> Said:
    """Return what the elements say; set information that is no pair of numbers is the divergence `set-information`."""
    usage: int | None = None
    parts = part = 1
    kept: list[tuple[int, str]] = []
    own: list[tuple[str, str]] = []
    divergences: tuple[str, ...] = ()
    for oid, compaction, value, _, _ in elements:
        if oid <= OWNER or not isinstance(value, str):
            continue  # identifier, content parameter, owner
        octets = compaction == APPLICATION
        if oid == SET_INFO:
            found = split_set_info(value)
            if found is not None:
                parts, part = found
            else:
                divergences = ("set-information",)
                own.append(("octets_4" if octets else "set", value))
        elif oid == USAGE:
            usage = _usage(value)
            if not octets or usage is None or value != f"{usage:X}0":
                own.append(("usage" if octets else "text_5", value))
        elif oid in _ISILS or octets == (oid in _OCTETS):
            kept.append((oid, value))
        else:
            own.append((f"{'octets' if octets else 'text'}_{oid}", value))
    if usage is None and not kept and not own and parts == 1 == part:
        return NOTHING_SAID
    return Said(usage, parts, part, tuple(sorted(kept)), tuple(sorted(own)), divergences)


def _usage(octets: str) -> int | None:
    """Return the main category: the high nibble of the first octet of OID 5 (general knowledge; no vector holds it)."""
    return int(octets[0], 16) if octets and octets[0] in "0123456789ABCDEF" else None


def values_of(content: TagContent) -> tuple[dict[int, str], dict[int, int]]:
    """Return (values, forced compactions) by OID for all but identifier and owner; raises `LocalTagError`."""
    values: dict[int, str] = dict(content.elements)
    schemes = dict.fromkeys(_OCTETS & values.keys(), APPLICATION)
    if {PII, CONTENT, OWNER, SET_INFO, USAGE} & values.keys():
        raise LocalTagError("identifier, content parameter, owner, set and usage are no further elements")
    if (content.parts, content.part) != (1, 1):
        values[SET_INFO] = set_info(content.parts, content.part)
    if content.usage is not None:
        if not 0 <= content.usage <= 15:
            raise LocalTagError("a type of usage is 0..15")
        values[USAGE], schemes[USAGE] = f"{content.usage:X}0", APPLICATION
    _add_own(content.own, values, schemes)
    return values, schemes


def _add_own(own: Iterable[tuple[str, str]], values: dict[int, str], schemes: dict[int, int]) -> None:
    names: Mapping[str, str] = {"usage": f"octets_{USAGE}", "set": f"text_{SET_INFO}"}
    for name, value in own:
        kind, _, number = names.get(name, name).partition("_")
        oid = int(number) if number.isdigit() else 0
        if kind not in ("octets", "text") or oid <= OWNER:
            raise LocalTagError(f"ISO 28560-2 has no place for {name}")
        if oid == USAGE and values.get(USAGE, "")[:1] != ("" if _usage(value) is None else value[:1]):
            continue  # what was read said more of another usage than the one wanted now
        values[oid] = value
        schemes.pop(oid, None)
        if kind == "octets":
            schemes[oid] = APPLICATION
