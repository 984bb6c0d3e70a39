"""The newest bundle of the store, compiled once and shared by whoever decides."""

from __future__ import annotations

from sqlalchemy import select

from consortium.bundle import Bundle, Policy, from_json
from consortium.seal import SealError, from_text
from hub.store.engine import Store
from hub.store.schema import bundles


class PolicyMissing(RuntimeError):
    """No bundle was ever published: there is nothing to decide by."""

    code = "POLICY_MISSING"


class CurrentPolicy:
    """Holds the policy in force; ``refresh`` after a bundle was published and committed."""

    def __init__(self) -> None:
        self._policy: Policy | None = None

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

    async def refresh(self, store: Store) -> None:
        """Take the newest bundle of the store. Raises BundleError where it cannot be read or is not what was sealed."""
        async with store.read() as conn:
            row = (await conn.execute(select(bundles).order_by(bundles.c.version.desc()).limit(1))).one_or_none()
        if row is None or (self._policy is not None and row.version == self._policy.version):
            return
        # The hub decides by the very text that branches are sent: anything else would be two policies in force.
        if row.sealed is None or from_text(row.sealed).body != row.body:
            raise SealError("SEAL_INVALID", f"policy version {row.version} is not the text that was sealed")
        self._policy = Policy(from_json(row.body))
