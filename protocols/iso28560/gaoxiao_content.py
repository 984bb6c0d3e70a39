"""A university tag as `TagContent` and back: its elements by the numbers of ISO 28560-1, and what only it can say by name."""

from collections.abc import Mapping
from dataclasses import dataclass

from protocols.iso28560 import gaoxiao
from protocols.iso28560.content import DISCARDED, EQUIPMENT, READER_CARD, TagContent
from protocols.iso28560.elements import octets
from protocols.iso28560.errors import LocalTagError, TagError

__all__ = ["bank_of", "content_of"]

_ELEMENTS = (6, 11, 12, 14, 24)
"""Elements with the same number here and in ISO 28560-1: location, the two of inter-library loan, alternative id, branch."""
_GS1, _ISBN = 13, 26
_MEDIA, _DISC = 19, "02"
_NAMES = {15: "temporary_location", 16: "subject", _ISBN: "isbn"}
_STATES = {0: 1, 1: 2, 2: DISCARDED, 3: 0}
"""Usage of ISO 28560-1 by the state of a document or disc: lendable, not, discarded, in process."""
_CATEGORIES = {3: READER_CARD, 4: EQUIPMENT}
_SHELF_LABEL = 2
_DEFAULT_SORT, _DEFAULT_VERSION = 1, 5
_HIGHEST_SORT = 15


@dataclass(slots=True)
class _Bank:
    """What is gathered from a user bank."""

    owner: str
    usage: int | None
    parts: int
    part: int
    shelf_label: bool
    elements: dict[int, str]
    own: dict[str, str]
    divergences: list[str]


def content_of(tag: gaoxiao.UniversityTag, user: bytes, tid: str | None = None) -> TagContent:
    """Return what the EPC and as much of the user bank as was read say.

    Raises `TagError` where the content parameter lists elements and the bank is of another format: then it is no university tag.
    Divergences: `user-bank-cut`, `user-bank` (no element is listed, and something is there), `content-parameter-order` (low byte
    first), `content-parameter` (neither order agrees with the bank), `sort-code` (over 15), `element-text`, `set-information`.
    """
    bank = _Bank("", None, 1, 1, False, {}, {}, [])
    pii, _, sort, _, version, _ = tag
    if sort > _HIGHEST_SORT:
        bank.divergences.append("sort-code")
    if sort != _DEFAULT_SORT:
        bank.own["sort"] = str(sort)
    if version != _DEFAULT_VERSION:
        bank.own["version"] = str(version)
    for oid, value in _stored(tag, user, bank.divergences):
        if value:
            _take(bank, oid, value)
    return TagContent(
        "gaoxiao",
        pii,
        bank.owner,
        bank.usage,
        bank.parts,
        bank.part,
        tuple(dict.fromkeys(bank.divergences)) if bank.divergences else (),
        None,
        tid,
        tuple(sorted(bank.elements.items())),
        tuple(sorted(bank.own.items())),
        bank.shelf_label,
    )


def _stored(tag: gaoxiao.UniversityTag, user: bytes, divergences: list[str]) -> tuple[tuple[int, bytes], ...]:
    if not user.strip(b"\x00"):
        return ()
    try:
        found, whole = gaoxiao.read_user_bank(user)
    except TagError:
        if tag.content:
            raise
        divergences.append("user-bank")
        return ()
    if not whole:
        divergences.append("user-bank-cut")
        return found
    there = gaoxiao.content_bits([oid for oid, _ in found])
    if there != tag.content:
        divergences.append("content-parameter-order" if there == tag.swapped else "content-parameter")
    return found


def _take(bank: _Bank, oid: int, value: bytes) -> None:
    try:
        if oid == gaoxiao.OWNER:
            bank.owner = gaoxiao.decode_owner(value)
            return
        if oid == gaoxiao.SET_INFO:
            part, _, parts = gaoxiao.decode_set_info(value).partition("/")
            if int(part) > int(parts):
                raise TagError("this part is beyond the number of parts")
            bank.parts, bank.part = int(parts), int(part)
            return
        if oid == gaoxiao.USAGE:
            _take_usage(bank, value)
            return
    except TagError:
        bank.divergences.append(f"element-{oid}")
        return
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = "\x00"
    if oid not in _ELEMENTS and oid not in _NAMES:
        bank.own[f"oid_{oid}"] = value.hex().upper()
    elif not text.isprintable():
        bank.divergences.append("element-text")
    elif oid in _ELEMENTS:
        bank.elements[oid] = text
    elif oid == _ISBN and _is_gs1(text):
        bank.elements[_GS1] = text
    else:
        bank.own[_NAMES[oid]] = text


def _is_gs1(text: str) -> bool:
    return len(text) == 13 and text.isascii() and text.isdigit()


def _take_usage(bank: _Bank, value: bytes) -> None:
    if len(value) != 2:
        raise TagError("the type of usage has two bytes")
    category, state = value
    if category <= 1 and state in _STATES:
        bank.usage = _STATES[state]
        if category:
            bank.elements[_MEDIA] = _DISC
        return
    bank.usage = _CATEGORIES.get(category)
    bank.shelf_label = category == _SHELF_LABEL
    if state or category not in (_SHELF_LABEL, *_CATEGORIES):
        bank.own["category"], bank.own["state"] = str(category), str(state)


def bank_of(content: TagContent) -> tuple[tuple[int, bytes], ...]:
    """Return the (OID, data) pairs of the user bank for `content`, ascending; raises `LocalTagError` for what it cannot say."""
    pairs: dict[int, bytes] = {}
    own = dict(content.own)
    elements = dict(content.elements)
    if content.owner:
        pairs[gaoxiao.OWNER] = gaoxiao.encode_owner(content.owner)
    if (content.parts, content.part) != (1, 1):
        pairs[gaoxiao.SET_INFO] = gaoxiao.encode_set_info(f"{content.part}/{content.parts}")
    usage = _usage(content, own, disc=elements.pop(_MEDIA, ""))
    if usage:
        pairs[gaoxiao.USAGE] = gaoxiao.encode_usage(usage)
    for oid in _ELEMENTS:
        if oid in elements:
            pairs[oid] = _text(elements.pop(oid))
    if _GS1 in elements and _is_gs1(elements[_GS1]):
        pairs[_ISBN] = _text(elements.pop(_GS1))
    for oid, name in _NAMES.items():
        if name in own:
            pairs[oid] = _text(own.pop(name))
    own.pop("sort", None)
    own.pop("version", None)
    for name, value in own.items():
        number = name.removeprefix("oid_")
        if number == name or not number.isdigit() or int(number) not in gaoxiao.CONTENT_OIDS:
            raise LocalTagError(f"the university format has no place for {name}")
        pairs[int(number)] = octets(value)
    if elements:
        raise LocalTagError("the university format has no place for one of these elements")
    return tuple(sorted(pairs.items()))


def _text(value: str) -> bytes:
    if not value or not value.isprintable():
        raise LocalTagError("an element of the university format is printable text")
    return value.encode()


def _usage(content: TagContent, own: dict[str, str], disc: str) -> str:
    """The type of usage as `category.state`, or empty where the content has none."""
    states: Mapping[int | None, int] = {usage: state for state, usage in _STATES.items()}
    categories = {usage: category for category, usage in _CATEGORIES.items()}
    category, state = own.pop("category", ""), own.pop("state", "0")
    if content.usage in states:
        if disc not in ("", _DISC):
            raise LocalTagError("the university format knows documents and discs")
        return f"{1 if disc else 0}.{states[content.usage]}"
    if disc:
        raise LocalTagError("the university format says what is a disc with its usage")
    if content.shelf_label and content.usage is None:
        return f"{_SHELF_LABEL}.{state}"
    if content.usage in categories:
        return f"{categories[content.usage]}.{state}"
    if content.usage is not None or content.shelf_label:
        raise LocalTagError("the university format has no such type of usage")
    return f"{category}.{state}" if category else ""
