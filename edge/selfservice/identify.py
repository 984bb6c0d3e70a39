"""Who stands in front of a kiosk: a number, ``ORG:NUMBER`` or a card's UID, and a PIN checked where it may be checked (M5).

Own readers are checked against the verifier in the replica, or by the branch's own ILS where it alone knows their PIN; partners at
the hub. Whoever typed a number holds no card: the card's assurance counts only where the kiosk itself read the card.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from consortium.facts import Assurance
from consortium.identity import MAX_NUMBER
from edge.answers import Identified
from edge.asking import Asking
from edge.cards import CardToken
from edge.facts import Facts, Person
from edge.hubrows import HubAnswerInvalid, card_of, reader_of
from edge.ils.port import IlsPort
from edge.selfservice.pin import PinAnswer, PinDesk, SessionPin

ASK_TIMEOUT_S = 0.8
MOST_INITIALS = 8

_WEAKEST_FIRST = (Assurance.LOW, Assurance.MED, Assurance.HIGH)
_AsSeen = Callable[[Identified], Identified | None]
"""A reader, with the card worth what this kiosk saw of it; None where what was seen cannot stand for this reader."""


@dataclass(frozen=True, slots=True)
class Presented:
    """A reader who was found; ``pin`` None where no PIN was given."""

    reader: Identified
    pin: PinAnswer | None


@dataclass(frozen=True, slots=True)
class Unidentified:
    """Nobody could be found; ``code`` says why."""

    code: str


class Identifier:
    """Finds readers at one edge. ``ils`` is the branch's own ILS, if it has one."""

    def __init__(
        self, facts: Facts, hub: Asking, pins: PinDesk, now: Callable[[], int], ils: IlsPort | None = None
    ) -> None:
        self._facts = facts
        self.ils = ils
        self._now = now
        self._hub = hub
        self._pins = pins

    async def identify(
        self, text: str, pin: str, *, device: str, trusts_card: bool, session: SessionPin
    ) -> Presented | Unidentified:
        """Find the reader and check the PIN, if one is given; an empty ``pin`` is none."""
        if not text or len(text) > MAX_NUMBER:
            return Unidentified("CARD_UNKNOWN")
        as_seen: _AsSeen = _as_registered if trusts_card else _numbered
        found = self._facts.find(text)
        if found is None:
            return await self._ask(self._facts.tokens_of_number(text), text, pin, device, as_seen, session)
        token, person = found
        reader = Identified(person, token, local=True, number=self._bare(text, person))
        return await self._known(as_seen(reader), pin, device, session)

    async def identify_card(
        self, card: CardToken, pin: str, *, most: Assurance | None, device: str, session: SessionPin
    ) -> Presented | Unidentified:
        """Find the reader of a card that a cardreader of ours saw; it is worth no more than ``most`` (None: as registered).

        A cut number is many cards' number: it stands for own readers alone (domain §1). The reader's number stays unknown.
        """

        def as_seen(reader: Identified) -> Identified | None:
            if card.truncated and reader.home != self._facts.org:
                return None
            registered = reader.person.card.assurance
            worth = registered if most is None else min(most, registered, key=_WEAKEST_FIRST.index)
            return _worth(reader, worth)

        person = self._facts.person(card.token)
        if person is None:
            return await self._ask((card.token,), "", pin, device, as_seen, session)
        return await self._known(as_seen(Identified(person, card.token, local=True)), pin, device, session)

    def needs_number(self, reader: Identified) -> bool:
        """Whether this reader's loans are the own ILS's to decide, and it cannot be told whom it is about."""
        own = reader.home == self._facts.org and not reader.number
        return own and self.ils is not None and self.ils.in_charge(reader.home, self._facts.org)

    async def _known(
        self, reader: Identified | None, pin: str, device: str, session: SessionPin
    ) -> Presented | Unidentified:
        if reader is None:
            return Unidentified("CARD_UNKNOWN")
        if not pin:
            return Presented(replace(reader, pin=session.verified(reader.srid)), None)
        return await self._check(reader, pin, device, session)

    def _bare(self, text: str, person: Person) -> str:
        """The number as the reader's own ILS knows it: without the library that was typed before it."""
        prefix = f"{self._facts.org}:"
        return text[len(prefix) :] if person.home == self._facts.org and text.startswith(prefix) else text

    async def _check(self, reader: Identified, pin: str, device: str, session: SessionPin) -> Presented:
        now = self._now()
        if session.knows(reader.srid, pin):
            return Presented(replace(reader, pin=True), PinAnswer.RIGHT)
        if reader.home == self._facts.org and reader.person.pin is not None:
            answer = await self._pins.verify(reader.srid, reader.person.pin, pin, device, now)
        elif self._pins.locked(reader.srid, now):
            answer = PinAnswer.LOCKED
        elif reader.home == self._facts.org and self.ils is not None and self.ils.up and reader.number:
            answer = await self._ask_ils(self.ils, reader, pin, device)
        else:
            answer = await self._ask_pin(reader, pin, device)
        return self._settled(reader, pin, answer, session)

    def _settled(self, reader: Identified, pin: str, answer: PinAnswer, session: SessionPin) -> Presented:
        if answer is PinAnswer.RIGHT:
            session.keep(reader.srid, pin)
        elif answer in (PinAnswer.WRONG, PinAnswer.LOCKED):
            session.forget()
        return Presented(replace(reader, pin=answer is PinAnswer.RIGHT), answer)

    async def _ask_ils(self, ils: IlsPort, reader: Identified, pin: str, device: str) -> PinAnswer:
        """Own readers whose PIN only their own ILS knows; where it does not say, the hub is asked."""
        said = await ils.reader(reader.number, pin)
        if said is None or said.pin is None:
            return await self._ask_pin(reader, pin, device)
        return await self._pins.settle(reader.srid, said.pin, device, self._now())

    async def _ask_pin(self, reader: Identified, pin: str, device: str) -> PinAnswer:
        told = await self._hub.ask("reader", {"tokens": [reader.token], "pin": pin}, timeout_s=ASK_TIMEOUT_S)
        right = told.get("pin_ok") if told is not None else None
        if not isinstance(right, bool):
            return PinAnswer.UNCHECKED
        return await self._pins.settle(reader.srid, right, device, self._now())

    async def _ask(
        self, tokens: Sequence[str], text: str, pin: str, device: str, as_seen: _AsSeen, session: SessionPin
    ) -> Presented | Unidentified:
        told = await self._hub.ask("reader", {"tokens": list(tokens), "pin": pin or None}, timeout_s=ASK_TIMEOUT_S)
        if told is None:
            # Nobody can say whether this card exists: that is not the same as an unknown card.
            return Unidentified("NOT_DECIDABLE_OFFLINE")
        if told.get("found") is not True:
            return Unidentified("CARD_UNKNOWN")
        try:
            srid, row = reader_of(told)
            person = Person(srid, card_of(told), self._facts.with_own_events(srid, row))
            initials = told.get("initials")
            shown = initials[:MOST_INITIALS] if isinstance(initials, str) else ""
            found = Identified(person, tokens[0], local=False, number=self._bare(text, person), initials=shown)
        except HubAnswerInvalid:
            return Unidentified("NOT_DECIDABLE_OFFLINE")
        reader = as_seen(found)
        if reader is None:
            return Unidentified("CARD_UNKNOWN")
        right = told.get("pin_ok")
        if not pin:
            return Presented(replace(reader, pin=session.verified(reader.srid)), None)
        if not isinstance(right, bool):
            return Presented(reader, PinAnswer.UNCHECKED)
        answer = await self._pins.settle(reader.srid, right, device, self._now())
        return self._settled(reader, pin, answer, session)


def _as_registered(reader: Identified) -> Identified:
    """A reader whose card was read by a machine that is trusted with it."""
    return reader


def _numbered(reader: Identified) -> Identified:
    """A reader known by a typed number: no card was seen, so its assurance does not count."""
    return _worth(reader, Assurance.LOW)


def _worth(reader: Identified, assurance: Assurance) -> Identified:
    card = replace(reader.person.card, assurance=assurance)
    return replace(reader, person=replace(reader.person, card=card))
