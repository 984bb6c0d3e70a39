"""docs/reference/reason-codes.md: every reason code, what a reader sees, and which decision gives it at which stage."""

from __future__ import annotations

from consortium.reasons import REASONS
from consortium.stages import REFER_CODES
from tongjie.reference.layout import head, table, text

Stages = dict[str, tuple[str, ...]]
"""Stages of a decision in the order in which they are asked, each with the codes it can give."""

_CARD = ("CARD_UNKNOWN", "CARD_LOST", "CARD_REPLACED", "CARD_EXPIRED", "CARD_CLONE_SUSPECT")
_READER = ("READER_INACTIVE", "READER_EXPIRED", "READER_NOT_SHARED")
_AGREEMENT = (
    "AGR_NONE", "AGR_NOT_YET", "AGR_ENDED", "AGR_SUSPENDED", "AGR_CATEGORY", "AGR_SERVICE_OFF", "AGR_BLACKOUT",
)  # fmt: skip
_BLOCKS = ("BLOCK_CONSORTIUM", "BLOCK_OVERDUE", "BLOCK_FEES", "BLOCK_HERE", "BLOCK_HOME")

STAGES: dict[str, Stages] = {
    "enter": {
        "device": ("DEVICE_UNAUTHORISED", "RATE_LIMITED"),
        "card": _CARD,
        "reader": _READER,
        "agreement": (*_AGREEMENT, "AGR_QUOTA"),
        "freshness": ("CLOCK_UNTRUSTED", "STALE_POLICY", "NOT_DECIDABLE_OFFLINE"),
        "open": ("BRANCH_CLOSED",),
        "blocks": _BLOCKS,
        "inside": ("ALREADY_INSIDE",),
        "capacity": ("BRANCH_FULL",),
    },
    "borrow": {
        "device": ("DEVICE_UNAUTHORISED",),
        "card": (*_CARD, "CARD_ASSURANCE_LOW"),
        "reader": _READER,
        "item": ("ITEM_UNKNOWN", "ITEM_MISMATCH"),
        "state": ("ITEM_ON_LOAN_SELF", "ITEM_ON_LOAN", "ITEM_HELD", "ITEM_REFERENCE", "ITEM_NOT_SHARED"),
        "agreement": (*_AGREEMENT, "ITEM_NOT_SHARED", "AGR_QUOTA"),
        "rule": ("READER_AGE", "ITEM_REFERENCE", "RULE_NONE"),
        "freshness": ("CLOCK_UNTRUSTED", "STALE_POLICY", "NOT_DECIDABLE_OFFLINE"),
        "blocks": _BLOCKS,
        "limits": ("LIMIT_LENDER", "LIMIT_TYPE", "LIMIT_CONSORTIUM", "LIMIT_VALUE", "LIMIT_OFFLINE"),
        "ILS": ("ILS_REFUSED",),
    },
    "renew": {
        "device": ("DEVICE_UNAUTHORISED",),
        "loan": ("CARD_UNKNOWN", "ITEM_UNKNOWN", "NOT_DECIDABLE_OFFLINE", "ITEM_ON_LOAN"),
        "reader": _READER,
        "agreement": _AGREEMENT,
        "rule": ("RULE_NONE",),
        "freshness": ("NOT_DECIDABLE_OFFLINE",),
        "blocks": _BLOCKS,
        "renewals": ("RENEW_LIMIT",),
        "window": ("RENEW_EARLY",),
        "wanted": ("RENEW_HELD",),
        "overdue": ("RENEW_OVERDUE",),
        "gain": ("RENEW_EARLY",),
        "ILS": ("ILS_REFUSED",),
    },
    "return": {
        "device": ("DEVICE_UNAUTHORISED",),
        "returnable": ("RETURN_OWNER_ONLY",),
    },
}
"""What can stop each decision; held against the decision functions by tests/docs."""

ANSWERS: dict[str, tuple[str, ...]] = {
    "enter": ("OK",),
    "borrow": ("OK",),
    "renew": ("OK",),
    "return": ("RETURN_HOME", "RETURN_TRANSIT", "RETURN_STAY", "RETURN_HOLD", "RETURN_NO_LOAN", "RETURN_SET_ASIDE"),
}
"""The codes of an ALLOW."""

ELSEWHERE: dict[str, tuple[str, str]] = {
    "PIN_WRONG": ("the kiosk, when a PIN is checked", "自助机验证密码时"),
    "PIN_LOCKED": ("the kiosk, after five wrong PINs", "自助机,密码连续输错五次后"),
    "OUT_OF_SERVICE": ("gate and kiosk, where nothing can be recorded", "闸机与自助机,无法记录时"),
}
"""Codes that no decision function gives, and who does."""

FUNCTIONS: dict[str, tuple[str, str]] = {
    "enter": ("may_enter", "进馆"),
    "borrow": ("may_borrow", "借出"),
    "renew": ("may_renew", "续借"),
    "return": ("accept_return", "还入"),
}
"""A decision by its short name: the function, and Chinese."""

STAGE_NAMES: dict[str, tuple[str, str]] = {
    "device": ("设备", "may this machine ask at all"),
    "card": ("读者卡", "is the card known, valid, and no copy"),
    "reader": ("读者", "is the account valid, and shared with partners"),
    "item": ("文献", "is the item known, and do tag and barcode agree"),
    "state": ("文献状态", "is it free to go"),
    "loan": ("借阅", "is there a loan, and is it this reader's"),
    "agreement": ("协议", "is there an agreement, and does it cover this"),
    "rule": ("规则", "does a rule say that, and for how long, it is lent"),
    "freshness": ("时效", "are the facts young enough to decide by"),
    "open": ("开放", "is the branch open"),
    "blocks": ("停权", "has somebody stopped this reader"),
    "inside": ("在馆", "is the card inside already"),
    "capacity": ("容量", "is there room"),
    "limits": ("上限", "how many are open already"),
    "renewals": ("续借次数", "are renewals left"),
    "window": ("续借期", "is it time yet"),
    "wanted": ("他人需要", "does somebody wait for it"),
    "overdue": ("逾期", "is it overdue beyond the grace"),
    "gain": ("延长", "would the reader gain a day"),
    "ILS": ("图书馆系统", "does the library system in charge agree"),
    "returnable": ("可还地点", "may it be handed in here"),
}
"""A stage: Chinese, and the question it asks."""


def page() -> str:
    """The whole page."""
    lines = head(
        "Reason codes · 原因码",
        "A decision answers ALLOW, DENY or REFER (please see the desk), with codes. Codes never change and have no language; beside "
        "each stands the sentence that a reader sees. All checks of a stage are made, and the first stage that stops the reader ends "
        "the evaluation: the reader is shown its first code, staff see all of them. No sentence tells another library's reason.",
        "判定的答复为 ALLOW(通过)、DENY(不通过)或 REFER(请到服务台),并附原因码。原因码固定不变;读者看到的是旁边的中文或英文。"
        "同一阶段的检查全部进行,第一个不通过的阶段即结束判定:读者看到第一个码,馆员看到全部。任何提示都不透露他馆的停权理由。",
    )
    lines += ["", "## The order of the questions · 判定次序"]
    for function, stages in STAGES.items():
        name, zh = FUNCTIONS[function]
        lines += ["", f"### `{name}` · {zh}"]
        rows = [
            (str(number), f"{stage} · {STAGE_NAMES[stage][0]}", STAGE_NAMES[stage][1], _codes(codes))
            for number, (stage, codes) in enumerate(stages.items(), 1)
        ]
        lines += table(("", "stage · 阶段", "asks", "codes"), rows)
        lines += ["", f"Otherwise: {_codes(ANSWERS[function])}."]
    lines += ["", "## The codes · 原因码一览"]
    lines += table(
        ("code", "中文", "English", "answer", "given by · 出处"),
        [(f"`{one.code}`", one.zh, one.en, _answer(one.code), _where(one.code)) for one in REASONS.values()],
    )
    lines += [
        "",
        "A note does not stop anybody and goes into the record: `ALREADY_INSIDE` where the branch lets a card in twice, `FOUND` where "
        "an item that was searched for is borrowed, `RETURN_NO_LOAN` where nothing was out.",
    ]
    return text(lines)


def _codes(codes: tuple[str, ...]) -> str:
    return ", ".join(f"`{code}`" for code in codes)


def _answer(code: str) -> str:
    if any(code in codes for codes in ANSWERS.values()):
        return "ALLOW"
    return "REFER" if code in REFER_CODES or code == "OUT_OF_SERVICE" else "DENY"


def places(code: str) -> list[tuple[str, str]]:
    """(decision, stage) at which a code is given; stage "" for an ALLOW."""
    found = [
        (function, stage) for function, stages in STAGES.items() for stage, codes in stages.items() if code in codes
    ]
    return found + [(function, "") for function, codes in ANSWERS.items() if code in codes]


def _where(code: str) -> str:
    if code in ELSEWHERE:
        en, zh = ELSEWHERE[code]
        return f"{en} · {zh}"
    return ", ".join(f"{function} / {stage}" if stage else function for function, stage in places(code))
