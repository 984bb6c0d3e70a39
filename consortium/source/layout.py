"""What stands where in a policy source: one layout for each kind of table."""

from __future__ import annotations

from typing import Any

from consortium.agreement import (
    Agreement,
    AgreementStatus,
    Branch,
    BranchKind,
    CategoryMap,
    DebtRule,
    Disclosure,
    FeeScheme,
    Library,
    LibraryStatus,
    LimitScope,
    LimitSet,
    Master,
    Mastership,
    Party,
    PolicyRule,
    Quotas,
    Retention,
    Role,
    Service,
    Staleness,
)
from consortium.calendar import Calendar, NamedPeriod, PeriodKind
from consortium.source.forms import AGES, GEO, MONEY, NAME, NUMBER, TEXT, TEXTS, TRUTH, Form, FormError, one_of, set_of
from consortium.source.record import Layout, Row, read_nested, record_form
from consortium.source.times import DAY, DAYS, END, LAST_SECOND, LOAN, SPAN, START, WEEK, ZONE


def _same(form: Form, *names: str) -> tuple[Row, ...]:
    return tuple(Row(name, (name,), form) for name in names)


_NAMED = Row("name", ("name_zh", "name_en"), NAME)

_MASTERS = Layout(Mastership, _same(one_of(Master), "loans", "readers", "items", "fees"))

LIBRARY = Layout(
    Library,
    (
        _NAMED,
        *_same(TEXT, "isil"),
        *_same(ZONE, "tz"),
        *_same(one_of(LibraryStatus), "status"),
        *_same(record_form(_MASTERS), "masters"),
    ),
    given=("org",),
)

BRANCH = Layout(
    Branch,
    (
        _NAMED,
        Row("library", ("org",), TEXT),
        Row("calendar", ("calendar_id",), TEXT),
        *_same(one_of(BranchKind), "kind"),
        *_same(NUMBER, "capacity"),
        *_same(TEXT, "sort_hub"),
        *_same(TRUTH, "anti_pass_back"),
        *_same(GEO, "geo"),
    ),
    given=("id",),
)

_PERIOD = Layout(
    NamedPeriod,
    (_NAMED, *_same(one_of(PeriodKind), "kind"), Row("from", ("start",), DAY), Row("to", ("end",), DAY)),
)


def _read_periods(value: Any, tz: str) -> tuple[NamedPeriod, ...]:
    if not isinstance(value, list):
        raise FormError("must be a list of tables")
    return tuple(read_nested(_PERIOD, one, tz, f"[{number}]") for number, one in enumerate(value))


def _write_periods(value: tuple[NamedPeriod, ...], tz: str) -> list[Any]:
    return [record_form(_PERIOD).write(one, tz) for one in value]


CALENDAR = Layout(
    Calendar,
    (
        *_same(ZONE, "tz"),
        Row("hours", ("weekly",), WEEK),
        Row("periods", ("periods",), Form(_read_periods, _write_periods)),
    ),
    given=("id", "exceptions", "names"),
)
"""Without ``exceptions``: several dates in one line are folded and unfolded by the source itself."""


def _read_parties(value: Any, tz: str) -> tuple[Party, ...]:
    if not isinstance(value, list):
        raise FormError('must be a list such as ["251020", { org = "990001", role = "HOST" }]')
    return tuple(
        Party(one) if isinstance(one, str) else read_nested(_PARTY, one, tz, f"[{number}]")
        for number, one in enumerate(value)
    )


def _write_parties(value: tuple[Party, ...], tz: str) -> list[Any]:
    return [one.org if one.role is Role.BOTH else {"org": one.org, "role": str(one.role)} for one in value]


_PARTY = Layout(Party, (*_same(TEXT, "org"), *_same(one_of(Role), "role")))


def _read_categories(value: Any, tz: str) -> tuple[CategoryMap, ...]:
    if not isinstance(value, dict):
        raise FormError('must be a table such as { "251020/UG" = "U-UG" }')
    rows = []
    for key, shared in value.items():
        home, slash, category = key.partition("/")
        if not (home and slash and category):
            raise FormError(f'{key!r} must be a library and its category, such as "251020/UG"')
        rows.append(CategoryMap(home, category, TEXT.read(shared, tz)))
    return tuple(rows)


def _write_categories(value: tuple[CategoryMap, ...], tz: str) -> dict[str, str]:
    table = {f"{row.home_org}/{row.home_cat}": row.shared_cat for row in value}
    if len(table) < len(value):
        raise FormError("gives one category of a library two meanings")
    return table


class _Pair:
    """Two durations that belong together: fresh until, refused after."""

    fields = ("fresh", "refuse")

    @classmethod
    def read(cls, value: Any, tz: str) -> tuple[int, int]:
        if not isinstance(value, dict) or set(value) != set(cls.fields):
            raise FormError('must be { fresh = "4 h", refuse = "24 h" }')
        return SPAN.read(value["fresh"], tz), SPAN.read(value["refuse"], tz)

    @classmethod
    def write(cls, value: tuple[int, int], tz: str) -> dict[str, str]:
        return {name: SPAN.write(one, tz) for name, one in zip(cls.fields, value, strict=True)}


_BOUNDS = Form(_Pair.read, _Pair.write)

_STALENESS = Layout(
    Staleness,
    (
        Row("policy", ("policy_fresh_ms", "policy_refuse_ms"), _BOUNDS),
        Row("enter", ("enter_cards_fresh_ms", "enter_cards_refuse_ms"), _BOUNDS),
        Row("borrow", ("borrow_facts_fresh_ms", "borrow_facts_refuse_ms"), _BOUNDS),
        *_same(TRUTH, "own_readers_fail_open"),
        *_same(NUMBER, "offline_cap", "offline_max_value"),
    ),
)

_QUOTAS = Layout(Quotas, _same(NUMBER, "visitors_now", "visits_per_day", "loans_per_reader", "loans_per_lender"))
_DISCLOSURE = Layout(Disclosure, _same(TRUTH, "name_at_desk", "initials_on_screen", "reader_no_at_desk"))
_RETENTION = Layout(Retention, (Row("visits", ("visit_days",), DAYS), Row("loans", ("loan_days",), DAYS)))

AGREEMENT = Layout(
    Agreement,
    (
        *_same(NUMBER, "version"),
        *_same(one_of(AgreementStatus), "status"),
        *_same(Form(_read_parties, _write_parties), "parties"),
        *_same(set_of(one_of(Service), list(Service)), "services"),
        Row("valid_from", ("valid_from_ms",), START),
        Row("valid_to", ("valid_to_ms",), END),
        Row("notice", ("notice_days",), DAYS),
        Row("categories", ("category_map",), Form(_read_categories, _write_categories)),
        *_same(TEXTS, "excluded_item_types", "excluded_collections"),
        *_same(one_of(FeeScheme), "fee_scheme"),
        *_same(one_of(DebtRule), "debt_rule"),
        *_same(record_form(_QUOTAS), "quotas"),
        *_same(record_form(_STALENESS), "staleness"),
        *_same(record_form(_DISCLOSURE), "disclosure"),
        *_same(record_form(_RETENTION), "retention"),
    ),
    given=("id", "blackouts"),
)
"""Without ``blackouts``: they may name a calendar of the same source."""

RULE = Layout(
    PolicyRule,
    (
        *_same(TEXT, "agreement", "home", "category", "item_type", "owner", "place"),
        Row("ages", ("age_from", "age_to"), AGES),
        Row("valid_from", ("valid_from_ms",), START),
        Row("valid_to", ("valid_to_ms",), END),
        *_same(TRUTH, "lend"),
        Row("period", ("period_days", "period_hours"), LOAN),
        Row("hard_due", ("hard_due_ms",), LAST_SECOND),
        *_same(NUMBER, "renewals"),
        Row("renew_window", ("renew_window_days",), DAYS),
        Row("grace", ("grace_days",), DAYS),
        *_same(MONEY, "fine_per_day", "max_fine"),
        Row("suspension_per_day", ("suspension_days",), DAYS),
        *_same(MONEY, "deposit"),
        *_same(TRUTH, "condition_note", "holdable"),
        *_same(TEXT, "returnable_at", "float_group", "return_to"),
        *_same(TRUTH, "offline_lend"),
        *_same(NUMBER, "offline_cap"),
    ),
    given=("id",),
)

LIMIT = Layout(
    LimitSet,
    (
        *_same(one_of(LimitScope), "scope"),
        *_same(NUMBER, "max_open", "max_value"),
        *_same(TEXTS, "item_types", "categories"),
        *_same(TRUTH, "partners_only"),
        *_same(TEXT, "lender", "group"),
    ),
    given=("id",),
)

BLACKOUT = (START, END)
"""How the first and the last day of a black-out are written."""
