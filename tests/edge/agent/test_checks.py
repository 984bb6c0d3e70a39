"""Each check: quiet when all is well, its issue when not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge import checks
from edge.checks import DeviceVitals, Vitals

NOW = 1_795_300_000_000
MINUTE = 60_000
WELL = Vitals(
    now=NOW, started=NOW - 3_600_000, policy_version=7, facts_asof=NOW - 1000, broker_online=True, hub_away=False,
    clock_trusted=True, disk_free_bytes=50_000_000_000, devices=(DeviceVitals("g1", "osdp", "online", "OK", NOW),),
)  # fmt: skip


def found(**more: object) -> list[tuple[str, str]]:
    """Kinds and severities of what is found."""
    return [(issue.kind, issue.severity) for issue in checks.run(replace(WELL, **more))]  # type: ignore[arg-type]


def test_all_is_well() -> None:
    assert found() == []


@pytest.mark.parametrize(
    ("more", "issues"),
    [
        ({"broker_online": False, "hub_away": True}, [("BROKER_UNREACHABLE", "error")]),
        ({"hub_away": True}, [("HUB_AWAY", "warning")]),
        ({"outbox_full": True}, [("OUTBOX_FULL", "error")]),
        ({"outbox_oldest": NOW - MINUTE}, []),
        ({"outbox_oldest": NOW - 3 * MINUTE}, [("OUTBOX_OLD", "warning")]),
        ({"outbox_oldest": NOW - 61 * MINUTE}, [("OUTBOX_OLD", "error")]),
        ({"policy_version": None}, [("REPLICA_MISSING", "error")]),
        ({"facts_asof": NOW - 16 * MINUTE}, [("REPLICA_OLD", "warning")]),
        ({"facts_asof": NOW - 9 * 60 * MINUTE}, [("REPLICA_OLD", "error")]),
        ({"clock_trusted": False}, [("CLOCK_UNTRUSTED", "error")]),
        ({"clock_trusted": False, "started": NOW - 1000}, []),
        ({"clock_offset_ms": -6 * MINUTE}, [("CLOCK_OFF", "warning")]),
        ({"disk_free_bytes": 900_000_000}, [("DISK_LOW", "warning")]),
        ({"disk_free_bytes": 1}, [("DISK_LOW", "error")]),
        ({"disk_free_bytes": None}, []),
        ({"devices": (DeviceVitals("p", "feig", "degraded", "NOISY_LINE", 0),)}, [("DEVICE_DEGRADED", "warning")]),
        ({"devices": (DeviceVitals("p", "feig", "offline", "X", 0),)}, [("DEVICE_OFFLINE", "error")]),
        ({"devices": (DeviceVitals("k", "kiosk", "offline", "NOT_CONNECTED", 0),)}, []),
    ],
)
def test_one_thing_is_wrong(more: dict[str, object], issues: list[tuple[str, str]]) -> None:
    assert found(**more) == issues


def test_every_issue_says_what_to_do_in_both_languages() -> None:
    worst = replace(
        WELL, broker_online=False, outbox_full=True, policy_version=None, clock_trusted=False, disk_free_bytes=0,
        devices=(DeviceVitals("p", "feig", "offline", "X", 0),),
    )  # fmt: skip
    issues = [issue.public() for issue in checks.run(worst)]
    assert len(issues) == len(checks.CHECKS)
    for issue in issues:
        assert set(issue["suggestion"]) == {"zh", "en"}  # type: ignore[call-overload]
