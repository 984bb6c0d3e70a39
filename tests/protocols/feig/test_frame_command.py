"""`tongjie frame decode` over every vector of every family, from the command line."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tongjie.commands.frame import app

DATA = Path(__file__).parents[2] / "data" / "frames.jsonl"
VECTORS = [json.loads(line) for line in DATA.read_text().splitlines()]
run = CliRunner().invoke


def answer(arguments, **extra):
    result = run(app, ["decode", *arguments], **extra)
    return result.exit_code, [json.loads(line) for line in result.stdout.splitlines()]


class TestRefusals:
    def test_unknown_kind_is_wrong_usage(self):
        assert run(app, ["decode", "abc", "00"]).exit_code == 2

    @pytest.mark.parametrize("word", ["zz", "0", "02 0"])
    def test_what_is_no_hex_is_said_so(self, word):
        code, (facts,) = answer(["feig", "--json", word])
        assert (code, facts["error"]) == (1, "bad-hex")

    def test_one_bad_line_does_not_stop_the_others(self):
        lines = "xyz\n0600B0015C63\n\n0600B0015C64\n"
        code, facts = answer(["feig", "--json"], input=lines)
        assert code == 1
        assert [fact.get("error") for fact in facts] == ["bad-hex", None, "bad-check"]

    def test_line_without_end_is_refused_and_not_kept(self):
        code, facts = answer(["feig", "--json"], input="A" * 400_000 + "\n0600B0015C63\n")
        assert code == 1
        assert [fact.get("error") for fact in facts] == ["bad-hex", None]

    @pytest.mark.parametrize(
        ("kind", "sender", "raw"),
        [
            ("swct", "device", "53570003FF0153"),
            ("feig", "device", "020012FF9F000D02020008017700EE024431"),
            ("feig", "host", "020020009F0002001801770000000000000000000000022B0000020C9F4E81A3"),
        ],
    )
    def test_direction_that_contradicts_the_frame_is_refused(self, kind, sender, raw):
        code, (facts,) = answer([kind, "--from", sender, "--json", raw])
        assert (code, facts["error"]) == (1, "malformed")


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_vector(vector):
    expected = dict(vector["expected"])
    code, (facts,) = answer([vector["kind"], "--json", vector["hex"]])
    if expected.pop("decode", None) == "reject":
        assert code == 1
        assert facts["error"]
        assert facts["message"]
        assert facts["ok"] is False
    else:
        assert code == 0
        assert facts["ok"] is True
    assert {key: facts.get(key) for key in expected} == expected


@pytest.mark.parametrize("vector", [v for v in VECTORS if "status" in v["expected"]], ids=lambda vector: vector["id"])
def test_status_is_the_same_when_the_sender_is_named(vector):
    _, (facts,) = answer([vector["kind"], "--from", "device", "--json", vector["hex"]])
    assert facts["status"] == vector["expected"]["status"]


def test_named_host_has_no_status():
    _, (facts,) = answer(["feig", "--from", "host", "--json", "0600B0015C63"])
    assert "status" not in facts
    assert facts["data"] == "01"


def test_without_json_a_line_of_text():
    assert "crc=ok" in run(app, ["decode", "feig", "0600B0015C63"]).stdout
