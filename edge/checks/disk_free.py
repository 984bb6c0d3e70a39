"""The disk that holds outbox and replica fills up."""

from __future__ import annotations

from edge.checks.base import Issue, Vitals

WARN_BYTES = 1_000_000_000
ERROR_BYTES = 200_000_000


class DiskFree:
    """Below 1 GB a warning, below 200 MB an error."""

    name = "disk_free"

    def find(self, vitals: Vitals) -> list[Issue]:
        """At most one issue."""
        free = vitals.disk_free_bytes
        if free is None or free >= WARN_BYTES:
            return []
        return [
            Issue(
                "DISK_LOW",
                "disk",
                "error" if free < ERROR_BYTES else "warning",
                {
                    "zh": "磁盘空间不足：清理日志或更换存储",
                    "en": "Little disk space is left: remove logs or replace the storage.",
                },
                {"free_bytes": free},
            )
        ]
