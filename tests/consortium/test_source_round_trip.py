"""Any policy written out reads back the same: the property, over bundles of every shape."""

from __future__ import annotations

import tomllib
from datetime import date, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consortium.agreement import (
    Agreement,
    AgreementStatus,
    Branch,
    BranchKind,
    CategoryMap,
    DebtRule,
    Disclosure,
    FeeScheme,
    Group,
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
from consortium.bundle import MATCH_ORDER, Bundle
from consortium.calendar import DAY_MS, Calendar, NamedPeriod, Period, PeriodKind, midnight_ms
from consortium.source import read_source, write_source
from consortium.source.times import END, LAST_SECOND, SPAN, START
from consortium.source.toml import dump

ORGS = ("251020", "990001", "990002")
BRANCHES = tuple(f"{org}-01" for org in ORGS)
ZONES = ("Asia/Shanghai", "Europe/London", "America/St_Johns", "Asia/Kathmandu")
# Surrogates are no text, and TOML reads a lone carriage return as it stands only inside quotes: everything else must survive.
words = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12).filter(str.strip)
names = st.sampled_from(("a", "b c", "年", 'q"t', "x.y", "z'", "tab\t", "new\nline", "\x7f"))
orgs = st.sampled_from(ORGS)
small = st.integers(0, 400)
flag = st.booleans()
days = st.dates(date(1990, 1, 1), date(2100, 1, 1))
instants = st.one_of(
    st.integers(0, 4_000_000_000_000), st.builds(midnight_ms, days, st.sampled_from(ZONES)),
    st.builds(lambda day, tz: midnight_ms(day, tz) - 1000, days, st.sampled_from(ZONES)),
)  # fmt: skip
spans = st.one_of(
    st.integers(0, 10**10), st.integers(0, 90).map(lambda n: n * DAY_MS), st.integers(0, 500).map(lambda n: n * 60_000)
)


def maybe(strategy):
    return st.none() | strategy


hours = st.lists(st.integers(0, 1440), max_size=4, unique=True).map(
    lambda edges: tuple(zip(sorted(edges)[::2], sorted(edges)[1::2], strict=False))
)
periods = st.builds(
    lambda zh, en, first, more, kind: NamedPeriod(zh, en, first.isoformat(), (first + timedelta(days=more)).isoformat(), kind),
    words, words, days, st.integers(0, 60), st.sampled_from(PeriodKind),
)  # fmt: skip
near_days = st.integers(0, 12).map(lambda n: (date(2026, 9, 26) + timedelta(days=n)).isoformat())
calendars = st.builds(
    Calendar, names, st.sampled_from(ZONES), st.tuples(*[hours] * 7),
    st.dictionaries(near_days, st.sampled_from(((), ((480, 720),), ((0, 1440),)))),
    st.dictionaries(near_days, st.sampled_from((("国庆节", "National Day"), ("校庆", "Anniversary")))),
    st.lists(periods, max_size=3).map(tuple),
)  # fmt: skip
libraries = st.builds(
    Library, orgs, words, words, words, st.sampled_from(ZONES), st.sampled_from(LibraryStatus),
    st.builds(Mastership, *[st.sampled_from(Master)] * 4),
)  # fmt: skip
staleness = st.builds(Staleness, *[spans] * 6, flag, small, small)


def agreements(calendar_list: list[Calendar]):
    known = [one.period(c.tz) for c in calendar_list for one in c.periods]
    some = st.builds(Period, instants, instants)
    return st.builds(
        Agreement,
        names, small, st.lists(st.builds(Party, orgs, st.sampled_from(Role)), max_size=4).map(tuple),
        st.frozensets(st.sampled_from(Service)), instants, instants, st.sampled_from(AgreementStatus),
        st.lists(st.builds(CategoryMap, orgs, names, names), unique_by=lambda r: (r.home_org, r.home_cat)).map(tuple),
        st.frozensets(names), st.frozensets(names),
        st.lists(some | st.sampled_from(known) if known else some, max_size=4).map(tuple),
        st.builds(Quotas, *[st.integers(-3, 500)] * 4), staleness, st.sampled_from(FeeScheme), st.sampled_from(DebtRule),
        st.builds(Disclosure, flag, flag, flag), st.builds(Retention, small, small), small,
    )  # fmt: skip


def rules(agreement_ids: list[str], group_names: list[str]):
    marked = [f"@{name}" for name in group_names]
    org = st.sampled_from(("*", *ORGS, *marked))
    return st.builds(
        PolicyRule, names, st.sampled_from(("*", *agreement_ids)), org, names | st.just("*"), names | st.just("*"), org,
        st.sampled_from(("*", *ORGS, *BRANCHES, *marked)), maybe(st.integers(0, 120)), maybe(st.integers(0, 120)),
        maybe(instants), maybe(instants), maybe(flag), maybe(small), maybe(small), maybe(instants), maybe(small), maybe(small),
        maybe(small), maybe(small), maybe(small), maybe(small), maybe(small), maybe(flag), maybe(flag),
        maybe(st.sampled_from(("any", "owner"))), maybe(st.sampled_from(group_names)) if group_names else st.none(),
        maybe(st.sampled_from(("owner", "lending"))), maybe(flag), maybe(small),
    )  # fmt: skip


def listed(strategy, key, **more):
    return st.lists(strategy, unique_by=key, max_size=3, **more).map(tuple)


@st.composite
def bundles(draw):
    calendar_list = draw(listed(calendars, lambda c: c.id, min_size=1))
    group_list = draw(
        listed(st.builds(Group, names, st.frozensets(st.sampled_from(ORGS + BRANCHES))), lambda g: g.name)
    )
    agreement_list = draw(listed(agreements(list(calendar_list)), lambda a: (a.id, a.version)))
    library_list = tuple(
        Library(org, *draw(st.tuples(words, words, words)), draw(st.sampled_from(ZONES)))
        for org in draw(st.permutations(ORGS))
    )
    branch = st.builds(
        Branch, st.sampled_from(BRANCHES), orgs, words, words, st.sampled_from([c.id for c in calendar_list]), small,
        st.sampled_from(BranchKind), st.none(), flag,
        maybe(st.tuples(st.integers(-90_000_000, 90_000_000), st.integers(-180_000_000, 180_000_000))),
    )  # fmt: skip
    branch_list = tuple(draw(branch.map(lambda b, name=name: _renamed(b, name))) for name in BRANCHES)
    limits = st.builds(
        LimitSet, names, st.sampled_from(LimitScope), st.integers(-1, 90), st.frozensets(names), st.frozensets(names), flag,
        st.sampled_from(("*", *ORGS)), st.sampled_from(("", *[g.name for g in group_list])), small,
    )  # fmt: skip
    return Bundle(
        draw(small), draw(instants), draw(instants), draw(instants), library_list, branch_list, calendar_list, agreement_list,
        draw(listed(rules([a.id for a in agreement_list], [g.name for g in group_list]), lambda r: r.id)),
        draw(listed(limits, lambda one: one.id)), group_list, tuple(draw(st.permutations(MATCH_ORDER))),
    )  # fmt: skip


def _renamed(branch: Branch, name: str) -> Branch:
    return Branch(
        name, branch.org, branch.name_zh, branch.name_en, branch.calendar_id, branch.capacity, branch.kind,
        BRANCHES[0] if branch.capacity % 2 else None, branch.anti_pass_back, branch.geo,
    )  # fmt: skip


@settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(bundles())
def test_a_bundle_written_as_a_source_reads_back_the_same(bundle):
    text = write_source(bundle)
    assert read_source(text) == bundle


@given(libraries)
def test_a_library_reads_back_with_all_it_says(library):
    bundle = Bundle(1, 0, 0, DAY_MS, (library,), (), (), (), (), ())
    assert read_source(write_source(bundle)).libraries == (library,)


@given(st.sampled_from((START, END, LAST_SECOND)), st.sampled_from(ZONES), instants)
def test_an_instant_reads_back_in_any_zone(form, tz, at_ms):
    assert form.read(form.write(at_ms, tz), tz) == at_ms


@given(spans)
def test_a_duration_reads_back(span):
    assert SPAN.read(SPAN.write(span, "UTC"), "UTC") == span


values = st.recursive(
    words | st.integers(-(2**53), 2**53) | flag,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(words, values, max_size=5))
def test_any_tree_written_as_toml_is_that_tree(tree):
    assert tomllib.loads(dump(tree)) == tree
