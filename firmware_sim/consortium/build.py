"""Readers and items of the demo consortium, drawn from a seed.

At each branch the readers and items marked ``free`` are left alone by the demo's own players; the others are theirs. A small
group of readers per library stands for each refusal that a reader can cause (``case`` names it).
"""

from __future__ import annotations

import random
from importlib import resources
from typing import Any

from firmware_sim.consortium.policy import DAY_MS, MAIN, PARTNER, PUBLIC, YEAR_MS, bundle

LIBRARIES = (MAIN, PARTNER, PUBLIC)
BRANCHES = tuple(f"{org}-01" for org in LIBRARIES)

FREE_READERS = 110
PLAYERS = 70
FREE_ITEMS = 430
OTHER_BOOKS = 850
PER_CASE = 2

# Number forms differ between members, as they do in life.
_READER_NO = {MAIN: "2024{:06d}", PARTNER: "U{:07d}", PUBLIC: "0230{:07d}"}
_ITEM_NO = {MAIN: "C{:07d}", PARTNER: "9900{:06d}", PUBLIC: "XG{:06d}"}

CASES = (
    "CARD_LOST",
    "CARD_EXPIRED",
    "CARD_REPLACED",
    "CARD_ASSURANCE_LOW",
    "READER_INACTIVE",
    "READER_EXPIRED",
    "READER_NOT_SHARED",
    "BLOCK_HOME",
    "BLOCK_CONSORTIUM",
    "BLOCK_OVERDUE",
    "BLOCK_FEES",
    "LIMIT_LENDER",
    "ITEM_REFERENCE",
)

# Where a member's own ILS lends to its own readers, its word stands for all that is asked after card and reader. Its
# readers have none of these cases: what each of them meets is then the same with the ILS and, by our rules, without it.
BY_THE_ILS = frozenset(
    {"BLOCK_HOME", "BLOCK_CONSORTIUM", "BLOCK_OVERDUE", "BLOCK_FEES", "LIMIT_LENDER", "ITEM_REFERENCE"}
)


def cases_of(org: str) -> tuple[str, ...]:
    """The refusals that readers of a library stand for."""
    return tuple(case for case in CASES if org != PARTNER or case not in BY_THE_ILS)


def titles() -> list[tuple[str, str]]:
    """(language, title) rows of the demo's title list."""
    text = resources.files(__package__).joinpath("titles.tsv").read_text("utf-8")
    rows = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    return [(row[0], row[2]) for row in rows]


class _Makers:
    """Draws numbers and chips that are unique in the consortium."""

    def __init__(self, seed: int, now: int) -> None:
        self.random = random.Random(f"consortium-{seed}")
        self.now = now
        self._reader = dict.fromkeys(LIBRARIES, 1000)
        self._item = dict.fromkeys(LIBRARIES, 100)
        self._uid = 0

    def uid(self, assurance: str) -> str:
        self._uid += 1
        # Seven bytes beginning 04 (NXP) for a CPU card, four for a Classic, as sold.
        tail = (self._uid * 2_654_435_761) & 0xFFFFFF
        if assurance == "LOW":
            return f"{0x5A:02X}{tail:06X}"
        return f"04{self._uid & 0xFFFFFF:06X}{tail:06X}"

    def reader(self, org: str, category: str, **more: Any) -> dict[str, Any]:
        self._reader[org] += 1
        assurance = more.pop("assurance", "HIGH")
        card = {
            "uid": self.uid(assurance),
            "medium": "MF_CLASSIC" if assurance == "LOW" else "CPU",
            "assurance": assurance,
            "status": more.pop("card_status", "ACTIVE"),
            "to_ms": more.pop("card_to_ms", None),
            "issued_ms": self.now - YEAR_MS,
        }
        row = {
            "home": org,
            "reader_no": _READER_NO[org].format(self._reader[org]),
            "category": category,
            "status": "ACTIVE",
            "valid_to_ms": self.now + 2 * YEAR_MS,
            "shared": True,
            "age": self.random.randint(19, 60),
            "pin": f"{self.random.randint(0, 9999):04d}",
            "cards": [card],
            "blocks": [],
            "free": False,
            "case": "",
        }
        return {**row, **more}

    def item(self, org: str, branch: str, title: str, item_type: str = "BOOK", **more: Any) -> dict[str, Any]:
        self._item[org] += 1
        row = {
            "owner": org,
            "item_no": _ITEM_NO[org].format(self._item[org]),
            "item_type": item_type,
            "title": title,
            "owner_branch": branch,
            "value": 1,
            "shareable": True,
            "reference": False,
            "shelf": f"{self.random.choice('BDFGHIKNOPQTXZ')}{self.random.randint(1, 999)}/{self.random.randint(1, 99)}",
            "free": False,
        }
        return {**row, **more}


_CATEGORIES = {MAIN: ("UG", "UG", "PG", "STAFF"), PARTNER: ("UG", "UG", "PG", "STAFF"), PUBLIC: ("ADULT",)}


def _block(issuer: str, scope: str = "issuer", kind: str = "", reason: str = "") -> dict[str, Any]:
    actions = ["BORROW", "RENEW"] if kind else ["ENTER", "BORROW", "RENEW", "HOLD"]
    return {"issuer": issuer, "scope": scope, "kind": kind, "actions": actions, "reason": reason}


def _case(make: _Makers, org: str, case: str) -> dict[str, Any]:
    now, category = make.now, _CATEGORIES[org][0]
    fields: dict[str, dict[str, Any]] = {
        "CARD_LOST": {"card_status": "LOST"},
        "CARD_EXPIRED": {"card_to_ms": now - 10 * DAY_MS},
        "CARD_REPLACED": {"card_status": "REPLACED"},
        "CARD_ASSURANCE_LOW": {"assurance": "LOW", "pin": None},
        "READER_INACTIVE": {"status": "INACTIVE"},
        "READER_EXPIRED": {"valid_to_ms": now - DAY_MS},
        "READER_NOT_SHARED": {"shared": False},
        "BLOCK_HOME": {"blocks": [_block(org, reason="library card under review")]},
        "BLOCK_CONSORTIUM": {"blocks": [_block(org, "consortium", reason="repeated misuse")]},
        "BLOCK_OVERDUE": {"blocks": [_block(org, kind="OVERDUE", reason="three items overdue")]},
        "BLOCK_FEES": {"blocks": [_block(org, kind="FEES", reason="lost item not settled")]},
        "LIMIT_LENDER": {"category": "JUNIOR", "age": 11},
        "ITEM_REFERENCE": {"category": "GUEST"},
    }
    more = dict(fields[case])
    row = make.reader(org, more.pop("category", category), **more)
    row["case"] = case
    return row


def _readers(make: _Makers, org: str) -> list[dict[str, Any]]:
    rows = []
    for number in range(FREE_READERS + PLAYERS):
        row = make.reader(org, _CATEGORIES[org][number % len(_CATEGORIES[org])])
        row["free"] = number < FREE_READERS
        rows.append(row)
    for case in cases_of(org):
        rows.extend(_case(make, org, case) for _ in range(PER_CASE))
    if org != PUBLIC:
        rows.extend(make.reader(org, "ALUMNI", case="AGR") for _ in range(4))
    if org == MAIN:
        rows.extend(make.reader(org, "VISITOR", case="AGR") for _ in range(4))
        rows.append(make.reader(org, "VISITOR", case="LIMIT_VALUE"))
        rows.append(make.reader(org, "ALUMNI", case="LIMIT_CONSORTIUM"))
    if org == PUBLIC:
        rows.extend(make.reader(org, "TEEN", age=14, case="READER_AGE") for _ in range(2))
        rows.extend(make.reader(org, "TEEN", age=17) for _ in range(2))
    # A block set by a partner for its own house: the reader is fine at home and refused there.
    host = PARTNER if org != PARTNER else MAIN
    rows.extend(
        make.reader(org, _CATEGORIES[org][0], blocks=[_block(host, reason="noise")], case="BLOCK_HERE")
        for _ in range(2)
    )
    return rows


def _items(make: _Makers, org: str, branch: str, names: list[tuple[str, str]]) -> list[dict[str, Any]]:
    rows = []
    for number in range(FREE_ITEMS + OTHER_BOOKS):
        row = make.item(org, branch, names[make.random.randrange(len(names))][1])
        row["free"] = number < FREE_ITEMS
        rows.append(row)
    for item_type, how_many, more in (
        ("DISC", 30, {"value": 2}),
        ("KIT", 6, {"value": 3}),
        ("MAP", 4, {}),  # no rule of the policy speaks of maps
        ("BOOK", 20, {"reference": True}),
        ("BOOK", 14, {"shareable": False, "value": 3}),
    ):
        for _ in range(how_many):
            title = names[make.random.randrange(len(names))][1]
            rows.append(
                make.item(org, branch, title if item_type != "KIT" else "实验箱 Laboratory kit", item_type, **more)
            )
    return rows


def _open_loans(make: _Makers, readers: list[dict[str, Any]], items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Loans that are already open when the demo starts, so that limits can be met."""
    wanted = {"LIMIT_LENDER": (2, 1), "LIMIT_VALUE": (2, 2), "LIMIT_CONSORTIUM": (3, 1)}
    rows = []
    for reader in readers:
        if reader["case"] not in wanted:
            continue
        count, value = wanted[reader["case"]]
        for _ in range(count):
            item = next(
                i for i in reversed(items)
                if i["owner"] == reader["home"] and not (i["free"] or i["reference"] or i.get("taken"))
                and i["item_type"] == ("BOOK" if value == 1 else "DISC") and i["shareable"]
            )  # fmt: skip
            item["taken"] = True
            rows.append(
                {
                    "owner": item["owner"],
                    "item_no": item["item_no"],
                    "home": reader["home"],
                    "reader_no": reader["reader_no"],
                    "place": item["owner_branch"],
                    "t_out": make.now - 5 * DAY_MS,
                    "due": make.now + 20 * DAY_MS,
                }
            )
    return rows


def build(seed: int, now: int) -> dict[str, Any]:
    """The consortium of a seed around the instant ``now`` (ms UTC): ``bundle``, ``readers``, ``items``, ``open_loans``."""
    make = _Makers(seed, now)
    names = titles()
    readers = [row for org in LIBRARIES for row in _readers(make, org)]
    items = [row for org in LIBRARIES for row in _items(make, org, f"{org}-01", names)]
    return {"bundle": bundle(now), "readers": readers, "items": items, "open_loans": _open_loans(make, readers, items)}
