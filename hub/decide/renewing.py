"""The hub's answer to ``renew``: may_renew over fresh facts, for a whole stack. Nothing is written: the edge says RENEW."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from consortium.decisions import may_renew
from consortium.facts import Device, RenewFacts
from consortium.record import record
from hub.decide import asked
from hub.decide.facts import Person, known_now, person_meant
from hub.decide.service import MAX_ANSWER, MAX_STACK, told
from hub.devices.nodes import Node
from hub.identity.keys import Identity
from hub.ledger.items import ItemRecord, items_meant
from hub.metrics import Metrics
from hub.policy.current import CurrentPolicy
from hub.store.engine import Store


class Renewer:
    """Answers renew."""

    def __init__(
        self, store: Store, identity: Identity, policy: CurrentPolicy, metrics: Metrics, clock: Callable[[], int]
    ) -> None:
        self._store = store
        self._identity = identity
        self._policy = policy
        self._metrics = metrics
        self._clock = clock

    async def renew(self, node: Node, data: Mapping[str, Any]) -> dict[str, Any]:
        """One answer for each item of the stack, in order. ``more`` is true where not all answers fitted one message.

        Raises asked.BadRequest REQUEST_FIELD, STACK_TOO_LARGE.
        """
        now = self._clock()
        branch, device = asked.text(data, "branch", 32), asked.text(data, "device")
        wanted = asked.items(data, MAX_STACK)
        at = Device(device, branch, authorised=branch == node.branch)
        person, found = await self._store.know(
            person_meant(self._identity, node.org, data, now), items_meant(node.org, wanted)
        )
        answers: list[dict[str, Any]] = []
        size = 0
        for (owner, item_no), item in zip(wanted, found, strict=True):
            answer = self._answer(node, at, person, owner, item_no, item, now)
            size += len(msgspec.json.encode(answer)) + 1
            if size > MAX_ANSWER:
                break
            answers.append(answer)
        who = {"srid": self._identity.srid(node.org, person.record.rid), "home": person.record.home} if person else {}
        out = {"srid": None, "home": None, **who, "answers": answers}
        return {**out, "more": True} if len(answers) < len(wanted) else out

    def _answer(
        self, node: Node, at: Device, person: Person | None, owner: str | None, item_no: str, item: ItemRecord | None, now: int
    ) -> dict[str, Any]:  # fmt: skip
        rid = person.record.rid if person is not None else None
        facts = RenewFacts(
            at, known_now(now), person.record.facts(node.org) if person is not None else None,
            item.facts(rid) if item is not None else None, item.loan(rid) if item is not None else None,
        )  # fmt: skip
        decision = may_renew(self._policy.policy, facts, now, source="hub")
        self._metrics.decisions.labels(decision.function, decision.outcome.value, decision.primary).inc()
        return {**told(decision, owner, item_no, item), "record": record(decision, facts, now)}
