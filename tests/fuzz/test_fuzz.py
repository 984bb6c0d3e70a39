"""The corpus through every target, and in ``make proof`` ten minutes of looking for more."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from protocols.sip2 import ServerSession
from tests.fuzz import corpus, run
from tests.fuzz.corpus import FOLDER, inputs, keep, seeds
from tests.fuzz.targets import TARGETS

SECONDS = int(os.environ.get("TONGJIE_PROOF_FUZZ_SECONDS", "600"))


@pytest.mark.parametrize("target", TARGETS)
def test_no_input_of_the_corpus_breaks_a_promise(target: str) -> None:
    found = inputs(target)
    assert len(found) > 50
    for one in found:
        TARGETS[target](one)


@pytest.mark.parametrize("target", TARGETS)
def test_every_vector_is_what_fuzzing_begins_with(target: str) -> None:
    found = seeds(target)
    assert len(found) == 88
    for one in found:
        TARGETS[target](one)


def test_the_committed_corpus_is_small() -> None:
    assert sum(one.stat().st_size for one in FOLDER.iterdir()) < 300_000


def test_a_broken_promise_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that answers without a terminator does not pass: what is replayed can fail."""
    answer = ServerSession.answer
    monkeypatch.setattr(ServerSession, "answer", lambda *args, **named: answer(*args, **named).rstrip(b"\r\n"))
    with pytest.raises(AssertionError):
        TARGETS["server"](seeds("server")[0])


def test_a_corpus_is_kept_without_doubles_and_within_its_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "FOLDER", tmp_path / "corpus")
    keep("codec", [b"bb", b"a", b"bb", b""])
    assert inputs("codec") == [b"a", b"bb"]
    kept = run._fitting([b"x" * 40_000, b"y" * 3, b"z" * 40_000])
    assert [len(one) for one in kept] == [3, 40_000]


def test_what_takes_no_new_way_is_not_kept() -> None:
    frames = [seeds("codec")[0], seeds("codec")[0] + b"  ", b"\x00zz", b"\x00zzz", b"\x00zzzz"]
    assert corpus.minimised(TARGETS["codec"], frames) == [b"\x00zz", *frames[:2]]


@pytest.mark.parametrize("words", [["--target", "kiosk"], ["--seconds", "soon"]])
def test_wrong_usage_is_said(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run.main(words)
    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err


@pytest.mark.proof
def test_ten_minutes_of_fuzzing_find_no_crash() -> None:
    found = [run.fuzz(target, max(1, SECONDS // len(TARGETS))) for target in TARGETS]
    lines = [one.line() for one in found]
    if kept := os.environ.get("TONGJIE_PROOF_REPORT"):
        with Path(kept).open("a", encoding="utf-8") as report:
            report.write("".join(f"{line}\n" for line in lines))
    assert all(one.crash is None for one in found), lines
    assert all(one.inputs > 1000 and one.coverage > 200 for one in found), lines
