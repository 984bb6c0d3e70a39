"""Who signs in at the edge's own kiosk: by a typed number, by a card that the page claims, or by what its own devices were shown."""

from __future__ import annotations

from consortium.facts import Assurance
from edge.answers import Identified
from edge.selfservice.identify import Identifier, Presented, Unidentified
from edge.selfservice.pin import PinAnswer, SessionPin
from edge.selfservice.session import KioskRefusal
from edge.selfservice.shown import Shown, ShownHere

__all__ = ["NUMBER_NEEDED", "SHOW_AGAIN", "SignIn"]

SHOW_AGAIN = "SHOW_AGAIN"
"""What was shown is used, or too long ago."""
NUMBER_NEEDED = "NUMBER_NEEDED"
"""The branch's own ILS decides on this reader's loans, and it knows readers by their number alone."""

_TYPES_ON = frozenset({"CARD_ASSURANCE_LOW", PinAnswer.WRONG.value})
"""After these the reader types a PIN, and gets the time for it."""


class SignIn:
    """Finds the reader for one kiosk, or says why nobody is signed in."""

    def __init__(self, identifier: Identifier, here: ShownHere, device: str) -> None:
        self._identifier = identifier
        self._here = here
        self._device = device

    async def reader(self, number: str, card: str, shown: str, pin: str, lang: str) -> Identified:
        """The reader; ``shown`` counts before card and number. Raises KioskRefusal."""
        if shown:
            return await self._shown(shown, pin, lang)
        presented = (card or number).strip()
        if not presented:
            raise KioskRefusal("NO_READER", lang, 422)
        who = await self._typed(presented, pin)
        # A number without a PIN could be anybody's: the kiosk would show a stranger's account.
        return _accepted(who, pin_needed=not card, lang=lang)

    async def _typed(self, presented: str, pin: str) -> Presented | Unidentified:
        # No machine of ours saw a card, a page only claims it: its assurance does not count, the PIN does.
        return await self._identifier.identify(
            presented, pin, device=self._device, trusts_card=False, session=SessionPin()
        )

    async def _shown(self, name: str, pin: str, lang: str) -> Identified:
        shown = self._here.get(name)
        if shown is None:
            raise KioskRefusal(SHOW_AGAIN, lang, 403)
        try:
            return await (
                self._by_card(shown, pin, lang) if shown.card is not None else self._by_code(shown, pin, lang)
            )
        except KioskRefusal as refusal:
            if refusal.code in _TYPES_ON:
                self._here.wait(name)
            raise

    async def _by_code(self, shown: Shown, pin: str, lang: str) -> Identified:
        # A printed code is a number that nobody had to type: anybody can print it again.
        return _accepted(await self._typed(shown.text, pin), pin_needed=True, lang=lang)

    async def _by_card(self, shown: Shown, pin: str, lang: str) -> Identified:
        assert shown.card is not None
        who = await self._identifier.identify_card(
            shown.card, pin, most=shown.most, device=self._device, session=SessionPin()
        )
        if isinstance(who, Presented) and self._identifier.needs_number(who.reader):
            raise KioskRefusal(NUMBER_NEEDED, lang, 403)
        easy = isinstance(who, Presented) and who.reader.person.card.assurance is Assurance.LOW
        return _accepted(who, pin_needed=easy, lang=lang)


def _accepted(who: Presented | Unidentified, *, pin_needed: bool, lang: str) -> Identified:
    """The reader who was found, if the PIN does not speak against it. Raises KioskRefusal."""
    if isinstance(who, Unidentified):
        raise KioskRefusal(who.code, lang, 403)
    if who.pin in (PinAnswer.WRONG, PinAnswer.LOCKED):
        raise KioskRefusal(who.pin.value, lang, 403)
    if who.pin is None and pin_needed:
        raise KioskRefusal("CARD_ASSURANCE_LOW", lang, 403)
    return who.reader
