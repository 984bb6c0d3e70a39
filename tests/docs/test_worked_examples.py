"""The worked examples of docs/: every page says what the program answers, and both languages work the same ones."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from consortium.bundle import Policy
from consortium.lint import Severity, lint
from consortium.source import read_source
from tongjie.reference.examples import answer, answered, read_examples
from tongjie.reference.words import AnswerError

DOCS = Path(__file__).resolve().parents[2] / "docs"
POLICY = Policy(read_source((DOCS / "rules.toml").read_text("utf-8")))
PAGES = {
    path.name: path.read_text("utf-8") for path in DOCS.glob("*.md") if "```toml example=" in path.read_text("utf-8")
}
RULES = read_examples(PAGES["rules.md"])


def block(body: str, said: str = "") -> str:
    return f"```toml example=one\n{body}\n```\n\nSome words.\n\n```text answer=one\n{said}```\n"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("ask = ", "EXAMPLE_TOML"),
        ('ask = "may_fly"', "EXAMPLE_ASK"),
        ('ask = "may_enter"', "EXAMPLE_VALUE"),
        ('ask = "may_enter"\nwhen = 2026-10-12T09:30:00+08:00\nbranch = "990001-01"\nreadr = {}', "EXAMPLE_VALUE"),
        ('ask = "may_enter"\nwhen = 2026-10-12T09:30:00+08:00\nbranch = "990001-01"\nage = "old"', "EXAMPLE_VALUE"),
    ],
)
def test_an_example_that_cannot_be_answered_is_refused_by_its_name(body: str, code: str) -> None:
    with pytest.raises(AnswerError, match="one") as caught:
        answered(block(body), POLICY, "en")
    assert (caught.value.code, caught.value.name) == (code, "one")


def test_two_examples_of_one_name_are_refused() -> None:
    with pytest.raises(AnswerError) as caught:
        read_examples(block('ask = "rules"') * 2)
    assert caught.value.code == "EXAMPLE_TWICE"


@pytest.mark.parametrize("name", sorted(PAGES))
def test_every_answer_in_the_pages_is_what_the_program_says(name: str) -> None:
    lang = "zh" if name.endswith(".zh.md") else "en"
    assert answered(PAGES[name], POLICY, lang) == PAGES[name]


@pytest.mark.parametrize("name", sorted(PAGES))
def test_every_block_marked_as_an_example_is_read_as_one(name: str) -> None:
    page = PAGES[name]
    assert len(read_examples(page)) == page.count("```toml example=") == page.count("```text answer=")


def test_a_changed_answer_is_put_right_and_nothing_else() -> None:
    page = PAGES["rules.md"]
    wrong = page.replace("ALLOW RETURN_TRANSIT", "ALLOW RETURN_HOME")
    assert wrong != page
    assert answered(wrong, POLICY, "en") == page


def test_a_stricter_policy_makes_the_pages_stale() -> None:
    source = (DOCS / "rules.toml").read_text("utf-8")
    stricter = Policy(read_source(source.replace("max_open = 3", "max_open = 4")))
    assert answered(PAGES["rules.md"], stricter, "en") != PAGES["rules.md"]


def test_both_languages_work_the_same_examples() -> None:
    assert read_examples(PAGES["rules.zh.md"]) == RULES


def test_there_is_an_example_of_every_decision_and_story() -> None:
    asked = {data["ask"] for data in RULES.values()}
    assert asked >= {
        "may_enter",
        "may_borrow",
        "may_renew",
        "accept_return",
        "next_destination",
        "rules",
        "refold",
        "whatif",
    }
    assert "agreement_ends" in {data["ask"] for data in read_examples(PAGES["agreements-ending.md"]).values()}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("enter", "ALLOW OK"),
        ("enter-line-down", "REFER NOT_DECIDABLE_OFFLINE"),
        ("borrow", "2026-10-26 23:59:59"),
        ("borrow-limit", "DENY LIMIT_LENDER"),
        ("borrow-holiday", "2027-02-22 23:59:59"),
        ("renew", "2026-11-05 23:59:59"),
        ("renew-held", "DENY RENEW_HELD"),
        ("return", "TRANSIT 251020-01 via 990002-01"),
        ("where-next", "HOLD 990001-01 (HOLD, hold h2)"),
        ("laptop", "2026-10-13 08:00:00"),
        ("laptop", "deposit 500.00"),
        ("laptop-away", "DENY RETURN_OWNER_ONLY"),
        ("reference", "DENY ITEM_REFERENCE"),
        ("in-use", "read here 2"),
        ("guest-enter", "ALLOW OK"),
        ("guest-borrow", "DENY ITEM_REFERENCE"),
        ("guest-next-day", "DENY CARD_EXPIRED"),
        ("ending-borrow", "2027-07-01 00:00:00"),
        ("ended-enter", "DENY AGR_ENDED"),
        ("late", "CONFLICT_DISSOLVED: kind CF_IMPLIED_RETURN"),
        ("what-if", "LIMIT_LENDER → OK: 1"),
    ],
)
def test_the_words_around_an_example_tell_the_same_story(name: str, said: str) -> None:
    """What the prose says of an example, so that the program's answer and the words beside it cannot part."""
    assert said in "\n".join(answer(name, RULES, POLICY, "en"))


def test_the_policy_of_the_pages_has_no_error() -> None:
    assert [one for one in lint(POLICY.bundle) if one.severity is Severity.ERROR] == []


def test_the_pages_link_only_to_pages_that_are_there() -> None:
    for name in (*PAGES, "architecture.md"):
        for target in re.findall(r"\]\(([^)#:]+)", (DOCS / name).read_text("utf-8")):
            assert (DOCS / target).exists(), f"{name}: {target}"
