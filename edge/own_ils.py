"""Everything an edge does with its library's own ILS, wired: asked, told, watched, compared (domain §10)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from consortium.bundle import Policy
from edge.clock import EdgeClock
from edge.config import ConfigError, EdgeConfig
from edge.facts import Facts
from edge.ils.config import IlsConfig
from edge.ils.feed_asking import AskedLoans
from edge.ils.feed_follow import FeedFollower, make_feed
from edge.ils.feeds import FeedError
from edge.ils.ils import Ils
from edge.ils.observe import DEVICE, Observer
from edge.ils.reconcile import Reconciler, Source
from edge.outbox import Outbox
from edge.replica import Replica

StateHeard = Callable[[str, str, Mapping[str, str | int]], None]


class OwnIls:
    """The parts of one branch's own ILS. ``start`` when outbox and replica run, ``stop`` before they end.

    ``wall`` is the branch's wall clock, ``on_state`` hears (state, reason, facts) of the ILS as of a device.
    """

    def __init__(
        self,
        config: EdgeConfig,
        ils: IlsConfig,
        *,
        facts: Facts,
        replica: Replica,
        outbox: Outbox,
        clock: EdgeClock,
        wall: Callable[[], datetime],
        on_state: StateHeard,
    ) -> None:
        def policy() -> Policy | None:
            return replica.policy

        self.device = DEVICE
        self.ils = Ils(
            ils, org=config.org, branch=config.branch, policy=policy, outbox=outbox, clock_ms=clock.now, wall=wall,
            data=config.data, key=config.site_key, on_state=on_state,
        )  # fmt: skip
        self.observer = Observer(
            outbox, facts, config.branch, config.org, ils.proxies, clock.now, store=config.data / "ils-feed.db"
        )
        self.observer.waits_for = self.ils.waits_for
        self.ils.observer = self.observer
        self.ils.srid_of = self.observer.srid_of
        self.feed = self._feed(config, ils, clock, wall)
        asked = AskedLoans(self.ils.item, replica, config.org)
        source: Source = self.feed.feed if self.feed is not None and self.feed.feed.tells_loans else asked
        self.reconciler = Reconciler(
            source, self.observer, facts, replica, org=config.org, policy=policy, now=clock.now, wall=wall,
            work=config.data, before=self.feed.catch_up if self.feed is not None else None, at=ils.reconcile_at,
            every_s=ils.reconcile_every_s,
        )  # fmt: skip

    def _feed(
        self, config: EdgeConfig, ils: IlsConfig, clock: EdgeClock, wall: Callable[[], datetime]
    ) -> FeedFollower | None:
        if not ils.feed:
            return None
        try:
            feed = make_feed(ils.feed, zone=str(wall().tzinfo or "UTC"), base=config.data)
            return FeedFollower(feed, self.observer, ils.feed, now=clock.now)
        except FeedError as error:
            raise ConfigError("CONFIG_VALUE", f"ils.feed: {error}") from error

    async def start(self) -> None:
        """Begin to ask, to tell, to follow and to compare."""
        self.observer.start()
        await self.ils.start()
        if self.feed is not None:
            await self.feed.start()
        await self.reconciler.start()

    async def stop(self) -> None:
        """Stop all of it; what waits to be told is kept. Safe to call twice."""
        await self.reconciler.stop()
        if self.feed is not None:
            await self.feed.stop()
        await self.ils.stop()
        self.observer.stop()

    def public(self) -> dict[str, Any]:
        """What staff may see; no number of a reader."""
        return {
            **self.ils.public(),
            "feed": self.feed.public() if self.feed is not None else None,
            "observed": self.observer.public(),
            "reconciliation": self.reconciler.public(),
        }
