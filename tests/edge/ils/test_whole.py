"""A whole edge whose library keeps its own ILS: from the kiosk's message to the ILS's books, while it is there and while it is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from consortium.events import Kind
from edge.ils.config import IlsConfig
from tests.edge.bed import Bed, RawKiosk, field, make_config, policy_text, standard_rows, write_replica
from tests.edge.ils.member import BRANCH, HOME, HOST, PASSWORD, PROXY, Member, policy, until

WHEN = "20261122    193711"
FIXED = {"12": 24, "10": 24}


@pytest.fixture
def member(tmp_path: Path) -> Iterator[Member]:
    one = Member(tmp_path)
    one.start()
    yield one
    one.kill()


def bed(tmp_path: Path, member: Member) -> Bed:
    data = tmp_path / "edge"
    write_replica(data, standard_rows(), policy=policy_text(libraries=policy().bundle.libraries))
    ils = IlsConfig(
        f"sip2://127.0.0.1:{member.port}", "tongjie", PASSWORD, HOME, BRANCH, proxies={HOST: PROXY}, timeout_s=1.0
    )
    return Bed(make_config(data, ils=ils))


def lend(number: str, item_no: str, at: str = WHEN) -> str:
    return f"11NN{at}{at}AO{HOME}|AA{number}|AB{item_no}|AC|AD2468|"


def take(item_no: str, at: str = WHEN) -> str:
    return f"09N{at}{at}AP|AO{HOME}|AB{item_no}|AC|"


async def test_the_ils_lends_its_own_and_is_told_of_the_rest(tmp_path: Path, member: Member) -> None:
    async with bed(tmp_path, member) as edge:
        ils = edge.agent.desk.ils
        assert ils is not None
        await until(lambda: ils.up)
        async with RawKiosk(edge.agent.sip2_at) as kiosk:
            await kiosk.login()
            lent = await kiosk.ask(lend("R1", "1001"))
            assert lent[:3] == "121", lent
            assert member.loans()["1001"][0] == "R1"
            (loan,) = edge.events(Kind.CHECKOUT)
            assert loan.data["flags"] == ["ILS"]

            member.kill()
            away = await kiosk.ask(lend("R1", "1002", "20261122    193811"))
            assert away[:3] == "121", away
            back = await kiosk.ask(take("1001"))
            assert back[:3] == "101", back
            assert edge.events(Kind.CHECKOUT)[-1].data["flags"] == ["ILS_AWAY"]
            member.start()
            observed = await until(
                lambda: len(edge.events(Kind.ILS_OBSERVED)) >= 2 and edge.events(Kind.ILS_OBSERVED), 20
            )
            told = {(event.data["what"], event.data["item"][1], event.data["status"]) for event in observed}
            assert told == {("BOOKED", "1002", "CHECKOUT"), ("BOOKED", "1001", "CHECKIN")}
            assert set(member.loans()) == {"1002"}
            assert member.loans()["1002"][0] == "R1"
            assert field(away, "AB", FIXED["12"]) == "1002"


async def test_a_refusal_of_the_ils_is_shown_in_its_words(tmp_path: Path, member: Member) -> None:
    async with bed(tmp_path, member) as edge:
        ils = edge.agent.desk.ils
        assert ils is not None
        await until(lambda: ils.up)
        await member.staff("block", number="R1", blocked=True)
        async with RawKiosk(edge.agent.sip2_at) as kiosk:
            await kiosk.login()
            refused = await kiosk.ask(lend("R1", "1001"))
            assert refused[:3] == "120"
            assert "Patron is blocked" in refused
            assert edge.events(Kind.CHECKOUT) == []
            assert member.loans() == {}
