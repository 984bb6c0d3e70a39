"""`tongjie tag decode|encode` over every vector, from the command line."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tongjie.commands.tag import app

DATA = Path(__file__).parents[2] / "data" / "tags.jsonl"
VECTORS = [json.loads(line) for line in DATA.read_text().splitlines()]
TAG_KINDS = {
    "iso28560-2": "28560-2",
    "iso28560-3": "28560-3",
    "iso28560-3-reversed": "28560-3",
    "gen2-pc-uii": "28560-4",
    "urn-code40": "28560-4",
    "iso28560-4-mb11": "28560-4",
    "gaoxiao-tag": "gaoxiao",
    "gaoxiao-user-bank": "gaoxiao",
    "gaoxiao-ipc96": "gaoxiao",
    "gaoxiao-ipc128": "gaoxiao",
}
DETECTED = {
    "iso28560-2",
    "iso28560-3",
    "iso28560-3-reversed",
    "gen2-pc-uii",
    "iso28560-4-mb11",
    "gaoxiao-tag",
    "gaoxiao-user-bank",
}
BOTH_WAYS = [
    v for v in VECTORS if v["note"] == "both ways" or v["kind"] in ("urn-code40", "gaoxiao-owner", "gaoxiao-set-info")
]
run = CliRunner().invoke


def answer(command, *arguments, **extra):
    result = run(app, [command, "--json", *arguments], **extra)
    return result.exit_code, [json.loads(line) for line in result.stdout.splitlines()]


def check(vector, code, facts):
    expected = dict(vector["expected"])
    if expected.get("decode") == "reject":
        assert code == 1
        assert facts["error"]
        assert facts["message"]
        assert "pii" not in facts
    else:
        assert code == 0
        assert {key: facts.get(key) for key in expected} == expected
        assert facts["format"] in ("28560-2", "28560-3", "28560-4", "gaoxiao", "3m")


class TestRefusals:
    @pytest.mark.parametrize("form", ["28560", "iso15962-compaction", "iso15962-compaction:9", ""])
    def test_unknown_format_is_wrong_usage(self, form):
        assert run(app, ["decode", "--format", form, "00"]).exit_code == 2

    def test_tag_with_a_wrong_crc_tells_the_right_one_and_no_item(self):
        bad = next(vector for vector in VECTORS if vector["id"] == "D5")
        for arguments in (("decode", bad["hex"]), ("decode", "--format", "28560-3", bad["hex"])):
            code, (facts,) = answer(*arguments)
            assert (code, facts["error"], facts["right"], facts["crc_ok"]) == (1, "bad-crc", "2B37", False)

    def test_garbage_is_refused(self):
        code, (facts,) = answer("decode", "DEADBEEF" * 9)
        assert (code, facts["error"]) == (1, "unreadable")

    @pytest.mark.parametrize(
        "arguments",
        [
            ["--format", "abc"],
            ["--format", "urn-code40"],
            ["--pii", "1", "--size", "33"],
            ["--format", "28560-4", "--afi", "x"],
        ],
    )
    def test_encode_with_wrong_usage(self, arguments):
        assert run(app, ["encode", *arguments]).exit_code == 2

    def test_encode_of_an_item_that_does_not_fit(self):
        code, (facts,) = answer("encode", "--pii", "1" * 17)
        assert (code, facts["error"]) == (1, "bad-argument")


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_vector_by_its_kind(vector):
    scheme = vector["expected"].get("compaction")
    options = ["--compaction", str(scheme)] if scheme else []
    code, (facts,) = answer("decode", "--format", vector["kind"], *options, vector["hex"])
    check(vector, code, facts)


@pytest.mark.parametrize("vector", [v for v in VECTORS if v["kind"] in TAG_KINDS], ids=lambda vector: vector["id"])
def test_vector_by_its_format(vector):
    code, (facts,) = answer("decode", "--format", TAG_KINDS[vector["kind"]], vector["hex"])
    check(vector, code, facts)
    assert facts.get("format", TAG_KINDS[vector["kind"]]) == TAG_KINDS[vector["kind"]]


@pytest.mark.parametrize("vector", [v for v in VECTORS if v["kind"] in DETECTED], ids=lambda vector: vector["id"])
def test_vector_by_detection(vector):
    code, (facts,) = answer("decode", vector["hex"])
    check(vector, code, facts)
    assert facts.get("format", TAG_KINDS[vector["kind"]]) == TAG_KINDS[vector["kind"]]


@pytest.mark.parametrize("vector", BOTH_WAYS, ids=lambda vector: vector["id"])
def test_value_gives_the_bytes_of_the_vector(vector):
    form = vector["kind"] + (f":{vector['expected']['compaction']}" if "compaction" in vector["expected"] else "")
    code, (facts,) = answer("encode", "--format", form, "--", vector["expected"]["value"])
    assert (code, facts["hex"]) == (0, vector["hex"])


@pytest.mark.parametrize(
    ("arguments", "vector_id"),
    [
        (["--pii", "1000000136", "--owner", "DK-718500"], "D3-34"),
        (["--pii", "1000000136", "--owner", "DK-718500", "--size", "32"], "D3-32"),
        (["--pii", "123456789012", "--format", "28560-2"], "A3"),
        (["--pii", "01557071", "--format", "gaoxiao"], None),
        (["--pii", "12345678", "--owner", "CH-000134-1", "--set", "31", "--afi", "C2", "--format", "28560-4"], None),
        (["--pii", "12345678", "--owner", "1234", "--branch", "12", "--format", "3m"], None),
    ],
)
def test_encoded_tag_decodes_to_the_same_item(arguments, vector_id):
    code, (made,) = answer("encode", *arguments)
    assert code == 0
    if vector_id:
        assert made["hex"] == next(vector["hex"] for vector in VECTORS if vector["id"] == vector_id)
    code, (facts,) = answer("decode", made["hex"])
    assert (code, facts["pii"], facts["format"]) == (0, arguments[1], made["format"])


def test_tags_come_one_a_line_on_stdin():
    lines = "".join(vector["hex"] + "\n" for vector in VECTORS if vector["kind"] == "iso28560-3")
    code, facts = answer("decode", input=lines)
    assert code == 1
    assert [fact.get("pii") for fact in facts] == ["11223344", "1000000136", "1000000136", "1000000136", None]


class TestEncodeOptions:
    @pytest.mark.parametrize(
        "arguments",
        [
            ["--elements", "title"],
            ["--elements", "title="],
            ["--elements", "colour=red"],
            ["--format", "28560-2", "--lock", "colour"],
        ],
    )
    def test_element_that_is_none_is_wrong_usage(self, arguments):
        assert run(app, ["encode", "--pii", "1", *arguments]).exit_code == 2

    @pytest.mark.parametrize(
        "arguments",
        [
            ["--format", "3m", "--elements", "title=x"],
            ["--format", "3m", "--usage", "8"],
            ["--format", "gaoxiao", "--owner", "CN-251020"],
            ["--format", "28560-3", "--elements", "local_a=x"],
            ["--format", "28560-2", "--set", "123"],
        ],
    )
    def test_what_the_format_cannot_hold_is_refused(self, arguments):
        code, (facts,) = answer("encode", "--pii", "1", *arguments)
        assert (code, facts["error"]) == (1, "bad-argument")

    def test_locked_elements_fill_their_blocks(self):
        options = ["--format", "28560-2", "--pii", "123456789012", "--owner", "US-InU-Mu", "--set", "1203"]
        code, (facts,) = answer("encode", *options, "--shelf", "QA268.L55", "--lock", "all")
        vector = next(vector for vector in VECTORS if vector["id"] == "A1")
        assert (code, facts["hex"], facts["locks"]) == (0, vector["hex"], [0, 1, 6, 7, 8])

    def test_extension_blocks_are_the_vectors(self):
        options = [
            "other_media=02",
            "alternative_owner=DE-123",
            "shelf=QA268",
            "title=title",
            "ill_library=DK-1",
            "12=42",
        ]
        given = [word for option in options for word in ("--elements", option)]
        code, (facts,) = answer("encode", "--pii", "1000000136", "--owner", "DK-718500", *given)
        vector = next(vector for vector in VECTORS if vector["id"] == "D3-x")
        assert (code, facts["hex"]) == (0, vector["hex"])

    def test_uhf_tag_comes_with_its_user_bank(self):
        options = ["--pii", "01557071", "--owner", "10611", "--usage", "1", "--elements", "shelf=I247"]
        code, (facts,) = answer("encode", "--format", "gaoxiao", *options)
        assert code == 0
        code, (bank,) = answer("decode", "--format", "gaoxiao-user-bank", facts["user"])
        assert (code, bank["owner"], bank["usage"]) == (0, "10611", "0.0")
        code, (facts,) = answer("encode", "--format", "28560-4", *options)
        code, (bank,) = answer("decode", "--format", "iso28560-4-mb11", facts["user"])
        assert (code, bank["shelf"]) == (0, "I247")
        assert answer("decode", facts["hex"])[1][0]["umi"] == 1


class TestConvert:
    @pytest.mark.parametrize(
        "options",
        [
            ["--to", "28560"],
            ["--to", "28560-3", "--dsfid", "x"],
            ["--to", "28560-3", "--pair", "07,07"],
            ["--to", "28560-3", "--pair", "07"],
            ["--to", "28560-3", "--uhf", "--user", "0"],
        ],
    )
    def test_wrong_usage_is_said(self, options):
        assert run(app, ["convert", *options, "00"]).exit_code == 2

    @pytest.mark.parametrize(
        ("options", "tag", "code"),
        [
            (["--dsfid", "3E"], "11" * 34, "bad-crc"),
            (["--dsfid", "00"], "00" * 32, "blank"),
            (["--dsfid", "42"], "11" * 34, "foreign-dsfid"),
            (["--dsfid", "06", "--afi", "90"], "9100051CBE991A14", "foreign-afi"),
            (["--uhf"], "30003034257BF7194E4000001A85", "foreign-epc"),
            (["--dsfid", "06", "--capacity", "8"], "9100051CBE991A14", "bad-argument"),
        ],
    )
    def test_tag_that_is_no_item_is_refused(self, options, tag, code):
        status, (facts,) = answer("convert", "--to", "28560-3", *options, tag)
        assert (status, facts["error"]) == (1, code)

    def test_item_keeps_what_both_formats_say(self):
        tag = next(vector["hex"] for vector in VECTORS if vector["id"] == "A1")
        code, (facts,) = answer("convert", "--to", "28560-3", "--dsfid", "06", "--on-loan", tag)
        image = facts["image"]
        assert (code, facts["lost"], image["dsfid"], image["afi"], image["eas"]) == (0, [], "3E", "C2", False)
        code, (again,) = answer("convert", "--to", "28560-2", "--dsfid", image["dsfid"], image["hex"])
        assert (again["pii"], again["owner"], again["elements"]) == ("123456789012", "USInU-Mu", {"shelf": "QA268.L55"})
        assert (again["parts"], again["part"]) == (12, 3)

    def test_school_tag_becomes_an_hf_tag_with_its_divergence_named(self):
        school = {vector["id"]: vector["hex"] for vector in VECTORS}
        code, (facts,) = answer("convert", "--to", "28560-2", "--uhf", "--user", school["C6"], "3000" + school["C5"])
        assert (code, facts["divergences"], facts["lost"]) == (0, ["content-parameter-order"], [])
        code, (tag,) = answer("decode", facts["image"]["hex"])
        assert (code, tag["pii"], tag["owner"]) == (0, "01557071", "55700")

    def test_what_the_other_format_cannot_say_is_named(self):
        tag = next(vector["hex"] for vector in VECTORS if vector["id"] == "D3-x")
        code, (facts,) = answer("convert", "--to", "3m", tag)
        assert (code, facts["lost"]) == (
            0,
            ["owner", "shelf", "ill_library", "ill_transaction", "title", "other_media", "alternative_owner"],
        )
