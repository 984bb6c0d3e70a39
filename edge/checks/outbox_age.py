"""Events wait too long for the hub's ack."""

from __future__ import annotations

from edge.checks.base import Issue, Vitals

WARN_MS = 2 * 60_000
ERROR_MS = 60 * 60_000


class OutboxAge:
    """An event unacknowledged for two minutes is a warning, for an hour an error; a full outbox always one."""

    name = "outbox_age"

    def find(self, vitals: Vitals) -> list[Issue]:
        """At most one issue."""
        if vitals.outbox_full:
            return [
                Issue(
                    "OUTBOX_FULL",
                    "outbox",
                    "error",
                    {
                        "zh": "无法再记录事件：检查磁盘空间与到中心的连接",
                        "en": "Nothing more can be recorded: check disk space and the link to the hub.",
                    },
                    {"depth": vitals.outbox_depth},
                )
            ]
        if vitals.outbox_oldest is None or vitals.now - vitals.outbox_oldest < WARN_MS:
            return []
        age = vitals.now - vitals.outbox_oldest
        return [
            Issue(
                "OUTBOX_OLD",
                "outbox",
                "error" if age >= ERROR_MS else "warning",
                {
                    "zh": "事件尚未送达中心：检查网络；数据不会丢失",
                    "en": "Events have not reached the hub: check the network. Nothing is lost.",
                },
                {"age_ms": age, "depth": vitals.outbox_depth},
            )
        ]
