"""The newest bundle of the store, compiled once and shared by whoever decides."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from consortium.bundle import Bundle, Policy, digest, from_json, to_json
from hub.store.engine import Store
from hub.store.schema import bundles


class PolicyMissing(RuntimeError):
    """No bundle was ever published: there is nothing to decide by."""

    code = "POLICY_MISSING"


class CurrentPolicy:
    """Holds the policy in force; ``refresh`` after a bundle was published and committed."""

    def __init__(self) -> None:
        self._policy: Policy | None = None
        self.text = ""
        """The bundle's exact JSON, as it travels."""

    @property
    def policy(self) -> Policy:
        """The policy in force. Raises PolicyMissing."""
        if self._policy is None:
            raise PolicyMissing("no policy bundle was published yet; load a consortium file first")
        return self._policy

    @property
    def found(self) -> Policy | None:
        """The policy in force, None before the first was published."""
        return self._policy

    @property
    def orgs(self) -> list[str]:
        """Every library of the policy, sorted; none before the first bundle."""
        return sorted(self._policy.libraries) if self._policy else []

    def set(self, bundle: Bundle) -> None:
        """Take this bundle as the one in force. Raises BundleError where it contradicts itself."""
        self._policy = Policy(bundle)
        self.text = to_json(bundle)

    async def refresh(self, store: Store) -> None:
        """Take the newest bundle of the store. Raises BundleError where it cannot be read."""
        async with store.read() as conn:
            row = (await conn.execute(select(bundles).order_by(bundles.c.version.desc()).limit(1))).one_or_none()
        if row is not None and (self._policy is None or row.version != self._policy.version):
            self._policy = Policy(from_json(row.body))
            self.text = row.body


async def publish(conn: AsyncConnection, bundle: Bundle) -> bool:
    """Write a bundle down; False where that very version is there already. Raises BundleError, ValueError for a version taken."""
    Policy(bundle)  # a bundle that contradicts itself is never published
    body = to_json(bundle)
    known = (
        await conn.execute(select(bundles.c.digest).where(bundles.c.version == bundle.version))
    ).scalar_one_or_none()
    if known is not None:
        if known != digest(body):
            raise ValueError(f"policy version {bundle.version} is taken by another bundle; raise the version")
        return False
    row = {"version": bundle.version, "digest": digest(body), "issued_ms": bundle.issued_ms, "body": body}
    await conn.execute(bundles.insert(), row)
    return True
