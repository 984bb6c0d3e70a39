"""Which events may enter the log: whose they are, and when they claim to have happened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from consortium.events import Event, Kind, encode
from consortium.identity import CHAIN_START, chain, site_key, srid, subject
from hub.ledger.admit import FUTURE_MS, HUB_ONLY, MAX_UNCERTAIN_MS, admit
from tests.hub.api.world import BRANCHES, CQU, MASTER, Edge
from tests.hub.core import running
from tests.least import LEAST
from tests.make import NOW


def code_of(kind: Kind, *, org: str | None = CQU, at: int = NOW, unc: int = 20, **more: Any) -> str | None:
    """The code under which an event is refused, None where it may enter."""
    salt, name = "0" * 32, srid(site_key(MASTER, CQU), "1" * 32)
    event = Event(
        "edge-251020-01", "e", 1, kind, BRANCHES[CQU], "kiosk1", NOW, at, unc, 1, "b", LEAST[kind],
        subject=subject(salt, name), **more,
    )  # fmt: skip
    body = encode(event)
    return admit("edge-251020-01", org, "e", 1, body, chain(CHAIN_START, body), salt, name, NOW).code


@pytest.mark.parametrize("kind", sorted(HUB_ONLY))
def test_what_only_the_hub_may_say_is_not_taken_from_a_branch(kind: Kind) -> None:
    assert code_of(kind) == "EVENT_NOT_YOURS"
    assert code_of(kind, org=None) is None


@pytest.mark.parametrize("kind", sorted(set(Kind) - HUB_ONLY))
def test_every_other_event_is_taken_from_a_branch(kind: Kind) -> None:
    assert code_of(kind) is None


def test_an_event_from_the_future_is_refused_beyond_a_day_and_its_own_uncertainty() -> None:
    assert code_of(Kind.EXIT, at=NOW + FUTURE_MS + 21) == "EVENT_FUTURE"
    assert code_of(Kind.EXIT, at=NOW + FUTURE_MS + 20) is None
    assert code_of(Kind.EXIT, at=NOW + FUTURE_MS + 5_001, unc=5_000) == "EVENT_FUTURE"
    assert code_of(Kind.EXIT, at=NOW + FUTURE_MS + 5_000, unc=5_000) is None


def test_no_uncertainty_excuses_more_than_a_year() -> None:
    wide = 1 << 52
    assert code_of(Kind.EXIT, at=NOW + FUTURE_MS + MAX_UNCERTAIN_MS + 1, unc=wide) == "EVENT_FUTURE"
    assert code_of(Kind.EXIT, at=NOW + FUTURE_MS + MAX_UNCERTAIN_MS, unc=wide) is None
    assert code_of(Kind.EXIT, unc=1 << 53) == "EVENT_TIME"


@pytest.mark.parametrize(
    "said", ["edge-251020-01/e/7", "edge-990001-01/old/7", "edge-251020-01/old", "edge-251020-01/old/07", "x", 5, ["x"]]
)
def test_a_node_says_again_only_what_it_said_itself_under_another_epoch(said: Any) -> None:
    assert code_of(Kind.EXIT, reissue_of=said) == "EVENT_REISSUE"
    assert code_of(Kind.EXIT, reissue_of="edge-251020-01/old/7") is None


@pytest.mark.parametrize(
    "record",
    [
        [], {}, {"f": "borrow"},
        {"f": "borrow", "o": "ALLOW", "c": [], "pv": 1, "s": "edge", "m": "ONLINE"},
        {"f": "borrow", "o": "ALLOW", "c": ["X" * 33], "pv": 1, "s": "edge", "m": "ONLINE"},
        {"f": "borrow", "o": "ALLOW", "c": ["OK"], "pv": 1 << 31, "s": "edge", "m": "ONLINE"},
        {"f": "borrow", "o": "ALLOW", "c": ["OK"], "pv": 1, "s": "", "m": "ONLINE"},
        {"f": "borrow", "o": "ALLOW", "c": ["OK"], "pv": 1, "s": "edge", "m": "ONLINE", "t": -1},
    ],
)  # fmt: skip
def test_a_decision_record_that_the_ledger_could_not_keep_is_refused(record: Any) -> None:
    assert code_of(Kind.EXIT, decision=record) == "EVENT_DECISION"


async def test_a_refused_event_costs_only_itself(tmp_path: Path) -> None:

    async with running(tmp_path) as core:
        edge = Edge(CQU)
        edge.leave(NOW, core.rids[CQU][0])
        edge.say(Kind.BLOCK_SET, NOW, LEAST[Kind.BLOCK_SET], rid=core.rids[CQU][0])
        edge.leave(NOW, core.rids[CQU][0])
        ack = await core.take(edge)
        assert (ack.upto, ack.rejected) == (3, ((2, "EVENT_NOT_YOURS"),))
