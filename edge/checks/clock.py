"""The clock was never compared with the hub's, or differs a lot from the device's own."""

from __future__ import annotations

from edge.checks.base import Issue, Vitals

OFFSET_WARN_MS = 5 * 60_000
SETTLE_MS = 30_000
"""A box that just started has a right to its first measurement."""


class Clock:
    """Untrusted is an error once the box had time to ask; a device clock minutes off is a warning."""

    name = "clock"

    def find(self, vitals: Vitals) -> list[Issue]:
        """At most one issue."""
        if not vitals.clock_trusted:
            if vitals.now - vitals.started < SETTLE_MS:
                return []
            return [
                Issue(
                    "CLOCK_UNTRUSTED",
                    "clock",
                    "error",
                    {
                        "zh": "时钟未经中心核对：外馆读者不能外借；检查网络与系统时间",
                        "en": "The clock is not checked against the hub; partners cannot borrow. Check network and time.",
                    },
                )
            ]
        if abs(vitals.clock_offset_ms) >= OFFSET_WARN_MS:
            return [
                Issue(
                    "CLOCK_OFF",
                    "clock",
                    "warning",
                    {
                        "zh": "设备时间与中心相差较大：打开 NTP 或校准",
                        "en": "The device's clock is far from the hub's: switch NTP on or set it.",
                    },
                    {"offset_ms": vitals.clock_offset_ms},
                )
            ]
        return []
