"""Returns: accepted whatever is known, durable, routed."""

from __future__ import annotations

from pathlib import Path

from consortium.agreement import PolicyRule
from consortium.decision import Outcome
from consortium.events import Kind
from edge.answers import ItemRef
from edge.config import OutboxConfig
from edge.selfservice.identify import Presented
from edge.selfservice.pin import SessionPin
from tests.edge.bed import BRANCH, Bed, Hub, Rows, make_config, policy_text, standard_rows, write_replica
from tests.make import HOME, HOST


async def give_back(bed: Bed, number: str, owner: str | None = None) -> tuple[str, str | None]:
    """Hand an item in; gives code and destination."""
    answer = await bed.agent.desk.give_back(ItemRef(owner, number), "kiosk1")
    return answer.code, answer.route.dest if answer.route is not None else None


class TestNotEverythingIsHome:
    async def test_a_number_nobody_knows_is_set_aside_at_the_desk(self, bed: Bed) -> None:
        assert await give_back(bed, "77777") == ("RETURN_SET_ASIDE", BRANCH)
        (event,) = bed.events(Kind.RETURN)
        assert event.data["item"] == [HOME, "77777"]
        assert event.data["route"]["action"] == "DESK"

    async def test_a_box_without_any_replica_takes_returns(self, tmp_path: Path) -> None:
        async with Bed(make_config(tmp_path)) as bed:
            assert await give_back(bed, "1001") == ("RETURN_SET_ASIDE", BRANCH)
            assert len(bed.events(Kind.RETURN)) == 1

    async def test_an_item_known_by_its_tags_owner_alone_goes_to_that_library(self, bed: Bed) -> None:
        assert await give_back(bed, "5555", HOST) == ("RETURN_TRANSIT", f"{HOST}-01")

    async def test_an_owner_only_item_is_kept_for_the_desk(self, tmp_path: Path) -> None:
        rules = (
            PolicyRule("general", lend=True, period_days=30),
            PolicyRule("kits", owner=HOST, returnable_at="owner"),
        )
        write_replica(tmp_path, standard_rows(), policy=policy_text(rules=rules))
        async with Bed(make_config(tmp_path)) as bed:
            assert await give_back(bed, "2002", HOST) == ("RETURN_SET_ASIDE", BRANCH)

    async def test_where_nothing_can_be_recorded_nothing_is_promised(self, tmp_path: Path) -> None:
        write_replica(tmp_path, standard_rows())
        async with Bed(make_config(tmp_path, outbox=OutboxConfig(max_rows=10))) as bed:
            while bed.agent.outbox.depth < 10:
                await give_back(bed, "1009", HOME)
            answer = await bed.agent.desk.give_back(ItemRef(HOME, "1001"), "kiosk1")
            assert (answer.outcome, answer.code) == (Outcome.REFER, "OUT_OF_SERVICE")


class TestReturn:
    async def test_a_loan_made_here_is_over_and_the_item_can_be_lent_again(self, bed: Bed) -> None:
        found = await bed.agent.identifier.identify("R1", "", device="k", trusts_card=False, session=SessionPin())
        assert isinstance(found, Presented)
        for _ in range(2):
            (lent,) = await bed.agent.desk.borrow(found.reader, [ItemRef(None, "1001")], "kiosk1")
            assert lent.ok
            assert await give_back(bed, "1001") == ("RETURN_HOME", BRANCH)
        assert [event.kind for event in bed.events(Kind.CHECKOUT, Kind.RETURN)] == [
            Kind.CHECKOUT, Kind.RETURN, Kind.CHECKOUT, Kind.RETURN,
        ]  # fmt: skip

    async def test_a_partners_item_is_sent_home_with_the_hub_away(self, bed: Bed) -> None:
        assert await give_back(bed, "2002") == ("RETURN_TRANSIT", f"{HOST}-01")
        (event,) = bed.events(Kind.RETURN)
        assert event.data["route"] == {"action": "TRANSIT", "dest": f"{HOST}-01", "reason": "HOME"}

    async def test_what_was_on_its_way_here_is_received(self, bed: Bed) -> None:
        await give_back(bed, "2001")
        assert [event.kind for event in bed.events(Kind.RETURN, Kind.RECEIVE)] == [Kind.RECEIVE]

    async def test_an_item_no_loan_is_known_of_is_taken_too(self, bed: Bed) -> None:
        assert await give_back(bed, "1001") == ("RETURN_NO_LOAN", BRANCH)

    async def test_the_hub_says_whose_an_unknown_number_is(self, hub_bed: Bed, hub: Hub) -> None:
        row = {"type": "BOOK", "owner_branch": f"{HOST}-01", "title": "远方", "branch": f"{HOST}-01"}
        hub.answers["item"] = lambda data: {"found": True, "owner": HOST, "item_no": data["item_no"], "item": row}
        answer = await hub_bed.agent.desk.give_back(ItemRef(None, "4444"), "kiosk1")
        assert (answer.owner, answer.title, answer.code) == (HOST, "远方", "RETURN_TRANSIT")
        assert hub.asked[0][1]["owner"] is None

    async def test_a_silent_hub_holds_no_return_up(self, hub_bed: Bed) -> None:
        assert await give_back(hub_bed, "4444", HOST) == ("RETURN_TRANSIT", f"{HOST}-01")


class TestHolds:
    """The first hold of an item travels in its row: pickup here, or elsewhere."""

    async def test_one_that_is_fetched_here_keeps_the_item_here(self, tmp_path: Path) -> None:
        hold = {"hold_srid": "x", "hold": "h1", "pickup": BRANCH, "hold_placed": 5}
        write_replica(tmp_path, [*standard_rows(), *Rows.item("3001", **hold), *Rows.item("4001", owner=HOST, **hold)])
        async with Bed(make_config(tmp_path)) as bed:
            assert await give_back(bed, "3001") == ("RETURN_HOLD", BRANCH)
            assert await give_back(bed, "4001") == ("RETURN_HOLD", BRANCH)
            assert [event.data["route"]["hold_id"] for event in bed.events(Kind.RETURN)] == ["h1", "h1"]

    async def test_one_that_is_fetched_elsewhere_sends_it_there(self, tmp_path: Path) -> None:
        hold = {"hold_srid": "x", "hold": "h1", "pickup": f"{HOST}-01"}
        write_replica(tmp_path, [*standard_rows(), *Rows.item("3001", **hold)])
        async with Bed(make_config(tmp_path)) as bed:
            assert await give_back(bed, "3001") == ("RETURN_TRANSIT", f"{HOST}-01")
            assert bed.events(Kind.RETURN)[0].data["route"]["reason"] == "HOLD"
