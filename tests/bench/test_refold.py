"""``tongjie bench refold`` over a small log: its own history is sound, every figure is there, and a broken one is not passed over."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from bench import refold
from bench._history import Maker


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hub") / "hub.sqlite"
    Maker(path).make(1_500)
    return path


def test_a_loan_that_never_was_is_found_in_the_benchs_own_log(database: Path, tmp_path: Path):
    copy = tmp_path / "hub.sqlite"
    copy.write_bytes(database.read_bytes())
    with sqlite3.connect(copy) as connection:
        connection.execute("UPDATE loans SET t_end = NULL, end_kind = NULL, end_event = NULL WHERE t_end IS NOT NULL")
    assert refold.check_all(copy)["broken"]


def test_the_invariants_that_can_be_checked_hold_over_the_benchs_own_log(database: Path):
    found = refold.check_all(database)
    assert found["broken"] == []
    assert found["held"] >= 14


def test_the_whole_log_is_read_and_every_item_folded(database: Path):
    found = refold.fold_all(database)
    with sqlite3.connect(database) as connection:
        (events,) = connection.execute("SELECT count(*) FROM events").fetchone()
        (items,) = connection.execute("SELECT count(*) FROM item_state").fetchone()
        (loans,) = connection.execute("SELECT count(*) FROM loans").fetchone()
    assert (found["events"], found["items"], found["loans"]) == (events, items, loans)
    assert events >= 1_500


def test_part_of_the_log_carries_decisions(database: Path):
    with sqlite3.connect(database) as connection:
        query = "SELECT count(*), sum(body LIKE '%\"decision\"%') FROM events WHERE kind IN ('CHECKOUT', 'ENTRY')"
        all_of_them, decided = connection.execute(query).fetchone()
    assert 0.3 * all_of_them < decided < 0.7 * all_of_them


def test_every_figure_is_there_with_its_limit_beside(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(refold, "LATE_RUNS", 5)
    result = refold.run(1_000)
    figures, beside = result["figures"], result["beside"]
    assert figures["events"] >= 1_000
    assert all(figures[key] > 0 for key in ("check_s", "late_event_ms", "late_event_p99_ms", "rss_mb"))
    assert {key: beside[f"limit_{key}"] for key in ("fold_s", "check_s", "late_event_ms", "rss_mb")} == {
        "fold_s": 60, "check_s": 60, "late_event_ms": 1, "rss_mb": 1_500,
    }  # fmt: skip
