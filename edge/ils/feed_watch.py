"""Everything that learns from a member's own ILS, as one part of an edge: observer, feed where there is one, nightly reconciliation."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from consortium.bundle import Policy
from consortium.identity import ItemKey
from edge.facts import Facts
from edge.ils.config import IlsConfig
from edge.ils.feed_asking import AskedLoans
from edge.ils.feed_follow import FeedFollower, make_feed
from edge.ils.observe import Observer
from edge.ils.port import ItemSaid
from edge.ils.reconcile import Reconciler
from edge.outbox import Outbox
from edge.replica import Replica


class AskedIls(Protocol):
    """What is needed of the ILS over SIP2 (``edge.ils.ils.Ils``)."""

    async def item(self, item_no: str) -> ItemSaid | None:
        """An own item, None where it cannot be asked."""
        ...

    def waits_for(self, item: ItemKey) -> bool:
        """Whether a booking about an item waits for the ILS or is on its way."""
        ...


class IlsWatch:
    """One branch's eyes on the library's ILS. ``observer`` is what ``Ils.observer`` wants.

    ``zone`` is the branch's, ``wall`` its own time, ``now`` ms UTC by the edge's clock; files that ``[ils.feed]`` names are relative to
    ``base``. Raises FeedError FEED_CONFIG where that table cannot be used.
    """

    def __init__(
        self,
        config: IlsConfig,
        ils: AskedIls,
        *,
        outbox: Outbox,
        facts: Facts,
        replica: Replica,
        policy: Callable[[], Policy | None],
        org: str,
        branch: str,
        zone: str,
        now: Callable[[], int],
        wall: Callable[[], datetime],
        data: Path,
        base: Path,
    ) -> None:
        self.observer = Observer(outbox, facts, branch, org, config.proxies, now, store=data / "ils-feed.db")
        self.observer.waits_for = ils.waits_for
        self.follower: FeedFollower | None = None
        if config.feed:
            feed = make_feed(config.feed, zone=zone, base=base)
            self.follower = FeedFollower(feed, self.observer, config.feed, now=now)
        told = self.follower is not None and self.follower.feed.tells_loans
        self.reconciler = Reconciler(
            self.follower.feed if self.follower is not None and told else AskedLoans(ils.item, replica, org),
            self.observer, facts, replica, org=org, policy=policy, now=now, wall=wall, work=data / "ils-reconcile.db",
            before=self.follower.catch_up if self.follower is not None else None,
            at=config.reconcile_at, every_s=config.reconcile_every_s,
        )  # fmt: skip

    async def start(self) -> None:
        """Begin, with outbox and replica running. Raises OutboxError, sqlite3.Error."""
        self.observer.start()
        if self.follower is not None:
            await self.follower.start()
        await self.reconciler.start()

    async def stop(self) -> None:
        """Stop everything; before the outbox closes."""
        await self.reconciler.stop()
        if self.follower is not None:
            await self.follower.stop()
        self.observer.stop()

    def public(self) -> dict[str, Any]:
        """State of feed and reconciliation; without a feed what was learned on touch."""
        feed = (
            self.follower.public() if self.follower is not None else {"kind": "touch", "taken": self.observer.public()}
        )
        return {"feed": feed, "reconciliation": self.reconciler.public()}
