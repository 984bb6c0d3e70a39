"""The extension blocks of ISO 28560-3 by the elements in them.

1 library: a byte of media (0 undefined, 1 book, 2 CD/DVD, 3 tape, 4 other, 5 careful, 6 small), alternative item, alternative owner;
2 acquisition; 3 library supplement; 4 title; 5 inter-library loan. The strings are UTF-8, separated by 00, empty ones at the end left
out. Vectors hold blocks 1, 3 (its first string), 4 and 5; the order of the other strings is general knowledge.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from protocols.iso28560.elements import octets
from protocols.iso28560.errors import LocalTagError
from protocols.iso28560.part3 import Extension

__all__ = ["EXTENSION_OIDS", "MEDIA", "extensions_of", "read_extensions"]

MEDIA = 19
"""The element (media format, other) that the first byte of the library block is; its value here is two hex digits."""

_LIBRARY = 1
_STRINGS: Mapping[int, tuple[int, ...]] = {
    _LIBRARY: (22, 23),
    2: (9, 18, 10, 21),
    3: (6, 8, 7, 24),
    4: (17,),
    5: (11, 12, 25),
}
EXTENSION_OIDS = frozenset({MEDIA}.union(*_STRINGS.values()))
"""The elements that an extension block has a place for."""


def read_extensions(
    extensions: Sequence[Extension],
) -> tuple[tuple[tuple[int, str], ...], tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Return (elements, blocks of an unknown kind, divergences) of the blocks of a tag.

    A block of an unknown id is kept as (`block_<id>`, hex). Divergences: `extension-repeated` (the first of a kind counts),
    `extension-text` (a string is not printable UTF-8 and left out), `extension-fields` (more strings than the block has).
    """
    elements: dict[int, str] = {}
    own: dict[str, str] = {}
    divergences: dict[str, None] = {}
    seen: set[int] = set()
    for extension in extensions:
        if extension.id in seen:
            divergences["extension-repeated"] = None
            continue
        seen.add(extension.id)
        if extension.id not in _STRINGS:
            own[f"block_{extension.id}"] = extension.payload.hex().upper()
            continue
        elements.update(_fields(extension, divergences))
    return tuple(sorted(elements.items())), tuple(sorted(own.items())), tuple(divergences)


def _fields(extension: Extension, divergences: dict[str, None]) -> Iterator[tuple[int, str]]:
    oids, payload = _STRINGS[extension.id], extension.payload
    if extension.id == _LIBRARY and payload:
        if payload[0]:
            yield MEDIA, f"{payload[0]:02X}"
        payload = payload[1:]
    strings = payload.split(b"\x00")
    if any(strings[len(oids) :]):
        divergences["extension-fields"] = None
    for oid, string in zip(oids, strings, strict=False):
        try:
            text = string.decode()
        except UnicodeDecodeError:
            text = "\x00"
        if text and text.isprintable():
            yield oid, text
        elif text:
            divergences["extension-text"] = None


def extensions_of(elements: Iterable[tuple[int, str]], own: Iterable[tuple[str, str]] = ()) -> tuple[Extension, ...]:
    """Return the blocks that hold `elements` (those of `EXTENSION_OIDS`) and the `block_<id>` facts in `own`, by id.

    Raises `LocalTagError` for an element without a place, or text that a block cannot hold.
    """
    values = dict(elements)
    if not values.keys() <= EXTENSION_OIDS:
        raise LocalTagError("an element has no place in the extension blocks of ISO 28560-3")
    found = [Extension(number, _payload(number, oids, values)) for number, oids in _STRINGS.items()]
    found = [extension for extension in found if extension.payload]
    return tuple(found) + tuple(_unknown(name, value) for name, value in own)


def _unknown(name: str, value: str) -> Extension:
    number = name.removeprefix("block_")
    if number == name or not number.isdigit() or int(number) in _STRINGS:
        raise LocalTagError(f"ISO 28560-3 has no place for {name}")
    return Extension(int(number), octets(value))


def _payload(number: int, oids: tuple[int, ...], values: Mapping[int, str]) -> bytes:
    strings = [values.get(oid, "") for oid in oids]
    if any(not text.isprintable() for text in strings):
        raise LocalTagError("an extension block holds printable text")
    text = b"\x00".join(string.encode() for string in strings).rstrip(b"\x00")
    if number != _LIBRARY:
        return text
    media = values.get(MEDIA, "")
    if not text and not media:
        return b""
    first = octets(media or "00")
    if len(first) != 1:
        raise LocalTagError("the media of an extension block is one byte in hex")
    return first + text
