"""The demo's policy source: who serves whom, with what, how long and how many.

Three members with different interests, so that every agreement code can be met at a gate or a kiosk:

* 251020 and 990001, two universities, share everything for students and staff. Alumni had a year that is over; visitors
  of 251020 will be admitted from a day to come.
* 990002, a public library, lets university readers in to read, and lends to those of 990001 only. Its own readers are
  served at 990001, not at 251020 (no agreement that way). Alumni of 251020 are suspended there, those of 990001 stand in
  a black-out.
"""

from __future__ import annotations

from typing import Any

DAY_MS = 86_400_000
YEAR_MS = 365 * DAY_MS

MAIN, PARTNER, PUBLIC = "251020", "990001", "990002"


def _agreement(
    name: str,
    parties: list[tuple[str, str]],
    services: list[str],
    categories: list[tuple[str, str, str]],
    valid: tuple[int, int],
    **more: Any,
) -> dict[str, Any]:
    return {
        "id": name,
        "version": 1,
        "parties": [{"org": org, "role": role} for org, role in parties],
        "services": services,
        "category_map": [{"home_org": o, "home_cat": c, "shared_cat": s} for o, c, s in categories],
        "valid_from_ms": valid[0],
        "valid_to_ms": valid[1],
        **more,
    }


_FULL = ["ENTER", "READ", "BORROW", "RETURN", "RENEW", "HOLD"]
_READ = ["ENTER", "READ", "RETURN"]


def agreements(now: int) -> list[dict[str, Any]]:
    """The demo's agreements around the instant ``now`` (ms UTC)."""
    current = (now - YEAR_MS, now + 2 * YEAR_MS)
    students = [(org, cat, f"U-{cat}") for org in (MAIN, PARTNER) for cat in ("UG", "PG", "STAFF")]
    citizens = [(PUBLIC, "ADULT", "P-ADULT"), (PUBLIC, "JUNIOR", "P-JUNIOR"), (PUBLIC, "TEEN", "P-TEEN")]
    return [
        _agreement(
            "universities",
            [(MAIN, "BOTH"), (PARTNER, "BOTH")],
            _FULL,
            students,
            current,
            excluded_item_types=["KIT"],
            quotas={"visitors_now": 400, "visits_per_day": 0},
        ),
        _agreement(
            "city-reading",
            [(MAIN, "HOME"), (PUBLIC, "HOST")],
            _READ,
            [row for row in students if row[0] == MAIN],
            current,
            quotas={"visitors_now": 300, "visits_per_day": 0},
        ),
        _agreement(
            "city-lending",
            [(PARTNER, "BOTH"), (PUBLIC, "BOTH")],
            ["ENTER", "READ", "BORROW", "RETURN", "RENEW"],
            [row for row in students if row[0] == PARTNER] + citizens,
            current,
        ),
        _agreement(
            "alumni-year",
            [(MAIN, "HOME"), (PARTNER, "HOST")],
            _FULL,
            [(MAIN, "ALUMNI", "U-ALUMNI")],
            (now - 2 * YEAR_MS, now - 30 * DAY_MS),
        ),
        _agreement(
            "alumni-city",
            [(MAIN, "HOME"), (PUBLIC, "HOST")],
            _READ,
            [(MAIN, "ALUMNI", "U-ALUMNI")],
            current,
            status="SUSPENDED",
        ),
        _agreement(
            "alumni-exams",
            [(PARTNER, "HOME"), (PUBLIC, "HOST")],
            _FULL,
            [(PARTNER, "ALUMNI", "U-ALUMNI")],
            current,
            blackouts=[{"start_ms": now - 7 * DAY_MS, "end_ms": now + 60 * DAY_MS}],
        ),
        _agreement(
            "visitors-next",
            [(MAIN, "HOME"), (PARTNER, "HOST")],
            _FULL,
            [(MAIN, "VISITOR", "U-VISITOR")],
            (now + 60 * DAY_MS, now + 2 * YEAR_MS),
        ),
    ]


def rules() -> list[dict[str, Any]]:
    """The demo's lending rules; unset results fall through to the general ones."""
    return [
        {
            "id": "general",
            "item_type": "BOOK",
            "lend": True,
            "period_days": 30,
            "renewals": 1,
            "holdable": True,
            "renew_window_days": 7,
            "grace_days": 1,
            "fine_per_day": 10,
            "max_fine": 2_000,
            "offline_cap": 2,
        },
        {"id": "discs", "item_type": "DISC", "lend": True, "period_days": 7, "renewals": 0, "offline_lend": False},
        # Equipment goes by the hour, against a deposit, and somebody looks at it when it comes back.
        {
            "id": "kits",
            "item_type": "KIT",
            "lend": True,
            "period_hours": 72,
            "renewals": 0,
            "deposit": 20_000,
            "condition_note": True,
            "returnable_at": "owner",
        },
        {"id": "staff", "category": "STAFF", "item_type": "BOOK", "period_days": 90},
        {"id": "postgraduates", "category": "PG", "item_type": "BOOK", "period_days": 60},
        {"id": "partners", "agreement": "universities", "item_type": "BOOK", "period_days": 21},
        {"id": "city", "agreement": "city-lending", "item_type": "BOOK", "period_days": 14},
        # A reader card for teenagers lends from sixteen on, at home and, as P-TEEN, at the partner.
        {"id": "teenagers", "home": PUBLIC, "category": "TEEN", "item_type": "BOOK", "age_from": 16, "lend": True},
        {"id": "teenagers-away", "category": "P-TEEN", "item_type": "BOOK", "age_from": 16, "lend": True},
        {"id": "guests-read-only", "category": "GUEST", "item_type": "BOOK", "lend": False},
    ]


def limits() -> list[dict[str, Any]]:
    """The demo's limits."""
    return [
        {"id": "consortium-30", "scope": "reader@consortium", "max_open": 30},
        {
            "id": "visitors-value",
            "scope": "reader@consortium",
            "categories": ["VISITOR"],
            "max_open": 10,
            "max_value": 4,
        },
        {"id": "alumni-3", "scope": "reader@consortium", "categories": ["ALUMNI"], "max_open": 3},
        {"id": "junior-2", "scope": "reader@lender", "categories": ["JUNIOR", "P-JUNIOR"], "max_open": 2},
        {"id": "lender-20", "scope": "reader@lender", "max_open": 20},
        {"id": "discs-2", "scope": "reader@lender", "item_types": ["DISC"], "max_open": 2},
    ]


def _branch(org: str, name_zh: str, name_en: str, capacity: int) -> dict[str, Any]:
    return {
        "id": f"{org}-01",
        "org": org,
        "name_zh": name_zh,
        "name_en": name_en,
        "calendar_id": "always",
        "capacity": capacity,
    }


def bundle(now: int) -> dict[str, Any]:
    """The whole policy source, version 1, valid around ``now``."""
    return {
        "version": 1,
        "issued_ms": now,
        "valid_from_ms": now - DAY_MS,
        "valid_to_ms": now + 2 * YEAR_MS,
        "libraries": [
            {"org": MAIN, "isil": "CN-251020", "name_zh": "重庆大学图书馆", "name_en": "Chongqing University Library"},
            {
                "org": PARTNER,
                "isil": "CN-990001",
                "name_zh": "示例大学图书馆",
                "name_en": "Example University Library",
                # It keeps its own ILS: that decides loans of its own readers with its own items.
                "masters": {"loans": "ILS", "readers": "ILS", "items": "ILS"},
            },
            {"org": PUBLIC, "isil": "CN-990002", "name_zh": "虚构市图书馆", "name_en": "Imaginary City Library"},
        ],
        "branches": [
            _branch(MAIN, "虎溪馆", "Huxi Branch", 3000),
            _branch(PARTNER, "主馆", "Main Library", 2000),
            _branch(PUBLIC, "中心馆", "Central Library", 1500),
        ],
        "calendars": [{"id": "always", "tz": "Asia/Shanghai", "weekly": [[[0, 1440]]] * 7}],
        "agreements": agreements(now),
        "rules": rules(),
        "limits": limits(),
    }
