"""An agreement in words: what parties' staff and readers can read, with every choice that somebody made in it (domain §2, §6, §8)."""

from __future__ import annotations

from collections.abc import Iterator

from consortium.agreement import Agreement, DebtRule, FeeScheme, Role, Service
from consortium.bundle import Bundle
from consortium.calendar import local_time
from consortium.source.times import SPAN

_SERVICES = {
    Service.ENTER: ("入馆", "enter"),
    Service.READ: ("阅览", "read in the library"),
    Service.BORROW: ("外借", "borrow"),
    Service.RETURN: ("归还", "return"),
    Service.RENEW: ("续借", "renew"),
    Service.HOLD: ("预约", "request"),
}
_ROLES = {
    Role.BOTH: ("派出并接待读者", "sends and hosts readers"),
    Role.HOME: ("只派出读者", "sends readers only"),
    Role.HOST: ("只接待读者", "hosts readers only"),
}
_FEES = {
    FeeScheme.LENDER_KEEPS: ("费用归出借馆", "charges are kept by the lending library"),
    FeeScheme.HOME_KEEPS: ("费用归所属馆", "charges are kept by the reader's home library"),
    FeeScheme.NONE: ("不收取任何费用", "no charges at all"),
}
_DEBTS = {
    DebtRule.HOME_GUARANTEES: ("遗失由读者所属馆担保", "the reader's home library answers for a lost item"),
    DebtRule.HOST_RISK: ("遗失由出借馆自担", "whoever lent it bears the loss"),
}
_STATUS = {
    "DRAFT": ("草案", "draft"),
    "ACTIVE": ("生效", "active"),
    "SUSPENDED": ("暂停", "suspended"),
    "ENDED": ("终止", "ended"),
}


def describe(agreement: Agreement, bundle: Bundle, lang: str = "zh") -> list[str]:
    """The agreement as lines of text in ``zh`` or ``en``."""
    en = lang == "en"
    names = {one.org: one.name_en if en else one.name_zh for one in bundle.libraries}
    tz = bundle.libraries[0].tz if bundle.libraries else "UTC"
    lines = [f"{agreement.key} ({_STATUS[agreement.status][en]})"]
    for heading, text in _clauses(agreement, names, tz, en):
        lines.append(f"  {heading}: {text}" if en else f"  {heading}:{text}")
    return lines


def _clauses(agreement: Agreement, names: dict[str, str], tz: str, en: bool) -> Iterator[tuple[str, str]]:
    def word(pair: tuple[str, str]) -> str:
        return pair[en]

    parties = (f"{names.get(one.org, one.org)} ({one.org}, {word(_ROLES[one.role])})" for one in agreement.parties)
    yield word(("协议方", "Parties")), "; ".join(parties)
    yield word(("期限", "Term")), _term(agreement, tz, en)
    yield word(("服务", "Services")), ", ".join(word(_SERVICES[one]) for one in Service if one in agreement.services)
    rows = (f"{row.home_org}/{row.home_cat} = {row.shared_cat}" for row in agreement.category_map)
    yield word(("读者类型", "Reader categories")), "; ".join(rows) or word(("无", "none: nobody is served"))
    for heading, values in (
        (("不含文献类型", "Item types left out"), agreement.excluded_item_types),
        (("不含馆藏", "Collections left out"), agreement.excluded_collections),
    ):
        if values:
            yield word(heading), ", ".join(sorted(values))
    if agreement.blackouts:
        spans = (f"{_day(span.start_ms, tz)} – {_day(span.end_ms - 1, tz)}" for span in agreement.blackouts)
        yield word(("停止接待", "Partner readers are not served")), "; ".join(spans)
    yield word(("名额", "Quotas")), _quotas(agreement, en)
    yield word(("费用", "Charges")), word(_FEES[agreement.fee_scheme])
    yield word(("遗失", "Losses")), word(_DEBTS[agreement.debt_rule])
    yield word(("离线与数据时效", "Offline, and how old facts may be")), _staleness(agreement, en)
    yield word(("离线时闸机", "Gate when offline")), _fail_open(agreement, en)
    yield word(("离线借阅", "Loans when offline")), _offline(agreement, en)
    yield word(("对方馆员可见", "Partner staff may see")), _disclosure(agreement, en)
    kept = agreement.retention
    yield (
        word(("个人信息保存", "Personal data is kept")),
        f"with visits {kept.visit_days} days; with loans {kept.loan_days} days after they are settled"
        if en
        else f"到馆记录{kept.visit_days}天;借阅结清后{kept.loan_days}天",
    )


def _day(at_ms: int, tz: str) -> str:
    return f"{local_time(at_ms, tz):%Y-%m-%d}"


def _term(agreement: Agreement, tz: str, en: bool) -> str:
    first, last = _day(agreement.valid_from_ms, tz), _day(agreement.valid_to_ms - 1, tz)
    if en:
        return f"{first} to {last}, both included; ends with {agreement.notice_days} days' notice"
    return f"{first}至{last}(含);提前{agreement.notice_days}天通知可终止"


def _quotas(agreement: Agreement, en: bool) -> str:
    quotas = agreement.quotas
    rows = (
        (quotas.visitors_now, "同时在馆{}人", "{} partner readers inside at once"),
        (quotas.visits_per_day, "每天{}人次", "{} visits a day"),
        (quotas.loans_per_reader, "每位读者在借{}册", "{} open loans a reader"),
        (quotas.loans_per_lender, "每馆共在借{}册", "{} open loans in all at a lender"),
    )
    limits = [(english if en else chinese).format(n) for n, chinese, english in rows if n]
    return (", " if en else ",").join(limits) or ("no limit" if en else "不限")


def _staleness(agreement: Agreement, en: bool) -> str:
    bounds = agreement.staleness
    rows = (
        ("策略", "policy", bounds.policy_fresh_ms, bounds.policy_refuse_ms),
        ("入馆", "to enter", bounds.enter_cards_fresh_ms, bounds.enter_cards_refuse_ms),
        ("外借", "to borrow", bounds.borrow_facts_fresh_ms, bounds.borrow_facts_refuse_ms),
    )
    if en:
        return "; ".join(f"{e}: fresh to {SPAN.write(f, '')}, refused after {SPAN.write(r, '')}" for _, e, f, r in rows)
    return ";".join(f"{z}:{SPAN.write(f, '')}内为新,超过{SPAN.write(r, '')}拒绝" for z, _, f, r in rows)


def _fail_open(agreement: Agreement, en: bool) -> str:
    # The choice that domain §6 wants printed in the agreement itself.
    if agreement.staleness.own_readers_fail_open:
        own = ("本馆读者放行", "own readers are let in")
    else:
        own = ("本馆读者超时也不放行", "own readers are refused too once facts are too old")
    partner = ("联盟读者超时不放行", "partner readers are refused once facts are too old")
    return f"{own[1]}; {partner[1]}" if en else f"{own[0]};{partner[0]}"


def _offline(agreement: Agreement, en: bool) -> str:
    bounds = agreement.staleness
    value = bounds.offline_max_value
    if en:
        worth = f", of value {value} at most" if value else ""
        return f"{bounds.offline_cap} items a reader at most{worth}"
    return f"每位读者最多{bounds.offline_cap}册" + (f",价值级别不超过{value}" if value else "")


def _disclosure(agreement: Agreement, en: bool) -> str:
    shown = agreement.disclosure
    rows = (
        (shown.name_at_desk, "服务台可见姓名", "the name, at the desk"),
        (shown.initials_on_screen, "屏幕显示姓名缩写", "initials, on a screen"),
        (shown.reader_no_at_desk, "服务台可见读者证号", "the reader number, at the desk"),
    )
    seen = [english if en else chinese for yes, chinese, english in rows if yes]
    return (", " if en else "、").join(seen) or ("nothing but the category" if en else "仅读者类型,无个人信息")
