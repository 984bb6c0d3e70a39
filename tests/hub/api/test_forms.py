"""Forms of the API's values: cursors, times, what may be said of a silent branch, words in both languages."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortium.conflicts import KINDS, Default
from consortium.events import Kind
from consortium.states import EndKind, TransitState
from hub.api.forms import cursor_text, cursor_values, ms_of, time_of
from hub.api.presence import contact, device_state
from hub.api.problems import Problem
from hub.auth.access import ROLES, SCOPES, Access, role_scopes
from hub.console.pages import HERE
from hub.console.words import WORDS, pick


@given(st.text(max_size=40))
def test_no_text_makes_a_cursor_crash(text: str) -> None:
    with pytest.raises(Problem, match="CURSOR_INVALID"):
        cursor_values("loans", text, (int, str))


@given(st.integers(-(2**62), 2**62), st.text(max_size=60))
def test_a_cursor_gives_back_what_it_was_made_of(number: int, text: str) -> None:
    assert cursor_values("loans", cursor_text("loans", [number, text]), (int, str)) == [number, text]


def test_a_branch_that_says_nothing_for_35_seconds_is_silent_and_its_devices_unknown() -> None:
    assert contact(True, 1_000, 36_000) == "online"
    assert contact(True, 1_000, 36_001) == "silent"
    assert contact(False, 36_000, 36_001) == "offline"
    assert device_state("online", "silent") == "unknown"
    assert device_state("degraded", "online") == "degraded"
    assert device_state("shiny", "online") == "unknown"


@given(st.integers(0, 253_402_300_799_999))
def test_a_time_reads_back_as_it_was_written(ms: int) -> None:
    assert ms_of(time_of(ms), "t") == ms


def test_a_time_beyond_the_calendar_is_shown_as_its_end() -> None:
    assert time_of(2**53) == "9999-12-31T23:59:59.999Z"


@pytest.mark.parametrize("text", ["", "now", "2026-01-01", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00"])
def test_a_time_without_a_zone_or_sense_is_refused(text: str) -> None:
    with pytest.raises(Problem, match="TIME_INVALID"):
        ms_of(text, "t")


def test_no_role_grants_a_scope_that_is_none_and_an_unknown_role_grants_nothing() -> None:
    assert all(scopes <= SCOPES.keys() for scopes in ROLES.values())
    assert role_scopes("root") == frozenset()


def test_nobody_grants_more_than_they_have() -> None:
    some = Access("token:x", "990001", frozenset({"read", "admin"}))
    assert some.could_grant(["read"], "990001")
    assert not some.could_grant(["read", "write"], "990001")
    assert not some.could_grant(["read"], "251020")
    assert not some.could_grant(["read"], "*")


def test_every_word_a_template_or_script_says_is_in_both_languages() -> None:
    assert all(zh.strip() and en.strip() for zh, en in WORDS.values())
    said = set()
    for path in [*(HERE / "templates").glob("*.html"), *(HERE / "static").glob("*.js")]:
        said |= set(re.findall(r"""say\(['"]([a-z0-9.]+)['"][,)]""", path.read_text(encoding="utf-8")))
    assert len(said) > 40
    assert said <= WORDS.keys(), said - WORDS.keys()


def test_every_word_of_the_ledgers_vocabularies_is_there() -> None:
    wanted = {f"cf.{kind}" for kind in KINDS} | {f"settle.{default}" for default in Default}
    wanted |= {f"event.{kind}" for kind in Kind} | {f"transit.{state}" for state in TransitState}
    wanted |= {f"end.{kind}" for kind in EndKind}
    assert wanted <= WORDS.keys(), wanted - WORDS.keys()


def test_the_language_is_the_one_chosen_else_the_browsers_else_chinese() -> None:
    assert pick("en", "zh-CN") == "en"
    assert pick(None, "fr, en-GB;q=0.8, zh;q=0.5") == "en"
    assert pick("xx", "") == "zh"
