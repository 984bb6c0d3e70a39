"""Where the players' cards and books are: the physical truth, kept apart from everything the consortium believes."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from protocols.iso28560.content import TagContent, TagFormat
from protocols.iso28560.encode import image_of
from protocols.iso28560.image import TagImage

CASES_AT_KIOSK = 0.30
"""Share of people at a kiosk who stand for a refusal."""


@dataclass(slots=True)
class Person:
    """A reader of the demo: a card in a pocket, books in a bag."""

    library: str
    reader_no: str
    pin: str | None
    card: str
    case: str
    bag: list[Book] = field(default_factory=list)
    inside: str | None = None


@dataclass(slots=True)
class Book:
    """A physical item with its tag."""

    owner: str
    item_no: str
    item_type: str
    home: str
    tag: Tag
    at: str | None = None
    afi: int = 0x07


@dataclass(slots=True)
class Tag:
    """The chip in a book and what stands on it: the library's own format, written by the real codec.

    ``uid`` is the chip's number (TID on UHF), ``owner`` the owner as written, "" where it is not. ``pc`` and ``epc`` of a UHF tag
    change when its security is switched.
    """

    uid: str
    form: TagFormat
    owner: str
    pc: int = 0
    epc: str = ""

    @property
    def uhf(self) -> bool:
        """Whether it is read by UHF antennas alone."""
        return self.form in ("28560-4", "gaoxiao")

    def image(self, item_no: str) -> TagImage:
        """Its bytes as they left the library that encoded it."""
        return image_of(TagContent(self.form, item_no, self.owner), self.form, tid=self.uid if self.uhf else None)

    def hf(self, item_no: str) -> dict[str, Any]:
        """How it is laid on a pad; the AFI is the book's."""
        image = self.image(item_no)
        return {"uid": self.uid, "dsfid": image.dsfid, "blocks": image.data.hex().upper()}

    def laid(self, item_no: str) -> dict[str, Any]:
        """How a UHF tag is laid before an antenna."""
        image = self.image(item_no)
        if not self.epc:
            assert image.pc is not None
            self.pc, self.epc = image.pc, image.epc.hex().upper()
        return {"tid": self.uid, "pc": self.pc, "epc": self.epc, "user": image.data.hex().upper()}


class World:
    """All of the players' things. Readers and items marked free in the plan are not in it."""

    def __init__(self, plan: dict[str, Any], rng: random.Random) -> None:
        self.rng = rng
        self.branches: list[str] = [branch["id"] for branch in plan["branches"]]
        self.people = [
            Person(*(row[k] for k in ("library", "reader_no", "pin", "card", "case"))) for row in plan["readers"]
        ]
        self.shelves: dict[str, list[Book]] = defaultdict(list)
        self.crates: dict[str, list[tuple[float, Book]]] = defaultdict(list)
        for row in plan["items"]:
            tag = Tag(**row["tag"])
            book = Book(row["owner"], row["item_no"], row["type"], row["branch"], tag, at=row["branch"])
            self.shelves[row["branch"]].append(book)
        self._by_case: dict[str, list[Person]] = defaultdict(list)
        for person in self.people:
            self._by_case[person.case].append(person)
        self._cases = sorted(case for case in self._by_case if case)
        self._turn = 0

    def somebody(self, share_of_cases: float) -> Person:
        """A reader; with this probability one of those who stand for a refusal, each case in its turn."""
        if self._cases and self.rng.random() < share_of_cases:
            self._turn += 1
            return self.rng.choice(self._by_case[self._cases[self._turn % len(self._cases)]])
        return self.rng.choice(self._by_case[""])

    def borrower(self, share: float) -> Person:
        """With this probability somebody who has books to bring back, else anybody."""
        loaded = [person for person in self.people if person.bag] if self.rng.random() < share else []
        return self.rng.choice(loaded) if loaded else self.somebody(CASES_AT_KIOSK)

    def take(self, branch: str, count: int, *, ordinary: bool = True, for_pad: bool = False) -> list[Book]:
        """Books from a shelf, taken off it; ``for_pad``: only those whose tags a kiosk's pad can read."""
        shelf = self.shelves[branch]
        wanted = [
            book for book in shelf if (not ordinary or book.item_type == "BOOK") and not (for_pad and book.tag.uhf)
        ]
        taken = self.rng.sample(wanted, min(count, len(wanted)))
        for book in taken:
            shelf.remove(book)
            book.at = None
        return taken

    def shelve(self, book: Book, branch: str) -> None:
        """Put a book on a shelf."""
        book.at = branch
        self.shelves[branch].append(book)

    def send(self, book: Book, branch: str, due: float) -> None:
        """Put a book into the courier's crate for a branch; it arrives at ``due`` (monotonic seconds)."""
        book.at = None
        self.crates[branch].append((due, book))

    def arrived(self, branch: str, now: float, most: int) -> list[Book]:
        """Books the courier has brought to a branch by now, taken out of the crate."""
        ready = [entry for entry in self.crates[branch] if entry[0] <= now][:most]
        for entry in ready:
            self.crates[branch].remove(entry)
        return [book for _, book in ready]
