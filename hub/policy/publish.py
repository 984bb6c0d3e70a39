"""Publishing: a bundle is judged, sealed with the consortium's policy key and written down, in the caller's transaction."""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from consortium.bundle import Bundle, Policy, from_json, to_json
from consortium.lint import check_bundle
from consortium.seal import Held, Opened, Sealed, Trust, countersign, public_key, seal, to_text, unseal
from hub.store.schema import bundles


async def publish(
    conn: AsyncConnection, offered: Bundle | Sealed, key: bytes, now: int, *, trust: Trust | None = None
) -> Opened | None:
    """Seal a bundle with the hub's private key and write it down; None where that very one is the newest already.

    ``offered`` may carry the seals of others and of the agreements' parties; they stay. ``now`` in ms UTC. The hub refuses what a
    branch that trusts the same (``trust``, else the hub's key alone) would refuse: there it would hold up everything else.

    Raises BundleError for a bundle that contradicts itself, SealError BUNDLE_OLDER or BUNDLE_FORK where its version is taken,
    BUNDLE_NOT_YET or BUNDLE_EXPIRED outside its time, and those of the seals.
    """
    draft = offered if isinstance(offered, Sealed) else Sealed(to_json(offered), ())
    bundle = from_json(draft.body)
    Policy(bundle)
    check_bundle(bundle)
    text = to_text(countersign(draft, key))
    held = await newest(conn)
    opened = unseal(text, trust or Trust((public_key(key),)), held, now)
    if opened.held == held:
        return None
    row = {
        "version": opened.held.version, "digest": opened.held.digest, "issued_ms": opened.bundle.issued_ms,
        "body": draft.body, "sealed": text,
    }  # fmt: skip
    await conn.execute(bundles.insert(), row)
    return opened


async def newest(conn: AsyncConnection) -> Held | None:
    """Version and digest of the newest bundle, None before the first."""
    query = select(bundles.c.version, bundles.c.digest).order_by(bundles.c.version.desc()).limit(1)
    row = (await conn.execute(query)).one_or_none()
    return Held(row.version, row.digest) if row is not None else None


async def seal_unsealed(conn: AsyncConnection, key: bytes) -> None:
    """Seal the bundles of a database that is older than sealing."""
    rows = (await conn.execute(select(bundles.c.version, bundles.c.body).where(bundles.c.sealed.is_(None)))).all()
    for row in rows:
        text = to_text(seal(row.body, key))
        await conn.execute(update(bundles).where(bundles.c.version == row.version).values(sealed=text))
