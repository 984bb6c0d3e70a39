"""docs/reference/conflicts.md: the kinds of conflict, whose they are, and what is done by itself."""

from __future__ import annotations

from consortium.conflicts import KINDS, ConflictKind, Default, Responsible
from tongjie.reference.layout import head, table, text

RESPONSIBLE: dict[Responsible, tuple[str, str]] = {
    Responsible.HOME: ("读者所属馆", "the reader's home library"),
    Responsible.OWNER: ("馆藏馆", "the library that owns the item"),
    Responsible.LENDER: ("借出馆", "the library that lent it"),
    Responsible.HUB: ("联盟中心", "whoever runs the hub"),
}
"""Who settles, zh and en."""

DEFAULTS: dict[Default, tuple[str, str]] = {
    Default.KEEP_LOAN: ("借阅保留", "the loan stays"),
    Default.KEEP_DUE: ("已承诺的应还日期保留", "the due date that was promised stays"),
    Default.END_WITHOUT_CHARGE: ("前一借阅结束,不收费", "the first loan ends without a charge"),
    Default.KEEP_LAST_PLACE: ("以最后一次还入地点为准", "the item is where it was handed in last"),
    Default.ACCEPT: ("照收,仅告知馆员", "accepted, staff are told"),
    Default.NOT_LIABLE: ("读者不承担责任", "the reader is not liable"),
    Default.WAIT_FOR_CARD: ("等待该卡登记", "it waits for the card to be registered"),
    Default.SET_ASIDE: ("文献留存待核", "the item stays set aside"),
    Default.KEEP_ORDER: ("按现有先后", "the order of the clocks stays"),
    Default.KEEP_FIRST: ("保留其一,另一个封存", "one is kept, the other stays in quarantine"),
}
"""What is done when nobody acts, zh and en."""


def page() -> str:
    """The whole page."""
    lines = head(
        "Conflicts · 冲突",
        "Two machines can each be right by what they knew, and together not fit. Then both facts are kept, the ledger says the most "
        "likely thing, and a conflict is opened for somebody to look at. If nobody does, the default below is taken. A default never "
        "takes from a reader what a machine has promised: a loan stays a loan, a due date stays, no charge grows.",
        "两台设备各自都没有错,合在一起却可能不一致。此时两条记录都保留,并生成一条冲突请人处理;逾期无人处理则按默认办法。"
        "默认办法从不收回设备已经对读者作出的承诺:借阅仍是借阅,应还日期不提前,费用不增加。",
    )
    lines += table(
        ("kind", "what happened · 情况", "who settles · 负责", "if nobody does · 默认办法", "after · 期限"),
        [(f"`{kind.code}`", _both(kind.en, kind.zh), *_who(kind), _after(kind.days)) for kind in KINDS.values()],
    )
    lines += [
        "",
        "A conflict that speaks of no loan falls to the library that owns the item. A settlement is an event of its own "
        "(`CONFLICT_SETTLED`) with the name of nobody: an id of the member of staff and the reason.",
        "",
        "冲突未涉及任何借阅时,由馆藏馆处理。处理结果本身也是一个事件(`CONFLICT_SETTLED`),只记馆员标识与理由。",
    ]
    return text(lines)


def _who(kind: ConflictKind) -> tuple[str, str]:
    zh, en = RESPONSIBLE[kind.responsible]
    default_zh, default_en = DEFAULTS[kind.default]
    return _both(en, zh), _both(f"{default_en} (`{kind.default}`)", default_zh)


def _both(en: str, zh: str) -> str:
    return f"{en}<br>{zh}"


def _after(days: int) -> str:
    return f"{days} d · {days} 天" if days else "at once · 即时"
