"""Lists: what is refused, what exists for whom, paging, filters, forms."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.hub.api import world
from tests.hub.api.hubside import Hub
from tests.hub.api.test_access import is_problem

pytestmark = pytest.mark.asyncio(loop_scope="session")

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
TIME_FIELDS = {
    "t",
    "t_out",
    "due",
    "t_end",
    "t_open",
    "t_sent",
    "t_in",
    "since",
    "last_seen",
    "t_eff",
    "t_arr",
    "valid_to",
    "valid_from",
}


async def rows(hub: Hub, path: str, token: str = "all") -> list[dict[str, Any]]:
    answer = await hub.get(f"/api/v1/{path}", token=token)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


@pytest.mark.parametrize("name", ["loans", "libraries", "events", "rules"])
async def test_an_unknown_filter_is_refused_by_name(hub: Hub, name: str) -> None:
    answer = await hub.get(f"/api/v1/{name}?colour=red")
    is_problem(answer, 422, "FILTER_UNKNOWN")
    assert answer.json()["errors"][0]["field"] == "colour"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=0", "LIMIT_INVALID"), ("limit=201", "LIMIT_INVALID"), ("limit=x", "LIMIT_INVALID"), ("limit=²", "LIMIT_INVALID"),
        ("cursor=zzz", "CURSOR_INVALID"), ("cursor=", "CURSOR_INVALID"), ("open=maybe", "FILTER_INVALID"),
        ("since=yesterday", "TIME_INVALID"), ("since=2026-01-01T00:00:00", "TIME_INVALID"), ("home=a&home=b", "FILTER_TWICE"),
        ("home=" + "x" * 161, "FILTER_TOO_LONG"), ("home=%00", "FILTER_INVALID"),
    ],
)  # fmt: skip
async def test_a_wrong_parameter_is_refused_with_its_code(hub: Hub, query: str, code: str) -> None:
    is_problem(await hub.get(f"/api/v1/loans?{query}"), 422, code)


async def test_a_cursor_of_another_list_is_refused(hub: Hub) -> None:
    cursor = (await hub.get("/api/v1/loans?limit=1")).json()["next_cursor"]
    is_problem(await hub.get(f"/api/v1/transits?cursor={cursor}"), 422, "CURSOR_INVALID")


async def test_pages_hold_every_row_once(hub: Hub) -> None:
    for name in ("items", "events", "loans", "devices", "libraries"):
        whole = [str(row) for row in await rows(hub, f"{name}?limit=200")]
        paged: list[str] = []
        cursor = ""
        while True:
            page = (await hub.get(f"/api/v1/{name}?limit=7{cursor}")).json()
            paged += [str(row) for row in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert paged == whole
        assert len(set(paged)) == len(paged)


async def test_what_is_sent_has_the_promised_forms(hub: Hub) -> None:
    for name in ("loans", "transits", "visits", "decisions", "conflicts", "devices", "events", "readers", "agreements"):
        for row in await rows(hub, name):
            for key, value in row.items():
                if key in TIME_FIELDS and value is not None:
                    assert TIME.fullmatch(value), (name, key, value)
            if row.get("item") is not None:
                assert set(row["item"]) == {"owner", "item_no"}


async def test_filters_by_field_name_narrow_the_list(hub: Hub) -> None:
    opened = await rows(hub, "loans?open=true&limit=200")
    ended = await rows(hub, "loans?open=false&limit=200")
    assert opened
    assert ended
    assert all(row["t_end"] is None for row in opened)
    assert {row["end_kind"] for row in ended} >= {"RETURN", "IMPLIED_RETURN"}
    away = await rows(hub, f"loans?home={world.CQU}&lender={world.YLG}")
    assert len(away) == 5
    assert [row["item"]["item_no"] for row in await rows(hub, f"items?owner={world.CQU}&status=IN_TRANSIT")]
    assert {row["primary_code"] for row in await rows(hub, "decisions?primary_code=CARD_LOST")} == {"CARD_LOST"}


# --- scope ---------------------------------------------------------------------------------------------------------


async def test_a_library_sees_only_loans_it_has_a_part_in(hub: Hub) -> None:
    seen = await rows(hub, "loans?limit=200", "ylg")
    assert seen
    assert all(world.YLG in (row["home"], row["lender"], row["item"]["owner"]) for row in seen)
    foreign = next(row for row in await rows(hub, "loans?limit=200") if row not in seen)
    is_problem(await hub.get(f"/api/v1/loans/{foreign['id']}", token="ylg"), 404, "NOT_FOUND")
    assert (await hub.get(f"/api/v1/loans/{foreign['id']}")).json() == foreign


async def test_visits_and_decisions_exist_for_the_place_alone(hub: Hub) -> None:
    for name in ("visits", "decisions", "devices"):
        every = await rows(hub, f"{name}?limit=200")
        seen = await rows(hub, f"{name}?limit=200", "cqu")
        assert [row for row in every if row["branch"].startswith(world.CQU)] == seen
        assert len(seen) < len(every)


async def test_reader_numbers_are_shown_to_their_own_library_alone(hub: Hub) -> None:
    own = await rows(hub, "readers?limit=200", "cqu")
    assert len(own) == 12
    assert all(row["reader_no"] for row in own)
    assert all(row["reader_no"] is None for row in await rows(hub, "readers?limit=200"))
    foreign = hub.rids[world.YLG][0]
    is_problem(await hub.get(f"/api/v1/readers/{foreign}", token="cqu"), 404, "NOT_FOUND")


async def test_a_reader_is_looked_up_by_number_in_the_body_by_the_own_library(hub: Hub) -> None:
    wanted = {"library": world.CQU, "reader_no": "20000003"}
    found = (await hub.post("/api/v1/readers/lookup", wanted, token="cqu")).json()
    assert found["rid"] == hub.rids[world.CQU][3]
    is_problem(await hub.post("/api/v1/readers/lookup", wanted, token="ylg"), 404, "NOT_FOUND")


async def test_events_of_another_place_are_seen_only_where_an_own_item_moved(hub: Hub) -> None:
    away = hub.edges[world.SCS]
    away.lend(hub.clock(), world.item(world.CQU, 12), hub.rids[world.CQU][5], world.CQU)
    away.enter(hub.clock(), hub.rids[world.CQU][5], world.CQU)
    away.leave(hub.clock(), hub.rids[world.CQU][5])
    await hub.take_in()
    seen = await rows(hub, "events?limit=200", "cqu")
    foreign = [row for row in seen if not row["branch"].startswith(world.CQU)]
    assert {row["kind"] for row in foreign} == {"CHECKOUT", "RETURN", "TRANSIT_SENT"}
    assert all(row["item"]["owner"] == world.CQU and row["rid"] is None for row in foreign)


async def test_items_not_shared_exist_for_their_owner_alone(hub: Hub) -> None:
    owner, item_no = world.item(world.SCS, 19)
    is_problem(await hub.get(f"/api/v1/items/{owner}/{item_no}", token="cqu"), 404, "NOT_FOUND")
    assert (await hub.get(f"/api/v1/items/{owner}/{item_no}")).json()["title"] == "Le Petit Prince"


async def test_agreements_and_their_rules_exist_for_the_parties(hub: Hub) -> None:
    assert [row["id"] for row in await rows(hub, "agreements", "cqu")] == ["cqu-ylg"]
    assert len(await rows(hub, "rules", "cqu")) == 2
    assert (await hub.get("/api/v1/agreements/cqu-ylg")).json()["version"] == 2
    assert len(await rows(hub, "libraries", "cqu")) == 3


async def test_no_list_shows_a_card_a_pin_or_a_local_reader_id(hub: Hub) -> None:
    uids = [card["uid"].lower() for reader in world.readers(0) for card in reader["cards"]]
    srids = {row.srid for edge in hub.edges.values() for row in edge.said if row.srid}
    assert srids
    for name in ("readers", "loans", "visits", "decisions", "events", "blocks"):
        text = (await hub.get(f"/api/v1/{name}?limit=200")).text
        assert not [uid for uid in uids if uid in text.lower()]
        assert "argon2" not in text
        assert not [srid for srid in srids if srid in text]


# --- devices, overview, singles ------------------------------------------------------------------------------------


async def test_devices_of_an_offline_branch_are_unknown_and_say_since_when(hub: Hub) -> None:
    found = await rows(hub, "devices?branch=990002-01")
    assert {row["state"] for row in found} == {"unknown"}
    assert {row["reported_state"] for row in found} == {"online"}
    assert all(row["since"] >= row["last_seen"] for row in found)


async def test_a_silent_branch_shows_silent_in_the_overview(hub: Hub) -> None:
    hub.clock.ahead += 60_000
    try:
        found = (await hub.get("/api/v1/overview")).json()
    finally:
        hub.clock.ahead -= 60_000
    assert {row["id"]: row["contact"] for row in found["branches"]} == {
        "251020-01": "silent", "990001-01": "silent", "990002-01": "offline"
    }  # fmt: skip
    assert {row["state"] for row in found["devices"]} == {"unknown"}


async def test_the_overview_counts_what_the_lists_hold(hub: Hub) -> None:
    found = (await hub.get("/api/v1/overview")).json()
    counts = found["counts"]
    assert counts["open_loans"] == len(await rows(hub, "loans?open=true&limit=200"))
    assert counts["open_transits"] == len(await rows(hub, "transits?open=true&limit=200"))
    assert counts["open_conflicts"] == len(await rows(hub, "conflicts?state=OPEN&limit=200"))
    inside = {row["id"]: row["inside"] for row in found["branches"]}
    assert inside == {"251020-01": 7, "990001-01": 15, "990002-01": 0}
    assert [row["id"] for row in (await hub.get("/api/v1/overview", token="ylg")).json()["branches"]] == ["990001-01"]


async def test_single_rows_are_found_by_ids_with_slashes(hub: Hub) -> None:
    for name in ("loans", "transits", "visits", "decisions", "conflicts", "events"):
        row = (await rows(hub, f"{name}?limit=1"))[0]
        one = (await hub.get(f"/api/v1/{name}/{row['id']}")).json()
        assert {key: one[key] for key in row} == row
    one = (await hub.get(f"/api/v1/decisions/{row['id']}")).json()
    device = (await rows(hub, "devices?limit=1"))[0]
    assert (await hub.get(f"/api/v1/devices/{device['node']}/{device['id']}")).json()["id"] == device["id"]


async def test_a_decision_is_shown_with_the_facts_it_was_taken_from(hub: Hub) -> None:
    row = (await rows(hub, "decisions?primary_code=AGR_NONE"))[0]
    assert row["text"] == {"zh": "贵馆与本馆无共享协议", "en": "No agreement with your library"}
    assert "facts" in (await hub.get(f"/api/v1/decisions/{row['id']}")).json()["record"]
