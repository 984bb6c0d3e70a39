"""Sentences that only a SIP2 kiosk shows, in zh-CN and en; reasons come from ``consortium.reasons``."""

from __future__ import annotations

from consortium.reasons import text
from edge.kiosk.texts import own_text

_OWN: dict[str, tuple[str, str]] = {
    "FEE_DUE": ("请先确认费用", "Please confirm the fee first"),
    "NOT_FOR_THIS_MACHINE": ("本设备不办理此项业务", "This machine does not do that"),
    "ALREADY_YOURS": ("仍在您名下", "Still on loan to you"),
    "LOANS_ELSEWHERE": ("另有文献借自其他馆,未列出", "You have further loans from other libraries, not listed here"),
    "AMOUNT_INVALID": ("金额无效", "This amount cannot be taken"),
    "PAY_TOO_MUCH": ("金额超过应缴费用", "This is more than what is owed"),
    "PAY_NOTHING_OWED": ("没有未缴费用", "There is nothing to pay"),
    "PAY_CURRENCY": ("不收此种货币", "This currency is not taken"),
    "FEE_UNKNOWN": ("没有此项费用", "There is no such fee"),
    "PAID": ("已缴费", "Paid"),
    "LEFT": ("尚欠", "Still owed"),
    "HOLD_PLACED": ("预约成功", "Hold placed"),
    "HOLD_CANCELLED": ("预约已取消", "Hold cancelled"),
    "BLOCKED": ("读者证已停用,请到服务台", "The card is stopped, please see the desk"),
    "ENABLED": ("读者证已恢复", "The card works again"),
    "NOT_KEPT": ("不记录文献属性", "Item properties are not kept"),
    "MARKED_DAMAGED": ("已记为破损", "Noted as damaged"),
    "RENEWED": ("已续借", "Renewed"),
    "NO_LOANS": ("没有可续借的文献", "There is nothing to renew"),
    "DUE": ("应还日期", "Due"),
    "GOES_TO": ("送往", "Goes to"),
}


def sentence(code: str, lang: str) -> str:
    """The sentence for a code, a reason's or one of our own."""
    pair = _OWN.get(code)
    if pair is not None:
        return pair[1 if lang == "en" else 0]
    return own_text(code, lang) or text(code, lang)


def line(code: str, lang: str) -> str:
    """A screen line: the sentence, then its stable code for staff and programs."""
    return f"{sentence(code, lang)} ({code})"
