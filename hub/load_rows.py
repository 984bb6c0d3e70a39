"""Readers, cards, blocks and items of a consortium file, row by row, as the domain's own values (``consortium.entities``).

A row that is wrong stops the load with one sentence that names the place: ``readers[17].category: …``. Keys that a value does not have
are passed over here: a file may carry notes of whoever made it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from consortium.entities import Block, Card, Item, Reader
from consortium.plain import PlainError, from_plain

MAX_CARDS = 32
MAX_BLOCKS = 256
"""Most cards and blocks of one reader."""

_MAX_PIN = 64

Rows = Sequence[Mapping[str, Any]]


class LoadError(ValueError):
    """A consortium file that cannot be loaded; the message names the place. Nothing of it was written. ``code`` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Person:
    """A reader with the PIN to be hashed, the cards and the blocks. The PIN shows in no text of this value."""

    reader: Reader
    pin: str | None = field(repr=False)
    cards: tuple[Card, ...]
    blocks: tuple[Block, ...]

    @property
    def name(self) -> tuple[str, str]:
        """(home, reader_no): by what a reader is known again."""
        return (self.reader.home, self.reader.reader_no)

    def age(self, now: int) -> int | None:
        """Whole years at ``now``, ms UTC."""
        return self.reader.age_in(datetime.fromtimestamp(now / 1000, UTC).year)


def read_people(rows: Any) -> list[Person]:
    """The readers of a file; raises LoadError LOAD_ROW."""
    people = [_person(row, f"readers[{number}]") for number, row in enumerate(_list(rows, "readers"))]
    cards: dict[bytes, str] = {}
    for number, person in enumerate(people):
        for at, card in enumerate(person.cards):
            place = f"readers[{number}].cards[{at}].uid"
            if card.canonical in cards:
                raise LoadError("LOAD_ROW", f"{place}: the file has this card already, at {cards[card.canonical]}")
            cards[card.canonical] = place
    return people


def _person(row: Any, place: str) -> Person:
    reader = _value(row, Reader, place)
    pin = row.get("pin")
    if pin is not None and not (isinstance(pin, str) and len(pin) <= _MAX_PIN):
        raise LoadError("LOAD_ROW", f"{place}.pin: a PIN is text of at most {_MAX_PIN} characters")
    cards = _list(row.get("cards", ()), f"{place}.cards", MAX_CARDS)
    blocks = _list(row.get("blocks", ()), f"{place}.blocks", MAX_BLOCKS)
    return Person(
        reader,
        pin or None,
        tuple(_value(card, Card, f"{place}.cards[{at}]") for at, card in enumerate(cards)),
        tuple(_value(block, Block, f"{place}.blocks[{at}]") for at, block in enumerate(blocks)),
    )


def read_stock(rows: Any) -> list[Item]:
    """The items of a file; ``type`` may stand for ``item_type``. Raises LoadError LOAD_ROW."""
    out: list[Item] = []
    for number, row in enumerate(_list(rows, "items")):
        if isinstance(row, Mapping) and "item_type" not in row and "type" in row:
            row = {**row, "item_type": row["type"]}  # the same row by its usual name
        out.append(_value(row, Item, f"items[{number}]"))
    return out


def _value(row: Any, kind: type[Any], place: str) -> Any:
    try:
        return from_plain(row, kind, place=place)
    except PlainError as error:
        raise LoadError("LOAD_ROW", str(error)) from error


def _list(rows: Any, place: str, most: int | None = None) -> list[Any]:
    if not isinstance(rows, list | tuple):
        raise LoadError("LOAD_ROW", f"{place}: this is a list of rows")
    if most is not None and len(rows) > most:
        raise LoadError("LOAD_ROW", f"{place}: there are more than {most}")
    return list(rows)
