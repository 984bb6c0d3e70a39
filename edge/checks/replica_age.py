"""The replica is missing or older than its bounds (domain §6)."""

from __future__ import annotations

from edge.checks.base import Issue, Vitals

BORROW_FRESH_MS = 15 * 60_000
BORROW_REFUSE_MS = 8 * 3_600_000


class ReplicaAge:
    """No policy is an error; facts above 15 minutes mean degraded borrowing, above 8 hours none."""

    name = "replica_age"

    def find(self, vitals: Vitals) -> list[Issue]:
        """At most one issue."""
        if vitals.policy_version is None or vitals.facts_asof is None:
            return [
                Issue(
                    "REPLICA_MISSING",
                    "replica",
                    "error",
                    {
                        "zh": "尚未收到副本与策略：检查中心地址与节点令牌",
                        "en": "No replica or policy yet: check the hub's address and this node's token.",
                    },
                )
            ]
        age = vitals.now - vitals.facts_asof
        if age < BORROW_FRESH_MS:
            return []
        return [
            Issue(
                "REPLICA_OLD",
                "replica",
                "error" if age >= BORROW_REFUSE_MS else "warning",
                {
                    "zh": "副本过旧，外借按离线规则办理：检查到中心的网络",
                    "en": "The replica is old, borrowing follows the offline rules: check the network to the hub.",
                },
                {"age_ms": age},
            )
        ]
