"""The corpus through every target, and in ``make proof`` ten minutes of looking for more."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from protocols.frames import Framer
from protocols.sip2 import ServerSession
from tests.fuzz import corpus, run, sip2
from tests.fuzz.corpus import FOLDER, inputs, keep
from tests.fuzz.target import decoder
from tests.fuzz.targets import TARGETS

SECONDS = int(os.environ.get("TONGJIE_PROOF_FUZZ_SECONDS", "600"))


@pytest.mark.parametrize("target", TARGETS)
def test_no_input_of_the_corpus_breaks_a_promise(target: str) -> None:
    found = inputs(target)
    assert len(found) > 8
    for one in found:
        TARGETS[target].run(one)


@pytest.mark.parametrize("target", TARGETS)
def test_every_vector_is_what_fuzzing_begins_with(target: str) -> None:
    found = TARGETS[target].seeds()
    assert len(found) == 88 if target in sip2.TARGETS else found
    for one in found:
        TARGETS[target].run(one)


def test_the_committed_corpus_is_small() -> None:
    for one in FOLDER.iterdir():
        assert one.stat().st_size < (100_000 if one.stem in sip2.TARGETS else 40_000), one.name
        assert one.stem in TARGETS


def test_a_broken_promise_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that answers without a terminator does not pass: what is replayed can fail."""
    answer = ServerSession.answer
    monkeypatch.setattr(ServerSession, "answer", lambda *args, **named: answer(*args, **named).rstrip(b"\r\n"))
    with pytest.raises(AssertionError):
        TARGETS["server"].run(TARGETS["server"].seeds()[0])


def test_a_lost_byte_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A framer that forgets what it has when a new piece comes does not pass."""
    receive = Framer.receive

    def forgetful(framer: Framer[object], chunk: bytes) -> list[object]:
        framer._buffer.clear()
        return receive(framer, chunk)

    monkeypatch.setattr(Framer, "receive", forgetful)
    with pytest.raises(AssertionError, match="other pieces"):
        TARGETS["frames_swct"].run(b"\x00\x03SW\x00\x04\x03\xff\x01S")


def test_a_decoder_that_reads_its_own_writing_otherwise_is_seen() -> None:
    """A target of one line: what is wrong on purpose, what is not, and what is refused."""
    doubled = decoder(lambda data: data * 2, (ValueError,), lambda value: value)
    with pytest.raises(AssertionError, match="something else"):
        doubled.run(b"x")
    decoder(lambda data: data.decode(), (UnicodeDecodeError,), str.encode).run(b"\xff")
    with pytest.raises(ZeroDivisionError):
        decoder(lambda data: 1 // len(data), (ValueError,)).run(b"")


def test_a_corpus_is_kept_without_doubles_and_within_its_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "FOLDER", tmp_path / "corpus")
    keep("codec", [b"bb", b"a", b"bb", b""])
    assert inputs("codec") == [b"a", b"bb"]
    kept = run._fitting([b"x" * 40_000, b"y" * 3, b"z" * 40_000], 90_000)
    assert inputs("server") == []
    assert [len(one) for one in kept] == [3, 40_000]


def test_what_takes_no_new_way_is_not_kept() -> None:
    first = TARGETS["codec"].seeds()[0]
    frames = [first, first + b"  ", b"\x00zz", b"\x00zzz", b"\x00zzzz"]
    assert corpus.minimised(TARGETS["codec"].run, frames) == [b"\x00zz", *frames[:2]]


@pytest.mark.parametrize("words", [["--target", "kiosk"], ["--seconds", "soon"]])
def test_wrong_usage_is_said(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run.main(words)
    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err


@pytest.mark.proof
@pytest.mark.parametrize("target", TARGETS)
def test_ten_minutes_of_fuzzing_find_no_crash(target: str) -> None:
    found = run.fuzz(target, SECONDS)
    if kept := os.environ.get("TONGJIE_PROOF_REPORT"):
        with Path(kept).open("a", encoding="utf-8") as report:
            report.write(f"{found.line()}\n")
    assert found.crash is None, found.line()
    assert found.inputs > 1000, found.line()
    assert found.coverage > (200 if target in sip2.TARGETS else 40), found.line()
