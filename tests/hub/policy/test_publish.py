"""Publishing: what the hub refuses to seal, what it writes down, and whose key it is."""

from __future__ import annotations

import gzip
import json
import logging
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, update

from consortium.bundle import Bundle, BundleError, digest, from_plain, to_json
from consortium.seal import (
    Sealed,
    SealError,
    Trust,
    countersign,
    open_sealed,
    public_key,
    seal,
    sign_agreement,
    to_text,
    with_agreement_seals,
)
from hub.config import ConfigError, HubConfig, policy_key, policy_trust
from hub.load import load
from hub.policy.current import CurrentPolicy
from hub.policy.keys import signing_key
from hub.policy.publish import publish
from hub.store import schema
from hub.store.engine import Store
from tests.hub.api import world
from tests.hub.api.hubside import config_at
from tests.hub.api.world import CQU, DAY, YLG
from tests.hub.core import COST, Core, running
from tests.make import NOW

KEY, OTHER = world.POLICY_KEY, bytes(range(64, 96))
PUBLIC = public_key(KEY)


def bundle(**more: Any) -> Bundle:
    """The world's bundle, changed."""
    return from_plain({**world.bundle(NOW), **more})


NEWEST = bundle().version
LIMIT = world.bundle(NOW)["limits"][0]


async def offer(core: Core, offered: Bundle | Sealed, now: int = NOW, trust: Trust | None = None) -> Any:
    async with core.store.write() as conn:
        return await publish(conn, offered, KEY, now, trust=trust)


class TestRefusals:
    @pytest.mark.parametrize(
        ("more", "now", "code"),
        [
            ({"version": NEWEST - 1}, NOW, "BUNDLE_OLDER"),
            ({"rules": []}, NOW, "BUNDLE_FORK"),
            ({"version": NEWEST + 1, "calendars": []}, NOW, "BUNDLE_CALENDAR"),
            ({"version": NEWEST + 1, "limits": [{**LIMIT, "max_open": -1}]}, NOW, "BUNDLE_NEGATIVE"),
            ({"version": NEWEST + 1}, bundle().valid_from_ms - 1, "BUNDLE_NOT_YET"),
            ({"version": NEWEST + 1}, bundle().valid_to_ms, "BUNDLE_EXPIRED"),
        ],
    )
    async def test_what_no_branch_would_take_is_not_published(
        self, tmp_path: Path, more: dict[str, Any], now: int, code: str
    ) -> None:
        async with running(tmp_path) as core:
            before = await core.rows(schema.bundles)
            with pytest.raises(BundleError) as refused:
                await offer(core, bundle(**more), now)
            assert refused.value.code == code
            assert await core.rows(schema.bundles) == before

    async def test_a_false_seal_of_a_cosigner_and_a_missing_one_are_refused(self, tmp_path: Path) -> None:
        trust = Trust((PUBLIC, public_key(OTHER)), 2)
        body = to_json(bundle(version=NEWEST + 1))
        wrong = replace(seal(body, OTHER), body=body.replace('"version"', '"vErsion"'))
        async with running(tmp_path) as core:
            for offered, code in (
                (Sealed(body, ()), "SEAL_TOO_FEW"),
                (replace(wrong, body=body + " "), "SEAL_INVALID"),
            ):
                with pytest.raises(SealError) as refused:
                    await offer(core, offered, trust=trust)
                assert refused.value.code == code

    async def test_an_agreement_that_a_party_did_not_sign_is_refused_where_parties_sign(self, tmp_path: Path) -> None:
        trust = Trust((PUBLIC,), 1, {CQU: (public_key(OTHER),), YLG: (public_key(OTHER),)})
        async with running(tmp_path) as core:
            with pytest.raises(SealError) as refused:
                await offer(core, bundle(version=NEWEST + 1), trust=trust)
            assert refused.value.code == "AGREEMENT_UNSIGNED"


class TestPublishing:
    async def test_body_and_sealed_text_are_kept_exactly_and_the_key_is_known(self, tmp_path: Path) -> None:
        async with running(tmp_path) as core:
            (row,) = await core.rows(schema.bundles)
            assert row["body"] == to_json(bundle())
            assert row["sealed"] == to_text(seal(row["body"], KEY))
            (known,) = await core.rows(schema.policy_keys)
            assert known == {"key_id": PUBLIC.id, "public": PUBLIC.public.hex(), "since": NOW}

    async def test_the_log_says_that_a_policy_was_published(self, tmp_path: Path) -> None:
        async with running(tmp_path) as core:
            (event,) = [row for row in await core.rows(schema.events) if row["kind"] == "POLICY_PUBLISHED"]
            said = json.loads(event["body"])
            assert said["data"] == {"version": NEWEST, "digest": digest(to_json(bundle()))}
            assert event["t_eff"] == NOW

    async def test_the_newest_once_more_changes_nothing_and_the_next_is_taken(self, tmp_path: Path) -> None:
        async with running(tmp_path) as core:
            assert await offer(core, bundle(), NOW + 5 * DAY) is None
            taken = await offer(core, bundle(version=NEWEST + 3))
            assert taken.held.version == NEWEST + 3
            with pytest.raises(SealError):
                await offer(core, bundle(version=NEWEST + 2))

    async def test_seals_of_others_and_of_parties_stay_beside_the_hub_s(self, tmp_path: Path) -> None:
        new = bundle(version=NEWEST + 1)
        signed = [
            sign_agreement(agreement, party.org, OTHER) for agreement in new.agreements for party in agreement.parties
        ]
        trust = Trust((PUBLIC, public_key(OTHER)), 2, dict.fromkeys(world.BRANCHES, (public_key(OTHER),)))
        offered = with_agreement_seals(seal(to_json(new), OTHER), signed)
        file = {"bundle": json.loads(to_text(offered))}
        async with running(tmp_path) as core:
            await load(core.store, file, world.MASTER, NOW, policy_key=KEY, trust=trust, cost=COST)
            row = (await core.rows(schema.bundles))[-1]
            assert open_sealed(row["sealed"], trust, None, NOW) == new
            assert row["sealed"] == to_text(countersign(offered, KEY))

    async def test_the_snapshot_carries_the_sealed_text(self, tmp_path: Path) -> None:
        async with running(tmp_path) as core:
            (row,) = await core.rows(schema.bundles)
            found = await core.spread.snapshot(CQU)
            lines = [json.loads(line) for line in gzip.decompress(found.path.read_bytes()).splitlines()[1:]]
            assert [line for line in lines if line[0] == "policy"] == [["policy", str(NEWEST), row["sealed"]]]


class TestDecidingByIt:
    @pytest.mark.parametrize("values", [{"body": to_json(bundle(rules=[]))}, {"sealed": None}])
    async def test_a_bundle_changed_in_the_database_is_not_decided_by(
        self, tmp_path: Path, values: dict[str, Any]
    ) -> None:
        async with running(tmp_path) as core:
            async with core.store.write() as conn:
                await conn.execute(update(schema.bundles).values(**values))
            with pytest.raises(SealError) as refused:
                await CurrentPolicy().refresh(core.store)
            assert refused.value.code == "SEAL_INVALID"


async def opened(folder: Path) -> tuple[HubConfig, Store]:
    config = config_at(folder, "mqtt://127.0.0.1:9")
    config.policy_key_file.unlink()
    return config, await Store.open(config.database)


class TestTheKey:
    async def test_a_key_that_went_away_is_never_replaced_in_silence(self, tmp_path: Path) -> None:
        config, store = await opened(tmp_path)
        await signing_key(config, store, NOW)
        config.policy_key_file.unlink()
        with pytest.raises(ConfigError) as gone:
            await signing_key(config, store, NOW)
        assert gone.value.code == "CONFIG_POLICY_KEY_GONE"
        assert not config.policy_key_file.exists()
        await store.close()

    @pytest.mark.parametrize(
        ("text", "mode", "code"), [("ab" * 32, 0o640, "CONFIG_KEY_MODE"), ("ab", 0o600, "CONFIG_KEY_FORM")]
    )
    async def test_a_key_file_that_cannot_be_trusted_is_named(
        self, tmp_path: Path, text: str, mode: int, code: str
    ) -> None:
        config, store = await opened(tmp_path)
        config.policy_key_file.write_text(text)
        config.policy_key_file.chmod(mode)
        with pytest.raises(ConfigError, match="policy_key_file") as wrong:
            await signing_key(config, store, NOW)
        assert wrong.value.code == code
        await store.close()

    async def test_the_first_start_makes_a_private_key_and_says_its_public_half(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        config, store = await opened(tmp_path)
        with caplog.at_level(logging.INFO):
            key = await signing_key(config, store, NOW)
        assert stat.S_IMODE(config.policy_key_file.stat().st_mode) == 0o600
        assert key == policy_key(config) == await signing_key(config, store, NOW)
        assert public_key(key).public.hex() in caplog.text
        assert key.hex() not in caplog.text
        assert policy_trust(config, key) == Trust((public_key(key),))
        await store.close()

    async def test_a_new_key_put_there_by_hand_is_used_and_both_are_known(self, tmp_path: Path) -> None:
        config, store = await opened(tmp_path)
        first = await signing_key(config, store, NOW)
        config.policy_key_file.write_text(OTHER.hex())
        assert await signing_key(config, store, NOW + 1) == OTHER
        async with store.read() as conn:
            known = {row.key_id: row.since for row in await conn.execute(schema.policy_keys.select())}
        assert known == {public_key(first).id: NOW, public_key(OTHER).id: NOW + 1}
        await store.close()

    async def test_a_database_from_before_sealing_is_sealed_once(self, tmp_path: Path) -> None:
        config, store = await opened(tmp_path)
        body = to_json(bundle())
        row = {"version": NEWEST, "digest": digest(body), "issued_ms": NOW, "body": body, "sealed": None}
        async with store.write() as conn:
            await conn.execute(insert(schema.bundles), row)
        key = await signing_key(config, store, NOW)
        policy = CurrentPolicy()
        await policy.refresh(store)
        assert policy.policy.version == NEWEST
        async with store.write() as conn:
            text = (await conn.execute(schema.bundles.select())).one().sealed
            assert open_sealed(text, Trust((public_key(key),)), None, NOW) == bundle()
            await conn.execute(delete(schema.bundles))
            await conn.execute(insert(schema.bundles), row)  # put there behind the hub's back: nobody seals that
        await signing_key(config, store, NOW)
        with pytest.raises(SealError):
            await CurrentPolicy().refresh(store)
        await store.close()
