"""Every vector of tests/data/sip2.jsonl, through the codec and through `tongjie sip2 decode`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from protocols.sip2 import NEED_DATA, Answer, Framer, RemoteProtocolError, ServerSession, build, parse
from protocols.sip2.fields import MAX_VALUE
from tongjie.commands.sip2 import app

VECTORS = [
    json.loads(line) for line in (Path(__file__).parents[2] / "data" / "sip2.jsonl").read_text("utf-8").splitlines()
]
FIXED_NOW = datetime(2026, 11, 22, 19, 37, 11, tzinfo=UTC)
STREAMS = [v for v in VECTORS if v["kind"] == "stream"]
MESSAGES = [v for v in VECTORS if v["kind"] != "stream"]
SOUND = [v for v in MESSAGES if "decode" not in v["expected"]]
REFUSED = [v for v in MESSAGES if "decode" in v["expected"]]


def named(vector: dict[str, Any]) -> str:
    return str(vector["id"])


def raw(vector: dict[str, Any]) -> bytes:
    return bytes.fromhex(vector["hex"]) if "hex" in vector else vector["text"].encode()


def assert_expected(vector: dict[str, Any], found: dict[str, Any]) -> None:
    assert {key: found.get(key) for key in vector["expected"]} == vector["expected"]


def test_the_file_holds_vectors_of_every_kind() -> None:
    assert (len(SOUND), len(REFUSED), len(STREAMS)) == (80, 3, 5)


@pytest.mark.parametrize("vector", REFUSED, ids=named)
def test_a_cut_message_is_refused_and_its_checksum_told(vector: dict[str, Any]) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse(raw(vector))
    assert caught.value.details() == {key: vector["expected"][key] for key in ("code", "sequence", "checksum", "right")}


@pytest.mark.parametrize("vector", REFUSED, ids=named)
def test_the_command_prints_the_error_and_exits_1(vector: dict[str, Any]) -> None:
    result = CliRunner().invoke(app, ["decode", "--json"], input=raw(vector) + b"\n")
    found = json.loads(result.stdout)
    assert result.exit_code == 1
    assert found["error"] in {"fixed_part", "field"}
    assert found["message"]
    assert_expected(vector, found)


@pytest.mark.parametrize("how", ["guessed", "named", "hex"])
@pytest.mark.parametrize("vector", SOUND, ids=named)
def test_the_command_decodes_the_vector(vector: dict[str, Any], how: str) -> None:
    line = raw(vector).hex().encode() if how == "hex" else raw(vector)
    encoding = ["--encoding", vector["expected"].get("encoding", "utf-8")] if how == "named" else []
    result = CliRunner().invoke(app, ["decode", "--json", *encoding], input=line + b"\n")
    assert result.exit_code == 0
    assert_expected(vector, json.loads(result.stdout))


def test_the_command_decodes_a_whole_file_line_by_line() -> None:
    result = CliRunner().invoke(app, ["decode", "--json"], input=b"\r\n".join(map(raw, MESSAGES)))
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 1
    for vector, one in zip(MESSAGES, found, strict=True):
        assert_expected(vector, one)


@pytest.mark.parametrize("vector", [v for v in STREAMS if "frames" in v["expected"]], ids=named)
def test_a_stream_is_cut_into_its_frames(vector: dict[str, Any]) -> None:
    framer, frames = Framer(), []
    for chunk in vector["chunks"]:
        framer.receive(bytes.fromhex(chunk))
        while (frame := framer.next_frame()) is not NEED_DATA:
            frames.append(frame.decode())
    assert frames == vector["expected"]["frames"]


@pytest.mark.parametrize("vector", [v for v in STREAMS if "replies" in v["expected"]], ids=named)
def test_a_bad_checksum_is_answered_by_96(vector: dict[str, Any]) -> None:
    session = ServerSession()
    for chunk in vector["chunks"]:
        session.receive(bytes.fromhex(chunk))
    event = session.next_event(FIXED_NOW)
    assert isinstance(event, Answer)
    assert [event.data.decode()] == [reply + "\r" for reply in vector["expected"]["replies"]]


def is_canonical(vector: dict[str, Any]) -> bool:
    """What we would write ourselves: standard fixed part, delimiter after each field, short values, AZ over bytes."""
    expected = vector["expected"]
    body = raw(vector)[:-9]
    return (
        expected["checksum"] == "ok"
        and expected.get("sum_over", "bytes") == "bytes"
        and vector["kind"] not in ("dialect", "resend")
        and all(len(value) <= MAX_VALUE for _, value in expected["fields"])
        and (not expected["fields"] or body.endswith(b"|"))
    )


@pytest.mark.parametrize("vector", [v for v in SOUND if is_canonical(v)], ids=named)
def test_a_canonical_vector_is_written_byte_for_byte(vector: dict[str, Any]) -> None:
    expected = vector["expected"]
    written = build(
        expected["code"],
        expected["fixed"],
        expected["fields"],
        sequence=expected["sequence"],
        encoding=expected.get("encoding", "utf-8"),
    )
    assert written == raw(vector)


def test_the_resend_messages_are_written_with_the_standard_checksums() -> None:
    assert build("97", {}, ()) == b"97AZFEF5"
    assert build("96", {}, ()) == b"96AZFEF6"
