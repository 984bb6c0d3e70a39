"""``tongjie policy``: from the example that librarians read to the bundle and back into words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from consortium.bundle import digest, from_json, to_json
from consortium.lint import check_bundle, lint
from consortium.source import read_source, write_source
from tests.make import Make
from tongjie.cli import app

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
SOURCE, READERS = EXAMPLES / "consortium.toml", EXAMPLES / "readers.csv"
HERE = ("--home", "251020", "--category", "PG", "--item-type", "BOOK", "--owner", "990001", "--at", "990001-01")


def run(*words: object):
    return CliRunner().invoke(app, ["policy", *map(str, words)])


def changed(tmp_path: Path, old: str, new: str) -> Path:
    text = SOURCE.read_text("utf-8")
    assert old in text
    path = tmp_path / "changed.toml"
    path.write_text(text.replace(old, new), "utf-8")
    return path


@pytest.mark.parametrize("command", ["build", "lint", "show"])
def test_a_file_that_is_not_there_is_wrong_usage(command, tmp_path):
    done = run(command, tmp_path / "none.toml")
    assert done.exit_code == 2
    assert "FILE_UNREADABLE" in done.stderr


def test_a_source_with_a_mistake_is_refused_with_its_place(tmp_path):
    done = run("build", changed(tmp_path, 'calendar = "city"', 'calendar = "citty"'))
    assert done.exit_code == 1
    assert (
        "branches.990002-01.calendar: 'citty' is no calendar here (did you mean city?) [SOURCE_REFERENCE]"
        in done.stderr
    )


@pytest.mark.parametrize("text", ["{", '{"version": 1}', '{"body": "{}"}', "[consortium"])
def test_what_is_no_policy_is_refused_in_one_sentence(text, tmp_path):
    path = tmp_path / "policy"
    path.write_text(text, "utf-8")
    done = run("show", path)
    assert done.exit_code == 1
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_policy_that_contradicts_itself_is_not_built(tmp_path):
    path = changed(tmp_path, '"BORROW", "RETURN", "RENEW"]', '"BORROW", "RENEW"]')
    out = tmp_path / "bundle.json"
    done = run("build", path, "-o", out)
    assert done.exit_code == 1
    assert "AGREEMENT_CONTRADICTS" in done.stderr
    assert not out.exists()
    said = json.loads(run("build", path, "--json").stdout)
    assert [one["code"] for one in said["findings"]] == ["AGREEMENT_CONTRADICTS"]
    assert run("lint", path).exit_code == 1


def test_the_example_builds_into_its_one_text(tmp_path):
    out = tmp_path / "bundle.json"
    done = run("build", SOURCE, "-o", out)
    assert done.exit_code == 0
    text = out.read_text("utf-8")
    assert text == to_json(read_source(SOURCE.read_text("utf-8")))
    assert done.stdout == f"version 12\ndigest  {digest(text)}\n"
    said = json.loads(run("build", SOURCE, "--json").stdout)
    assert said == {"ok": True, "version": 12, "digest": digest(text), "bytes": len(text.encode())}


def test_the_example_is_clean_and_reads_back_from_its_own_bundle():
    bundle = read_source(SOURCE.read_text("utf-8"))
    check_bundle(bundle)
    assert {one.severity for one in lint(bundle)} == {"note"}
    assert read_source(write_source(bundle)) == bundle
    assert from_json(to_json(bundle)) == bundle
    done = run("lint", SOURCE, "--readers", READERS, "--item-types", "BOOK,DISC,LAPTOP,REFERENCE")
    assert done.exit_code == 0
    assert done.stdout == "0 errors, 0 warnings, 0 notes\n"


def test_lint_names_readers_without_a_rule_and_rules_without_readers(tmp_path):
    path = changed(tmp_path, 'category = "GUEST"\nlend = false', 'category = "GEUST"\nlend = false')
    readers = tmp_path / "readers.csv"
    readers.write_text("home,category,age,n\n251020,GUEST,,35\n990001,UG,,5\n990002,ADULT,,1\n", "utf-8")
    done = run("lint", path, "--readers", readers, "--json")
    assert done.exit_code == 0
    found = {one["code"]: one for one in json.loads(done.stdout)["findings"]}
    assert found["RULE_NEVER_MATCHES"]["where"].startswith("rules.")
    assert any(
        one["code"] == "RULE_NEVER_MATCHES" and one["where"] == "rules.guests" and "did you mean GUEST" in one["en"]
        for one in json.loads(done.stdout)["findings"]
    )
    chinese = run("lint", path, "--readers", readers, "--lang", "zh").stdout
    assert "永远不会适用" in chinese


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("library,type\n251020,UG\n", "READERS_HEADER"),
        ("home,category,age,n\n251020,UG,old,5\n", "READERS_ROW"),
        ("home,category,age,n\n,UG,19,5\n", "READERS_ROW"),
        ("home,category,age,n\n251020,UG,19,many\n", "READERS_ROW"),
    ],
)
def test_a_reader_list_in_another_form_is_wrong_usage(text, code, tmp_path):
    path = tmp_path / "readers.csv"
    path.write_text(text, "utf-8")
    done = run("lint", SOURCE, "--readers", path)
    assert done.exit_code == 2
    assert code in done.stderr


def test_show_tells_agreements_in_both_languages():
    chinese, english = run("show", SOURCE), run("show", SOURCE, "--lang", "en")
    assert "协议方:重庆大学图书馆" in chinese.stdout
    assert "本馆读者放行" in chinese.stdout
    assert "Term: 2025-09-01 to 2028-08-31, both included; ends with 90 days' notice" in english.stdout
    assert "Partner readers are not served: 2027-01-04 – 2027-01-15; 2027-06-21 – 2027-07-02" in english.stdout
    said = json.loads(run("show", SOURCE, "--json", "--lang", "en").stdout)
    assert said["agreements"].keys() == {"universities@3", "city-reading@1", "city-lending@1"}
    assert run("show", SOURCE, "--lang", "fr").exit_code == 2


def test_explain_tells_rules_results_and_the_due_date():
    done = run("explain", SOURCE, *HERE, "--on", "2026-11-23", "--lang", "en")
    assert done.exit_code == 0
    assert "  2. (=**=**) books-partners: gives: loan period, days" in done.stdout
    assert "loan period, days: 21  [rule books-partners]" in done.stdout
    assert done.stdout.endswith("Decision: ALLOW (OK Approved)\nDue: 2026-12-14 23:59\n")
    said = json.loads(run("explain", SOURCE, *HERE, "--on", "2026-11-23", "--json").stdout)
    assert said["outcome"] == "ALLOW"
    assert said["results"]["fine_per_day"] == {"value": 10, "rule": "books"}
    assert said["case"]["category"] == "U-PG"


def test_equipment_is_due_in_hours():
    where = (
        "--home",
        "990002",
        "--category",
        "TEEN",
        "--item-type",
        "LAPTOP",
        "--owner",
        "990002",
        "--at",
        "990002-01",
    )
    done = run("explain", SOURCE, *where, "--age", 16, "--on", "2026-11-24T10:00:00", "--lang", "en")
    assert "deposit, yuan: 500.00  [rule laptops]" in done.stdout
    assert done.stdout.endswith("Due: 2026-11-24 14:00\n")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--category", "PG", "--item-type", "LAPTOP"), "ITEM_NOT_SHARED"),
        (("--category", "ALUMNI", "--item-type", "BOOK"), "AGR_CATEGORY"),
        (("--category", "PG", "--item-type", "REFERENCE"), "ITEM_REFERENCE"),
        (("--category", "PG", "--item-type", "MAP"), "RULE_NONE"),
    ],
)
def test_explain_says_why_a_loan_would_be_refused(words, code):
    where = ("--home", "251020", "--owner", "990001", "--at", "990001-01", "--on", "2026-11-23")
    done = run("explain", SOURCE, *where, *words)
    assert done.exit_code == 1
    assert code in done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("--home", "880000", *HERE[2:]),
        (*HERE[:-1], "990001-07"),
        (*HERE, "--on", "tomorrow"),
        (*HERE, "--lang", "de"),
    ],
)
def test_explain_for_what_is_not_there_is_wrong_usage(words):
    assert run("explain", SOURCE, *words).exit_code == 2


def test_explain_asks_about_the_black_out_of_examinations():
    assert "AGR_BLACKOUT" in run("explain", SOURCE, *HERE, "--on", "2027-01-15").stdout
    assert run("explain", SOURCE, *HERE, "--on", "2027-01-16").exit_code == 0


def test_diff_tells_what_is_added_removed_and_changed(tmp_path):
    path = changed(tmp_path, 'period = "21 days"', 'period = "20 days"')
    text = (
        path.read_text("utf-8")
        .replace("[limits.discs]", "[limits.records]")
        .replace("visitors_now = 300", "visitors_now = 9")
    )
    path.write_text(text, "utf-8")
    done = run("diff", SOURCE, path)
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "~ agreements.city-reading (251020 (HOME), 990002 (HOST))",
        "    quotas.visitors_now: 300 → 9",
        "~ rules.books-partners (agreement universities, item_type BOOK)",
        '    period: "21 days" → "20 days"',
        "- limits.discs (reader@lender, item_types DISC)",
        '    scope: "reader@lender"',
        "    max_open: 3",
        '    item_types: ["DISC"]',
        "+ limits.records (reader@lender, item_types DISC)",
        '    scope: "reader@lender"',
        "    max_open: 3",
        '    item_types: ["DISC"]',
        "4 changes",
    ]
    said = json.loads(run("diff", SOURCE, path, "--json").stdout)["changes"]
    assert [one["kind"] for one in said] == ["changed", "changed", "removed", "added"]


def test_a_bundle_and_a_sealed_bundle_are_read_like_their_source(tmp_path):
    body = to_json(read_source(SOURCE.read_text("utf-8")))
    plain, sealed = tmp_path / "bundle.json", tmp_path / "sealed.json"
    plain.write_text(body, "utf-8")
    sealed.write_text(json.dumps({"format": "tongjie-policy-v1", "body": body, "seals": []}), "utf-8")
    for path in (plain, sealed):
        assert run("show", path).stdout == run("show", SOURCE).stdout
        assert run("diff", SOURCE, path).stdout == "0 changes\n"


def test_a_bundle_that_no_source_can_mean_has_no_difference_to_tell(tmp_path):
    path = tmp_path / "bundle.json"
    path.write_text(to_json(Make.bundle(agreements=(Make.agreement("a@b"),))), "utf-8")
    done = run("diff", path, SOURCE)
    assert done.exit_code == 1
    assert "SOURCE_UNWRITABLE" in done.stderr


@pytest.mark.parametrize("command", ["build", "lint", "show", "explain", "diff"])
def test_every_command_has_help_with_an_example(command):
    done = run(command, "--help")
    assert done.exit_code == 0
    assert f"Example: tongjie policy {command}" in done.stdout
