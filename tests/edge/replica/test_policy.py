"""Which policy an edge takes: sealed by a key it trusts, never older than it has had, not even after a restart."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from consortium.bundle import Bundle, digest, to_json
from consortium.seal import Trust, public_key, seal, to_text
from edge.replica import Applied, Replica, ReplicaInvalid, store
from tests.edge.site import BOB, Time, default_rows, delta, policy_row, prepared, reader_row, snapshot
from tests.make import DAY, HOME, NOW, Make
from tests.sealing import KEY, STRANGER, TRUST, sealed_text


async def again(folder: Path, time: Time, trust: Trust = TRUST) -> Replica:
    """The edge after a restart."""
    made = Replica(folder / "replica", time.clock, trust)
    await made.start()
    return made


def bundle(version: int, **more: Any) -> Bundle:
    return Make.bundle(version=version, **more)


def other_text(version: int, text: str) -> list[Any]:
    return ["policy", str(version), text]


LATER = bundle(2)
BAD: dict[str, list[Any]] = {
    "SEAL_FORM": other_text(2, to_json(LATER)),  # a bundle that nobody sealed
    "SEAL_UNKNOWN_KEY": policy_row(LATER, STRANGER),
    "SEAL_INVALID": other_text(2, to_text(replace(seal(to_json(bundle(3)), KEY), body=to_json(LATER)))),
    "BUNDLE_OLDER": policy_row(bundle(0)),
    "BUNDLE_FORK": policy_row(bundle(1, rules=())),
    "BUNDLE_EXPIRED": policy_row(bundle(2, valid_to_ms=NOW)),
    "BUNDLE_NOT_YET": policy_row(bundle(2, valid_from_ms=NOW + 1)),
    "BUNDLE_INVALID": other_text(2, sealed_text("{}")),
    "BUNDLE_CALENDAR": policy_row(bundle(2, calendars=())),
    "REPLICA_ROW": other_text(3, policy_row(LATER)[2]),
}


def rows_with(policy: list[Any]) -> list[list[Any]]:
    return [policy, *default_rows()[1:]]


class TestRefusals:
    @pytest.mark.parametrize("code", sorted(BAD))
    async def test_a_delta_with_such_a_policy_is_refused_whole_and_the_old_one_stays(
        self, replica: Replica, code: str
    ) -> None:
        with pytest.raises(ReplicaInvalid) as refused:
            await replica.apply_delta(delta(2, [reader_row(BOB, status="GONE"), BAD[code]]))
        assert refused.value.code == code
        assert replica.policy is not None
        assert (replica.policy.version, replica.version) == (1, 1)
        bob = replica.reader(BOB)
        assert bob is not None
        assert bob.status == "ACTIVE"

    @pytest.mark.parametrize("code", sorted(BAD))
    async def test_a_snapshot_with_such_a_policy_is_refused_whole_and_leaves_no_file(
        self, replica: Replica, tmp_path: Path, code: str
    ) -> None:
        manifest = snapshot(tmp_path / "new", rows_with(BAD[code]), version=40)
        with pytest.raises(ReplicaInvalid) as refused:
            await replica.apply_snapshot(tmp_path / "new", manifest)
        assert refused.value.code == code
        assert replica.policy is not None
        assert (replica.policy.version, replica.version) == (1, 1)
        assert len(list((tmp_path / "replica").glob("replica-*.db"))) == 1

    async def test_a_snapshot_without_a_policy_takes_nobody_s_away(self, replica: Replica, tmp_path: Path) -> None:
        with pytest.raises(ReplicaInvalid) as refused:
            await replica.apply_snapshot(tmp_path / "new", snapshot(tmp_path / "new", [], version=40))
        assert refused.value.code == "BUNDLE_MISSING"
        assert replica.ready

    async def test_an_edge_that_was_told_no_key_takes_no_policy(self, tmp_path: Path, time: Time) -> None:
        made = await again(tmp_path, time, Trust(()))
        with pytest.raises(ReplicaInvalid) as refused:
            await made.apply_snapshot(tmp_path / "new", snapshot(tmp_path / "new"))
        assert refused.value.code == "SEAL_UNKNOWN_KEY"
        assert not made.ready
        await made.close()


class TestAfterARestart:
    async def test_an_older_policy_is_refused_though_the_replica_s_files_are_gone(
        self, replica: Replica, tmp_path: Path, time: Time
    ) -> None:
        await replica.apply_delta(delta(2, [policy_row(bundle(7))]))
        await replica.close()
        for path in (tmp_path / "replica").iterdir():
            path.unlink()
        fresh = await again(tmp_path, time)
        assert not fresh.ready
        with pytest.raises(ReplicaInvalid) as refused:
            await fresh.apply_snapshot(tmp_path / "s", snapshot(tmp_path / "s", rows_with(policy_row(bundle(6)))))
        assert refused.value.code == "BUNDLE_OLDER"
        manifest = snapshot(tmp_path / "s", rows_with(policy_row(bundle(7))))
        assert await fresh.apply_snapshot(tmp_path / "s", manifest) == Applied(1)
        await fresh.close()

    async def test_a_replica_file_from_a_backup_does_not_bring_old_rules_back(
        self, replica: Replica, tmp_path: Path, time: Time
    ) -> None:
        manifest = snapshot(tmp_path / "s", rows_with(policy_row(bundle(2))), version=9)
        await replica.apply_snapshot(tmp_path / "s", manifest)
        await replica.close()
        prepared(tmp_path / "replica")
        restored = await again(tmp_path, time)
        assert (restored.ready, restored.version) == (False, 0)
        await restored.close()

    async def test_a_policy_changed_in_the_replica_s_file_is_not_decided_by(
        self, replica: Replica, tmp_path: Path, time: Time
    ) -> None:
        await replica.close()
        path = store.current(tmp_path / "replica")
        assert path is not None
        conn = store.connect(path)
        conn.execute("UPDATE policy SET body = ?", (sealed_text(to_json(Make.bundle(rules=())), STRANGER),))
        conn.close()
        tampered = await again(tmp_path, time)
        assert not tampered.ready
        await tampered.close()

    async def test_a_key_that_is_not_trusted_any_more_opens_nothing(
        self, replica: Replica, tmp_path: Path, time: Time
    ) -> None:
        await replica.close()
        other = await again(tmp_path, time, Trust((public_key(STRANGER),)))
        assert not other.ready
        await other.close()

    async def test_what_was_held_stays_in_use_beyond_its_end(
        self, replica: Replica, tmp_path: Path, time: Time
    ) -> None:
        await replica.close()
        time.ms += 2_000 * DAY
        late = await again(tmp_path, time)
        assert late.ready
        assert (await late.apply_snapshot(tmp_path / "s", snapshot(tmp_path / "s", version=2))) == Applied(2)
        await late.close()

    @pytest.mark.parametrize(
        "what", [b"", b"{}", b'{"version":"x","digest":1}', b"\xff" * 10, b'{"version":9,"digest":""}'.ljust(1_025)]
    )
    async def test_a_damaged_note_is_as_good_as_none_and_written_anew(
        self, replica: Replica, tmp_path: Path, time: Time, what: bytes
    ) -> None:
        note = tmp_path / "policy-held.json"
        await replica.close()
        note.write_bytes(what)
        fresh = await again(tmp_path, time)
        assert fresh.ready
        assert json.loads(note.read_text()) == {"version": 1, "digest": digest(to_json(Make.bundle()))}
        await fresh.close()


class TestTaking:
    async def test_the_next_policy_is_used_and_noted_outside_the_replica_s_folder(
        self, replica: Replica, tmp_path: Path
    ) -> None:
        note = tmp_path / "policy-held.json"
        assert json.loads(note.read_text())["version"] == 1
        await replica.apply_delta(delta(2, [policy_row(LATER)]))
        assert replica.policy is not None
        assert replica.policy.version == 2
        assert json.loads(note.read_text()) == {"version": 2, "digest": digest(to_json(LATER))}
        assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [note.name]

    async def test_the_same_policy_comes_again_with_every_snapshot(self, replica: Replica, tmp_path: Path) -> None:
        for version in (2, 3):
            manifest = snapshot(tmp_path / "s", version=version)
            assert await replica.apply_snapshot(tmp_path / "s", manifest) == Applied(version)
        assert replica.reader(BOB) is not None
        assert replica.owner_of_number("1001") == HOME
