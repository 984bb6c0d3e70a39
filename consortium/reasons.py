"""Reason codes and what a reader sees for each, in zh-CN and en (domain §3). Codes are stable and language-free."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason: its stable code and the sentence shown in each language."""

    code: str
    zh: str
    en: str


_TABLE: tuple[tuple[str, str, str], ...] = (
    ("OK", "通过", "Approved"),
    ("CARD_UNKNOWN", "未识别的读者卡", "Card not recognised"),
    ("CARD_LOST", "此卡已挂失", "Card reported lost"),
    ("CARD_EXPIRED", "此卡已过期", "Card expired"),
    ("CARD_REPLACED", "此卡已换新卡", "Card replaced"),
    ("CARD_ASSURANCE_LOW", "请加验密码或二维码", "PIN or QR code also needed"),
    ("CARD_CLONE_SUSPECT", "请到服务台核验", "Please see the desk"),
    ("READER_INACTIVE", "读者证已停用", "Reader account inactive"),
    ("READER_EXPIRED", "读者证已到期", "Reader account expired"),
    ("READER_NOT_SHARED", "尚未开通联盟共享服务", "Consortium sharing not activated"),
    ("AGR_NONE", "贵馆与本馆无共享协议", "No agreement with your library"),
    ("AGR_NOT_YET", "贵馆与本馆的共享协议尚未生效", "Agreement with your library not yet valid"),
    ("AGR_ENDED", "贵馆与本馆的共享协议已终止", "Agreement with your library has ended"),
    ("AGR_SUSPENDED", "贵馆与本馆的共享协议已暂停", "Agreement with your library is suspended"),
    ("AGR_SERVICE_OFF", "协议不含此项服务", "Service not covered"),
    ("AGR_CATEGORY", "协议不含您的读者类型", "Your reader category is not covered"),
    ("AGR_BLACKOUT", "本时段暂不接待联盟读者", "Not open to partner readers now"),
    ("AGR_QUOTA", "联盟读者名额已满", "Quota for partner readers reached"),
    ("BRANCH_CLOSED", "闭馆", "Closed"),
    ("BRANCH_FULL", "馆内人数已满", "Full"),
    ("ALREADY_INSIDE", "该卡已有在馆记录", "Card already recorded inside"),
    ("BLOCK_HOME", "请联系所属馆", "Contact your home library"),
    ("BLOCK_HERE", "请到本馆服务台", "Please see the desk here"),
    ("BLOCK_CONSORTIUM", "联盟权限暂停", "Consortium privileges suspended"),
    ("BLOCK_OVERDUE", "有逾期未还", "Overdue items"),
    ("BLOCK_FEES", "有未缴费用", "Unpaid charges"),
    ("LIMIT_LENDER", "已达本馆借阅上限", "Limit reached here"),
    ("LIMIT_TYPE", "已达该类型借阅上限", "Limit reached for this type"),
    ("LIMIT_CONSORTIUM", "已达联盟借阅上限", "Limit reached in the consortium"),
    ("LIMIT_OFFLINE", "已达离线借阅上限", "Offline limit reached"),
    ("ITEM_UNKNOWN", "未识别的文献", "Item not recognised"),
    ("ITEM_MISMATCH", "标签与条码不符", "Tag and barcode differ"),
    ("ITEM_REFERENCE", "仅限馆内阅览", "Use in library only"),
    ("ITEM_NOT_SHARED", "不对联盟外借", "Not lent to partners"),
    ("ITEM_ON_LOAN", "已借出(请交服务台)", "On loan (please hand to the desk)"),
    ("ITEM_ON_LOAN_SELF", "您已借此书", "Already on loan to you"),
    ("ITEM_HELD", "已被预约", "On hold for another reader"),
    ("RENEW_LIMIT", "续借次数已满", "No renewals left"),
    ("RENEW_EARLY", "未到续借期", "Too early to renew"),
    ("RENEW_HELD", "他人已预约", "Requested by another reader"),
    ("RENEW_OVERDUE", "已逾期", "Overdue"),
    ("RETURN_HOME", "已还", "Returned"),
    ("RETURN_TRANSIT", "已还,将送回所属馆", "Returned, will be sent home"),
    ("RETURN_STAY", "已还,留存本馆", "Returned, stays here"),
    ("RETURN_HOLD", "已还,转预约架", "Returned, to the hold shelf"),
    ("RETURN_NO_LOAN", "无在借记录,已收存", "No open loan, accepted"),
    ("RETURN_OWNER_ONLY", "请还至所属馆", "Please return to the owner"),
    ("RETURN_SET_ASIDE", "已收存待核", "Set aside for checking"),
    ("PIN_WRONG", "密码错误", "Wrong PIN"),
    ("PIN_LOCKED", "密码已锁定,请到服务台", "PIN locked, please see the desk"),
    ("RULE_NONE", "无适用规则", "No rule covers this"),
    ("READER_AGE", "年龄不符", "Age not covered"),
    ("LIMIT_VALUE", "超出价值上限", "Value limit reached"),
    ("ILS_REFUSED", "图书馆系统未通过,请到服务台", "Library system refused, please see the desk"),
    ("OUT_OF_SERVICE", "暂停服务", "Out of service"),
    ("NOT_DECIDABLE_OFFLINE", "网络中断,请到服务台", "Offline, please see the desk"),
    ("STALE_POLICY", "网络中断,请到服务台", "Offline, please see the desk"),
    ("CLOCK_UNTRUSTED", "网络中断,请到服务台", "Offline, please see the desk"),
    ("DEVICE_UNAUTHORISED", "设备未授权", "Device not authorised"),
    ("RATE_LIMITED", "请稍候", "Please wait"),
)

REASONS: dict[str, Reason] = {code: Reason(code, zh, en) for code, zh, en in _TABLE}
"""Every reason by code."""

LANGUAGES = ("zh", "en")


def text(code: str, lang: str = "zh") -> str:
    """The sentence for a code; an unknown code shows itself, an unknown language falls back to zh."""
    reason = REASONS.get(code)
    if reason is None:
        return code
    return reason.en if lang == "en" else reason.zh
