"""What all handlers of SIP2 messages share: the desk, who stands there, the pad beside the kiosk, the counts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from edge.answers import Answer, Identified
from edge.desk import Desk
from edge.metrics import Metrics
from edge.outbox import OutboxError
from edge.selfservice.identify import Identifier, Presented, Unidentified
from edge.selfservice.pin import PinAnswer
from edge.selfservice.sip2.call import Call
from edge.selfservice.tags import PadTags

PAD_TIMEOUT_S = 2.0
"""How long a reply waits for the tag; the loan is durable already, and the tag is repaired later."""


@dataclass(frozen=True, slots=True)
class Front:
    """Shared by the handlers. ``pads`` are the pads beside kiosks, by device id."""

    desk: Desk
    identifier: Identifier
    pads: Mapping[str, PadTags]
    metrics: Metrics

    async def identify(self, call: Call) -> Presented | Unidentified:
        """Who the kiosk says stands before it, and what came of the PIN."""
        return await self.identifier.identify(
            call.number,
            call.pin,
            device=call.device,
            trusts_card=call.account.trusts_card,
            session=call.session_pin,
        )

    async def reader(self, call: Call) -> Identified | str:
        """The reader of a transaction, or the code of why there is none: nobody known, or the PIN given was wrong."""
        who = await self.identify(call)
        if isinstance(who, Unidentified):
            return who.code
        return who.pin.value if who.pin in (PinAnswer.WRONG, PinAnswer.LOCKED) else who.reader

    async def past_reader(self, call: Call) -> Identified | str:
        """The reader of something that already happened, whatever the PIN; a stranger's site id where nobody knows the number."""
        who = await self.identifier.identify(
            call.number, "", device=call.device, trusts_card=call.account.trusts_card, session=call.session_pin
        )
        return who.reader if isinstance(who, Presented) else self.desk.stranger(call.number)

    def incomplete(self, call: Call) -> bool:
        """Whether the item that a kiosk names lies on its pad without all of its parts."""
        tags = self.pads.get(call.account.pad) if call.account.pad else None
        key = self.desk.key_of(call.item) if tags is not None else None
        stack = tags.sets().get(key) if tags is not None and key is not None else None
        return stack is not None and not stack.complete

    async def tag(self, pad: str | None, answer: Answer, *, secured: bool, undo: bool = False) -> bool:
        """Set the tag right where it lies on the kiosk's pad; False where it lies there and did not take it in time.

        Other tags on the pad prove nothing: readers put whole stacks down. ``undo``: a loan did not come about, and the tag takes
        back exactly what stood on it before.
        """
        tags = self.pads.get(pad) if pad else None
        if tags is None or answer.key is None or answer.key not in tags.on_pad():
            return True
        writing = asyncio.ensure_future(tags.undo(answer.key) if undo else tags.set_secured(answer.key, secured))
        try:
            async with asyncio.timeout(PAD_TIMEOUT_S):
                return await asyncio.shield(writing)
        except (TimeoutError, OutboxError):
            return False

    def count(self, device: str, operation: str, code: str) -> None:
        """Count a transaction by its result."""
        self.metrics.transactions.labels(self.metrics.library, device, operation, code).inc()

    def branch_name(self, branch: str, lang: str) -> str:
        """A branch's name, its id where the policy does not name it."""
        names = self.desk.branch_names(branch)
        return branch if names is None else names[lang]
