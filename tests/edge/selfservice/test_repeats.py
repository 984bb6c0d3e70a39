"""A transaction that comes again after a restart of the edge: the server below has forgotten it, the outbox has not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from consortium.agreement import PolicyRule
from consortium.events import Kind
from edge.config import EdgeConfig
from tests.edge.bed import (
    BRANCH,
    HOUR_MS,
    PIN,
    Bed,
    Hub,
    Rows,
    make_config,
    now_ms,
    policy_text,
    srid_of,
    standard_rows,
    until,
    write_replica,
)
from tests.edge.selfservice.messages import AT, ENDED, logged_in, renew, renew_all
from tests.make import HOME

DAY_MS = 24 * HOUR_MS


def body(reply: str) -> str:
    """A reply without its fixed part, where the date of the answer stands."""
    return reply[ENDED[reply[:2]] :]


async def once(config: EdgeConfig, message: str, *, online: bool = False) -> tuple[str, int]:
    """The reply of an edge that has just started, and how many renewals it has recorded so far."""
    async with Bed(config) as bed:
        if online:
            await until(lambda: bed.agent.link.online)
        async with logged_in(bed) as kiosk:
            return await kiosk.ask(message), len(bed.events(Kind.RENEW))


@pytest.mark.parametrize("message", [renew("3001"), renew_all()])
async def test_a_renewal_is_one_and_answered_alike(tmp_path: Path, message: str) -> None:
    loan = Rows.item("3001", status="ON_LOAN", loan_srid=srid_of("R1"), due=now_ms() + DAY_MS, t_out=now_ms() - DAY_MS,
                     place=BRANCH, terms={"period_days": 30, "renewals": 1})  # fmt: skip
    rules = (PolicyRule("general", lend=True, period_days=30, renewals=1),)
    write_replica(tmp_path, [*standard_rows(), *loan], policy=policy_text(rules=rules))
    (first, n), (second, m) = [await once(make_config(tmp_path), message) for _ in range(2)]
    assert first[2] == second[2] == "1"
    assert body(first) == body(second)
    assert (n, m) == (1, 1)


@pytest.mark.parametrize(
    ("name", "answer", "message"),
    [
        ("hold", {"outcome": "ALLOW", "codes": ["OK"], "queue": 2}, f"15+{AT}AO{HOME}|AAR1|AD{PIN}|AB2002|"),
        ("fee", {"accepted": True, "codes": ["OK"], "left": 0}, f"37{AT}0400CNYBV1.00|AO{HOME}|AAR1|AD{PIN}|BK7|"),
        ("block", {"ok": True, "codes": []}, f"01N{AT}AO{HOME}|AL|AAR1|AC|"),
        ("block", {"ok": True, "codes": []}, f"25{AT}AO{HOME}|AAR1|AC|AD{PIN}|"),
    ],
)
async def test_what_the_hub_did_is_not_asked_of_it_again(
    tmp_path: Path, hub: Hub, broker: Any, name: str, answer: dict[str, Any], message: str
) -> None:
    write_replica(tmp_path, standard_rows())
    hub.answers[name] = lambda data: answer
    config = make_config(tmp_path, broker_url=broker.url)
    (first, _), (second, _) = [await once(config, message, online=True) for _ in range(2)]
    assert body(first) == body(second)
    assert [question for question, _ in hub.asked].count(name) == 1


async def test_without_a_date_it_is_a_new_one_every_time(tmp_path: Path, hub: Hub, broker: Any) -> None:
    write_replica(tmp_path, standard_rows())
    hub.answers["hold"] = lambda data: {"outcome": "ALLOW", "codes": ["OK"], "queue": 2}
    undated = f"15+{' ' * 18}AO{HOME}|AAR1|AD{PIN}|AB2002|"
    for _ in range(2):
        await once(make_config(tmp_path, broker_url=broker.url), undated, online=True)
    names = [data["transaction"] for question, data in hub.asked if question == "hold"]
    assert len(set(names)) == 2
