"""The key that policy bundles are sealed with: made once, kept in a file, and known to the database by its public half."""

from __future__ import annotations

import logging
import secrets

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from consortium.seal import public_key
from hub.config import KEY_BYTES, ConfigError, HubConfig, policy_key, write_key
from hub.policy.publish import seal_unsealed
from hub.store.engine import Store, execute_rows, insert_new
from hub.store.schema import policy_keys

_log = logging.getLogger(__name__)


async def signing_key(config: HubConfig, store: Store, now: int) -> bytes:
    """The private policy key, made at the hub's first start; every bundle of an older database is sealed then. ``now`` in ms UTC.

    Raises ConfigError: as ``policy_key`` does, and CONFIG_POLICY_KEY_GONE where bundles were sealed with a key that is not there any
    more. A key is never replaced in silence: branches would refuse everything that the new one seals.
    """
    async with store.write() as conn:
        first = (await conn.execute(select(policy_keys.c.key_id).limit(1))).first() is None
        if not config.policy_key_file.exists():
            if not first:
                raise ConfigError(
                    "CONFIG_POLICY_KEY_GONE",
                    f"policy_key_file: {config.policy_key_file.name} is not there, but bundles were sealed with it; "
                    "restore it, or make another with `tongjie policy keygen` and name its public half to every branch",
                )
            write_key(config.policy_key_file, secrets.token_bytes(KEY_BYTES))
        key = policy_key(config)
        await register(conn, key, now)
        if first:
            await seal_unsealed(conn, key)
    public = public_key(key)
    _log.info(
        'policy: bundles are sealed with key %s; edges name it: policy_keys = ["%s"]', public.id, public.public.hex()
    )
    return key


async def register(conn: AsyncConnection, key: bytes, now: int) -> None:
    """Write the public half of a key down, where it is new."""
    public = public_key(key)
    row = {"key_id": public.id, "public": public.public.hex(), "since": now}
    await execute_rows(conn, insert_new(conn, policy_keys), [row])
