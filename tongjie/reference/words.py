"""How an example's answer is put into words."""

from __future__ import annotations

from datetime import datetime
from unicodedata import east_asian_width
from zoneinfo import ZoneInfo

ZONE = "Asia/Shanghai"
"""Times in the pages are told in this zone."""

LABELS: dict[str, dict[str, str]] = {
    "en": {
        "answer": "answer", "shown": "reader sees", "due": "due", "route": "goes to", "do": "to do", "basis": "because of",
        "terms": "promised", "notes": "note", "mode": "facts", "order": "match order", "arrived": "arrived", "changed": "corrected",
        "state": "item", "loan": "loan", "conflict": "conflict", "decisions": "decisions", "same": "as before",
        "allowed": "newly allowed", "refused": "newly refused", "otherwise": "otherwise", "code": "code", "used": "read here",
    },
    "zh": {
        "answer": "答复", "shown": "读者看到", "due": "应还", "route": "去向", "do": "须办", "basis": "依据",
        "terms": "承诺", "notes": "备注", "mode": "所据事实", "order": "匹配次序", "arrived": "到达", "changed": "更正",
        "state": "文献", "loan": "借阅", "conflict": "冲突", "decisions": "判定", "same": "不变", "allowed": "新通过",
        "refused": "新不通过", "otherwise": "其他变化", "code": "原因码", "used": "馆内阅览次数",
    },
}  # fmt: skip
"""Words at the left of an answer, by language."""

_WIDTH = 20
_MONEY = frozenset({"fine_per_day", "max_fine", "deposit"})


class AnswerError(ValueError):
    """An example that cannot be answered; ``code`` is stable, ``name`` the example's."""

    def __init__(self, code: str, name: str, message: str) -> None:
        super().__init__(f"example {name}: {message}")
        self.code = code
        self.name = name


def label(word: str, said: str) -> str:
    """A word, and what is said of it, in two columns; a Chinese character is two columns wide."""
    wide = sum(2 if east_asian_width(one) in "WF" else 1 for one in word)
    return f"{word}{' ' * max(2, _WIDTH - wide)}{said}"


def at(at_ms: int) -> str:
    """An instant as the wall clock of the pages' zone."""
    return datetime.fromtimestamp(at_ms / 1000, ZoneInfo(ZONE)).strftime("%Y-%m-%d %H:%M:%S")


def amount(name: str, value: object) -> str:
    """A result of a rule: money in yuan, instants as wall clock, everything else as it is."""
    if name in _MONEY and isinstance(value, int):
        return f"{value // 100}.{value % 100:02d}"
    if name.endswith("_ms") and isinstance(value, int):
        return at(value)
    return str(value).lower() if isinstance(value, bool) else str(value)
