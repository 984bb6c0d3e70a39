"""A small consortium at the hub, as a consortium file and as the events of three edges, for the API's and the console's tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from consortium.events import Event, Kind, encode
from consortium.identity import CHAIN_START, chain, site_key, srid, subject
from protocols.bus import EventRow

DAY = 86_400_000
HOUR = 3_600_000
MINUTE = 60_000
MASTER = bytes(range(32))
POLICY_KEY = bytes(range(32, 64))
CQU, YLG, SCS = "251020", "990001", "990002"
BRANCHES = {CQU: "251020-01", YLG: "990001-01", SCS: "990002-01"}
NODE_TOKENS = {org: f"node-token-of-{org}-for-tests" for org in BRANCHES}
TOKENS = {
    "all": ("tj_" + "a" * 43, ["read", "decide", "write", "admin"], "*"),
    "cqu": ("tj_" + "c" * 43, ["read", "decide", "write", "admin"], CQU),
    "ylg": ("tj_" + "y" * 43, ["read", "decide", "write"], YLG),
    "reads": ("tj_" + "r" * 43, ["read"], YLG),
    "decides": ("tj_" + "d" * 43, ["decide"], YLG),
}
STAFF = ("demo", "a password of the tests")
TITLES = [
    "红楼梦", "平凡的世界", "时间简史", "建筑空间组合论", "山城道路与桥梁", "结构力学(第五版)", "The Mythical Man-Month",
    "Introduction to Algorithms", "Gödel, Escher, Bach", "三体", "中国近代史纲要", "A Pattern Language", "活着", "信号与系统",
    "Flora of the Three Gorges: a field guide with notes on the vegetation of the upper Yangtze", "国史大纲", "编码的奥秘",
    "城市意象", "数学分析新讲", "Le Petit Prince",
]  # fmt: skip


def bundle(now: int) -> dict[str, Any]:
    """The policy: the first library lends to the second, the third has no agreement with anybody."""
    day = [[0, 1440]]
    return {
        "version": 3, "issued_ms": now, "valid_from_ms": now - DAY, "valid_to_ms": now + 1000 * DAY,
        "libraries": [
            {"org": CQU, "isil": "CN-251020", "name_zh": "重庆大学图书馆", "name_en": "Chongqing University Library"},
            {"org": YLG, "isil": "CN-990001", "name_zh": "渝林工学院图书馆", "name_en": "Yulin Institute Library"},
            {"org": SCS, "isil": "CN-990002", "name_zh": "山城师范学院图书馆", "name_en": "Shancheng Normal College Library"},
        ],
        "branches": [
            {"id": "251020-01", "org": CQU, "name_zh": "虎溪馆", "name_en": "Huxi branch", "calendar_id": "always", "capacity": 900},
            {"id": "990001-01", "org": YLG, "name_zh": "渝林主馆", "name_en": "Yulin main", "calendar_id": "always", "capacity": 400},
            {"id": "990002-01", "org": SCS, "name_zh": "山城师院馆", "name_en": "Shancheng", "calendar_id": "always"},
        ],
        "calendars": [{"id": "always", "tz": "Asia/Shanghai", "weekly": [day] * 7}],
        "agreements": [
            {
                "id": "cqu-ylg", "version": 2, "parties": [{"org": CQU}, {"org": YLG}],
                "services": ["ENTER", "READ", "BORROW", "RETURN", "RENEW"], "valid_from_ms": now - 100 * DAY,
                "valid_to_ms": now + 500 * DAY,
                "category_map": [
                    {"home_org": CQU, "home_cat": "UG", "shared_cat": "U"}, {"home_org": YLG, "home_cat": "UG", "shared_cat": "U"},
                ],
            }
        ],
        "rules": [
            {"id": "general", "lend": True, "period_days": 30, "renewals": 2},
            {"id": "partners", "agreement": "cqu-ylg", "period_days": 20},
        ],
        "limits": [{"id": "lender", "scope": "reader@lender", "max_open": 5}],
    }  # fmt: skip


def readers(now: int) -> list[dict[str, Any]]:
    """Twelve readers of each library, the last of each not shared."""
    return [
        {
            "home": org, "reader_no": f"{org[-2:]}{n:06d}", "category": "UG", "status": "ACTIVE",
            "valid_to_ms": now + 300 * DAY, "shared": n != 11, "age": 20, "pin": f"{first + n}4711",
            "cards": [{
                "uid": f"04{first + n:02X}A1B2C3D480", "medium": "DESFIRE", "assurance": "HIGH", "status": "ACTIVE",
                "to_ms": None, "issued_ms": now - 50 * DAY,
            }],
            "blocks": [],
        }
        for org, first in ((CQU, 10), (YLG, 40), (SCS, 70))
        for n in range(12)
    ]  # fmt: skip


def items() -> list[dict[str, Any]]:
    """Twenty items of each library."""
    return [
        {
            "owner": org, "item_no": f"{org[-1]}{n:07d}", "type": "BOOK", "title": title, "owner_branch": branch, "value": 1,
            "shareable": n != 19, "reference": n == 18, "shelf": f"A{n}",
        }
        for org, branch in BRANCHES.items()
        for n, title in enumerate(TITLES)
    ]  # fmt: skip


def consortium_file(now: int) -> dict[str, Any]:
    """Everything above as the file that ``hub.load`` takes."""
    return {
        "bundle": bundle(now),
        "nodes": [
            {"node": f"edge-{branch}", "org": org, "branch": branch, "token": NODE_TOKENS[org]} for org, branch in BRANCHES.items()
        ],
        "readers": readers(now),
        "items": items(),
        "open_loans": [],
        "staff": [
            {"username": STAFF[0], "password": STAFF[1], "role": "consortium_admin", "library": "*"},
            {"username": "desk-ylg", "password": "another password", "role": "viewer", "library": YLG},
        ],
        "api_tokens": [
            {"name": name, "token": token, "scopes": scopes, "library": library}
            for name, (token, scopes, library) in TOKENS.items()
        ],
    }  # fmt: skip


@dataclass
class Edge:
    """An edge's side of the event log: makes rows as its outbox would, chained and numbered."""

    org: str
    epoch: str = "1795300000000-ab"
    seq: int = 0
    last: str = CHAIN_START
    rows: list[EventRow] = field(default_factory=list)
    said: list[EventRow] = field(default_factory=list)

    @property
    def node(self) -> str:
        return f"edge-{BRANCHES[self.org]}"

    def say(
        self,
        kind: Kind,
        at: int,
        data: dict[str, Any],
        *,
        rid: str | None = None,
        device: str = "kiosk1",
        decision: Any = None,
        reissue_of: str | None = None,
    ) -> None:
        """One event; ``rid`` is who it was about."""
        self.seq += 1
        salt = f"{self.seq:032x}" if rid else None
        name = srid(site_key(MASTER, self.org), rid) if rid else None
        body = encode(
            Event(
                self.node, self.epoch, self.seq, kind, BRANCHES[self.org], device, at, at, 20, self.seq, "boot", data,
                subject=subject(salt, name) if salt and name else None, decision=decision, reissue_of=reissue_of,
            )
        )  # fmt: skip
        self.last = chain(self.last, body)
        self.rows.append(EventRow(self.seq, body, self.last, salt, name))

    def decision(self, function: str, codes: list[str], at: int) -> dict[str, Any]:
        outcome = "ALLOW" if codes[0] == "OK" or codes[0].startswith("RETURN") else "DENY"
        return {
            "f": function, "o": outcome, "c": codes, "pv": 3, "k": [at] * 5, "s": "edge", "m": "ONLINE", "t": at,
            "facts": {"device": {"id": "kiosk1", "branch": BRANCHES[self.org]}},
        }  # fmt: skip

    def enter(self, at: int, rid: str, home: str) -> None:
        kind = "own" if home == self.org else "partner"
        said = self.decision("enter", ["OK"], at)
        self.say(Kind.ENTRY, at, {"home": home, "class": kind}, rid=rid, device="gate1", decision=said)

    def leave(self, at: int, rid: str) -> None:
        self.say(Kind.EXIT, at, {}, rid=rid, device="gate1")

    def refuse(self, at: int, code: str, home: str | None = None, function: str = "enter") -> None:
        data: dict[str, Any] = {"function": function, "codes": [code]}
        if home:
            data["home"] = home
        self.say(Kind.REFUSED, at, data, device="gate1", decision=self.decision(function, [code], at))

    def lend(
        self, at: int, item: tuple[str, str], rid: str, home: str, *, days: int = 30, flags: tuple[str, ...] = ()
    ) -> None:
        data = {
            "item": list(item), "type": "BOOK", "home": home, "due": at + days * DAY, "basis": ["general"], "flags": list(flags)
        }  # fmt: skip
        self.say(Kind.CHECKOUT, at, data, rid=rid, decision=self.decision("borrow", ["OK"], at))

    def take_back(self, at: int, item: tuple[str, str]) -> None:
        home = BRANCHES[item[0]]
        here = BRANCHES[self.org]
        code = "RETURN_HOME" if home == here else "RETURN_TRANSIT"
        action = "SHELVE" if home == here else "TRANSIT"
        data = {"item": list(item), "route": {"action": action, "dest": home, "reason": "HOME"}, "code": code}
        self.say(Kind.RETURN, at, data, decision=self.decision("return", [code], at))

    def receive(self, at: int, item: tuple[str, str]) -> None:
        data = {
            "item": list(item),
            "route": {"action": "SHELVE", "dest": BRANCHES[self.org], "reason": "HOME"},
            "code": "RETURN_HOME",
        }
        self.say(Kind.RECEIVE, at, data, decision=self.decision("return", ["RETURN_HOME"], at))

    def send(self, at: int, item: tuple[str, str]) -> None:
        self.say(Kind.TRANSIT_SENT, at, {"item": list(item), "to": BRANCHES[item[0]]}, device="desk")

    def taken(self) -> list[EventRow]:
        """The rows not handed over yet."""
        rows, self.rows = self.rows, []
        self.said += rows
        return rows


def a_day(edges: dict[str, Edge], rids: dict[str, list[str]], now: int) -> None:
    """A day at three branches: visits, loans here and away, returns away, transits on their way and arrived, refusals, a conflict."""
    cqu, ylg, scs = edges[CQU], edges[YLG], edges[SCS]
    for n in range(11):
        cqu.enter(now - 5 * HOUR + n * 9 * MINUTE, rids[CQU][n], CQU)
        ylg.enter(now - 4 * HOUR + n * 8 * MINUTE, rids[YLG][n], YLG)
        if n % 3 == 0:
            cqu.leave(now - 2 * HOUR + n * MINUTE, rids[CQU][n])
    for n in range(4):
        ylg.enter(now - 3 * HOUR + n * 11 * MINUTE, rids[CQU][n], CQU)
    for n in range(8):
        cqu.lend(now - 3 * HOUR + n * 7 * MINUTE, (CQU, f"0{n:07d}"), rids[CQU][n], CQU)
    for n in range(5):
        ylg.lend(now - 40 * DAY + n * HOUR, (YLG, f"1{n:07d}"), rids[YLG][n], YLG)
        ylg.lend(
            now - 2 * HOUR + n * 9 * MINUTE,
            (YLG, f"1{n + 8:07d}"),
            rids[CQU][n],
            CQU,
            flags=("OFFLINE",) * (n == 2),
            days=20,
        )
    for n in range(4):
        scs.take_back(now - 90 * MINUTE + n * 13 * MINUTE, (CQU, f"0{n:07d}"))
    scs.send(now - 30 * MINUTE, (CQU, "00000000"))
    scs.send(now - 29 * MINUTE, (CQU, "00000001"))
    cqu.receive(now - 8 * MINUTE, (CQU, "00000000"))
    ylg.lend(now - 25 * MINUTE, (YLG, "10000008"), rids[YLG][7], YLG)
    codes = [
        "AGR_NONE",
        "READER_NOT_SHARED",
        "CARD_LOST",
        "BLOCK_HOME",
        "READER_EXPIRED",
        "CARD_UNKNOWN",
        "LIMIT_LENDER",
    ]
    for n, code in enumerate(codes):
        home = None if code == "CARD_UNKNOWN" else SCS if code == "AGR_NONE" else CQU
        ylg.refuse(now - 50 * MINUTE + n * 6 * MINUTE, code, home, "borrow" if code.startswith("LIMIT") else "enter")
    cqu.say(Kind.DEVICE, now - 4 * MINUTE, {"state": "degraded", "kind": "pad", "reason": "NO_ANTENNA"}, device="pad1")
    cqu.say(Kind.TAG_WRITTEN, now - 3 * MINUTE, {"item": [CQU, "00000007"], "secured": 0, "ok": 1}, device="pad1")


def devices(now: int, *, pad: str = "online") -> dict[str, Any]:
    """What a branch says of its devices."""
    return {
        "gate1": {
            "kind": "osdp",
            "state": "online",
            "since": now - 3 * HOUR,
            "facts": {"firmware": "2.14", "channel": "secure"},
        },
        "kiosk1": {"kind": "sip2", "state": "online", "since": now - 3 * HOUR, "facts": {"connections": 2}},
        "pad1": {"kind": "feig", "state": pad, "since": now - 12 * MINUTE, "facts": {"firmware": "4.02"}},
    }


def item(owner: str, n: int) -> tuple[str, str]:
    """The n-th item of a library."""
    return owner, f"{owner[-1]}{n:07d}"
