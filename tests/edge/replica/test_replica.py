"""The replica: what it refuses, that versions follow one another, how old it is, and that a switch is whole."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortium.facts import Assurance, CardStatus, ItemStatus
from edge.outbox import Watermark
from edge.replica import Applied, Gap, Replica, ReplicaInvalid
from edge.replica.rows import change
from tests.edge.site import (
    ANN,
    BOB,
    Time,
    default_rows,
    delta,
    item_row,
    policy_row,
    reader_row,
    snapshot,
    token_row,
    uid_token,
    watermark,
)
from tests.make import HOME, HOUR, NOW, Make
from tests.sealing import TRUST

BAD_ROWS: list[Any] = [
    None,
    [],
    ["token", "00"],
    ["shelf", "1", {}],
    ["token", "xyz", {"srid": ANN, "status": "ACTIVE", "assurance": "LOW"}],
    ["token", "ab" * 32, {"srid": ANN, "status": "GOOD", "assurance": "LOW"}],
    ["token", 5, None],
    ["reader", ANN, {"home": HOME}],
    ["reader", ANN, {"home": HOME, "category": "UG", "open_loans": [["x"]]}],
    ["item", "1001", {"type": "BOOK", "owner_branch": "x"}],
    ["item", f"{HOME}/1", {"type": "BOOK", "owner_branch": "x", "title": "x" * 70_000}],
    ["item", f"{HOME}/1", {"type": "BOOK", "owner_branch": "x", "status": "GONE"}],
    ["number", "1", 7],
    ["policy", "x", "{}"],
    ["policy", "1", {}],
]


class TestRefusals:
    async def test_an_empty_replica_knows_nobody_and_is_endlessly_old(self, tmp_path: Path, time: Time) -> None:
        empty = Replica(tmp_path / "none", time.clock, TRUST)
        await empty.start()
        assert not empty.ready
        assert (empty.token(uid_token("04A1B2C3")), empty.reader(ANN), empty.item(HOME, "1001")) == (None, None, None)
        assert (empty.policy, empty.includes, empty.age_ms(), empty.owner_of_number("1001")) == (None,) * 4
        assert empty.known(time.now).cards == 0
        assert await empty.apply_delta(delta(1, [])) == Gap(None, (1, 1))
        await empty.close()

    @pytest.mark.parametrize("row", BAD_ROWS)
    async def test_a_row_that_cannot_be_read_refuses_the_whole_delta(self, replica: Replica, row: Any) -> None:
        with pytest.raises(ReplicaInvalid) as caught:
            await replica.apply_delta(delta(2, [reader_row(BOB, status="GONE"), row]))
        assert caught.value.code in ("REPLICA_ROW", "BUNDLE_INVALID")
        assert replica.version == 1
        bob = replica.reader(BOB)
        assert bob is not None
        assert bob.status == "ACTIVE"

    @pytest.mark.parametrize("gone", ["generation", "version", "asof_ms", "includes"])
    async def test_a_delta_without_a_field_is_refused(self, replica: Replica, gone: str) -> None:
        message = delta(2, [])
        del message[gone]
        with pytest.raises(ReplicaInvalid):
            await replica.apply_delta(message)

    async def test_a_policy_that_contradicts_itself_is_refused_and_the_old_one_stays(self, replica: Replica) -> None:
        with pytest.raises(ReplicaInvalid) as caught:
            await replica.apply_delta(delta(2, [policy_row(Make.bundle(version=2, calendars=()))]))
        assert caught.value.code == "BUNDLE_CALENDAR"
        assert replica.policy is not None
        assert replica.policy.version == 1

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"sha256": "0" * 64}, "REPLICA_SHA256"),
            ({"size": 7}, "REPLICA_SIZE"),
            ({"version": 9}, "REPLICA_MANIFEST"),
            ({"org": "990001"}, "REPLICA_MANIFEST"),
        ],
    )
    async def test_a_snapshot_that_is_not_what_its_manifest_names_is_refused(
        self, replica: Replica, tmp_path: Path, change: dict[str, Any], code: str
    ) -> None:
        manifest = snapshot(tmp_path / "new", [], version=2) | change
        with pytest.raises(ReplicaInvalid) as caught:
            await replica.apply_snapshot(tmp_path / "new", manifest)
        assert caught.value.code == code
        assert replica.reader(ANN) is not None
        assert len(list((tmp_path / "replica").glob("replica-*.db"))) == 1

    @pytest.mark.parametrize("row", [["token", "x", {}], "text", ["item", "no-owner", {}]])
    async def test_a_snapshot_with_a_bad_row_is_refused_whole(self, replica: Replica, tmp_path: Path, row: Any) -> None:
        manifest = snapshot(tmp_path / "new", [policy_row(), row], version=2)
        with pytest.raises(ReplicaInvalid):
            await replica.apply_snapshot(tmp_path / "new", manifest)
        assert replica.version == 1

    async def test_a_snapshot_cut_short_is_refused(self, replica: Replica, tmp_path: Path) -> None:
        manifest = snapshot(tmp_path / "new", version=2)
        (tmp_path / "new").write_bytes((tmp_path / "new").read_bytes()[:-20])
        with pytest.raises(ReplicaInvalid):
            await replica.apply_snapshot(tmp_path / "new", manifest)
        assert replica.version == 1

    @given(
        st.recursive(
            st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
        )
    )
    def test_no_row_is_read_by_accident(self, row: Any) -> None:
        with pytest.raises(ReplicaInvalid):
            change(["reader", "x" * 32, row if row is not None else {}])


class TestVersions:
    async def test_the_next_version_is_applied_and_an_older_one_changes_nothing(self, replica: Replica) -> None:
        step = delta(2, [token_row(uid_token("04A1B2C3"), ANN, status="LOST"), ["token", uid_token("04A1B2C4"), None]])
        assert await replica.apply_delta(step) == Applied(2)
        found = replica.token(uid_token("04A1B2C3"))
        assert found is not None
        assert found.status is CardStatus.LOST
        assert replica.token(uid_token("04A1B2C4")) is None
        assert await replica.apply_delta(delta(2, [token_row(uid_token("04A1B2C3"), ANN)])) == Applied(2, changed=False)
        assert await replica.apply_delta(delta(1, [])) == Applied(2, changed=False)

    async def test_a_gap_changes_nothing_and_freezes_the_as_of_time(self, replica: Replica, time: Time) -> None:
        time.ms += 60_000
        assert await replica.apply_delta(delta(3, [reader_row(BOB)], asof_ms=time.now)) == Gap((1, 1), (1, 3))
        assert await replica.apply_watermark(watermark(3, asof_ms=time.now)) == Gap((1, 1), (1, 3))
        assert replica.known(time.now).cards == NOW
        assert replica.version == 1

    async def test_another_generation_is_a_gap_but_an_older_one_is_late_mail(
        self, replica: Replica, tmp_path: Path
    ) -> None:
        assert await replica.apply_delta(delta(2, [], generation=2)) == Gap((1, 1), (2, 2))
        await replica.apply_snapshot(tmp_path / "g", snapshot(tmp_path / "g", generation=2, version=1))
        assert await replica.apply_delta(delta(9, [], generation=1)) == Applied(1, changed=False)
        assert (replica.generation, replica.version) == (2, 1)

    async def test_a_watermark_makes_the_same_version_younger(self, replica: Replica, time: Time) -> None:
        time.ms += 30_000
        assert replica.known(time.now).blocks == NOW
        assert await replica.apply_watermark(watermark(1, asof_ms=time.now, epoch="e", upto=5)) == Applied(1)
        assert replica.known(time.now).blocks == time.now
        assert replica.includes == Watermark("e", 5)

    async def test_a_message_that_was_long_on_its_way_is_as_old_as_it_is(self, replica: Replica, time: Time) -> None:
        time.ms += HOUR
        await replica.apply_watermark(watermark(1, asof_ms=NOW + 1_000))
        assert replica.age_ms() == HOUR - 1_000

    async def test_ages_run_on_the_monotonic_clock(self, tmp_path: Path, replica: Replica, time: Time) -> None:
        time.ms += 5_000
        assert replica.age_ms() == 5_000
        time.clock.measure(NOW - HOUR, 5_000, 5_000)  # the hub's time is corrected by less than a jump's worth twice
        time.clock.measure(NOW - HOUR, 5_000, 5_000)
        assert replica.known(time.now).cards == time.now - 5_000

    async def test_a_policy_in_a_delta_is_used_at_once(self, replica: Replica) -> None:
        await replica.apply_delta(delta(2, [policy_row(Make.bundle(version=7))]))
        assert replica.policy is not None
        assert replica.policy.version == 7

    async def test_changes_handed_in_together_are_applied_in_order(self, replica: Replica) -> None:
        steps = [delta(n, [item_row("1001", title=str(n))]) for n in range(2, 40)]
        assert await asyncio.gather(*(replica.apply_delta(step) for step in steps)) == [
            Applied(n) for n in range(2, 40)
        ]
        item = replica.item(HOME, "1001")
        assert item is not None
        assert item.title == "39"


class TestReading:
    async def test_every_kind_of_row_comes_back_as_it_was_sent(self, replica: Replica) -> None:
        found = replica.token(uid_token("04A1B2C3"))
        assert found is not None
        assert (found.srid, found.status, found.assurance, found.to_ms) == (ANN, CardStatus.ACTIVE, Assurance.LOW, None)
        block = {"issuer": HOME, "scope": "issuer", "actions": ["BORROW"], "kind": "FEES", "from_ms": 1, "to_ms": None}
        await replica.apply_delta(
            delta(2, [reader_row(ANN, blocks=[block], open_loans=[[HOME, "BOOK", 2, 3]], pin="$argon2id$x")])
        )
        reader = replica.reader(ANN)
        assert reader is not None
        assert reader.pin == "$argon2id$x"
        assert reader.block_facts()[0].actions == frozenset({"BORROW"})
        assert reader.loan_facts()[0].n == 2
        item = replica.item("990001", "2001")
        assert item is not None
        assert (item.title, item.status) == ("书 2001", ItemStatus.SHELVED)

    async def test_a_bare_number_is_the_sites_own_first_and_else_the_only_partners(self, replica: Replica) -> None:
        assert replica.owner_of_number("1001") == HOME
        assert replica.owner_of_number("2001") == "990001"
        assert replica.owner_of_number("9") is None
        await replica.apply_delta(delta(2, [item_row("2001")]))
        assert replica.owner_of_number("2001") == HOME

    async def test_loans_and_holds_of_a_reader_are_found(self, replica: Replica) -> None:
        await replica.apply_delta(delta(2, [item_row("1001", loan_srid=ANN), item_row("1002", hold_srid=ANN)]))
        assert [key.item_no for key in replica.loans_of(ANN)] == ["1001"]
        assert [key.item_no for key in replica.holds_of(ANN)] == ["1002"]
        await replica.apply_delta(delta(3, [item_row("1001"), ["item", f"{HOME}/1002", None]]))
        assert (replica.loans_of(ANN), replica.holds_of(ANN)) == ([], [])

    async def test_reads_at_one_version_do_not_see_a_change_in_between(self, replica: Replica) -> None:
        with replica._kept.changing():  # as a writer announces itself
            with replica.at_one_version():
                before = replica.reader(ANN)
                replica._write([reader_row(ANN, status="GONE")], replica._head)  # type: ignore[arg-type]
                assert replica.reader(ANN) == before
            during = replica.reader(ANN)
        after = replica.reader(ANN)
        assert during is not None
        assert after is not None
        assert (during.status, after.status) == ("GONE", "GONE")

    async def test_a_row_read_before_is_read_anew_after_every_change(self, replica: Replica) -> None:
        for version, status in ((2, "GONE"), (3, "ACTIVE"), (4, "GONE")):
            replica.reader(ANN), replica.item(HOME, "1001")
            await replica.apply_delta(delta(version, [reader_row(ANN, status=status), item_row("1001", title=status)]))
            reader, item = replica.reader(ANN), replica.item(HOME, "1001")
            assert reader is not None
            assert item is not None
            assert (reader.status, item.title) == (status, status)

    async def test_a_token_that_is_none_finds_nobody(self, replica: Replica) -> None:
        assert replica.token("not hex") is None
        assert replica.token("") is None


class TestSwitching:
    async def test_a_snapshot_replaces_everything_and_leaves_one_file(self, replica: Replica, tmp_path: Path) -> None:
        rows = [policy_row(Make.bundle(version=3)), reader_row(BOB)]
        manifest = snapshot(tmp_path / "new", rows, version=40, epoch="e", upto=9)
        assert await replica.apply_snapshot(tmp_path / "new", manifest) == Applied(40)
        assert (replica.reader(ANN), replica.version, replica.includes) == (None, 40, Watermark("e", 9))
        assert replica.policy is not None
        assert replica.policy.version == 3
        assert len(list((tmp_path / "replica").glob("replica-*.db"))) == 1
        assert await replica.apply_delta(delta(41, [reader_row(ANN)])) == Applied(41)

    async def test_an_older_snapshot_changes_nothing(self, replica: Replica, tmp_path: Path) -> None:
        await replica.apply_delta(delta(2, []))
        assert await replica.apply_snapshot(tmp_path / "s", snapshot(tmp_path / "s", [])) == Applied(2, changed=False)
        assert replica.reader(ANN) is not None

    async def test_a_restart_finds_the_replica_as_old_as_it_is(
        self, replica: Replica, tmp_path: Path, time: Time
    ) -> None:
        await replica.apply_delta(delta(2, [reader_row(BOB, status="GONE")], epoch="e", upto=3))
        await replica.close()
        time.ms += 2 * HOUR
        again = Replica(tmp_path / "replica", time.clock, TRUST)
        await again.start()
        assert (again.version, again.includes, again.age_ms()) == (2, Watermark("e", 3), 2 * HOUR)
        bob = again.reader(BOB)
        assert bob is not None
        assert bob.status == "GONE"
        await again.close()

    @pytest.mark.parametrize("what", [b"", b"no database at all" * 100])
    async def test_a_damaged_file_is_as_good_as_none(
        self, replica: Replica, tmp_path: Path, time: Time, what: bytes
    ) -> None:
        await replica.close()
        (path,) = (tmp_path / "replica").glob("replica-*.db")
        path.write_bytes(what)
        again = Replica(tmp_path / "replica", time.clock, TRUST)
        await again.start()
        assert not again.ready
        await again.apply_snapshot(tmp_path / "s", snapshot(tmp_path / "s"))
        assert again.ready
        await again.close()

    async def test_gzip_members_one_after_the_other_are_one_snapshot(self, replica: Replica, tmp_path: Path) -> None:
        # RFC 1952 §2.2: a hub may write a head for each node before a body that all share.
        import gzip
        import hashlib

        head = {"org": HOME, "generation": 1, "version": 5, "asof_ms": NOW, "includes": {"epoch": "e", "upto": 1}}
        body = "".join(json.dumps(row) + "\n" for row in default_rows()).encode()
        raw = gzip.compress(json.dumps(head).encode() + b"\n") + gzip.compress(body)
        (tmp_path / "two").write_bytes(raw)
        manifest = {**head, "sha256": hashlib.sha256(raw).hexdigest(), "size": len(raw)}
        assert await replica.apply_snapshot(tmp_path / "two", manifest) == Applied(5)
        assert replica.reader(ANN) is not None
