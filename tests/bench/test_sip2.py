"""The bench of the SIP2 server: its servers give true answers, and it measures ours where rivals cannot be had."""

from __future__ import annotations

import socket
import sys

import pytest

from bench import _kiosks, sip2
from bench.rivals import EnvironmentMissing
from protocols.sip2 import parse

OURS = [sys.executable, "-m", "bench.servers.ours"]


def test_a_server_that_does_not_start_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="did not start"), sip2.serving([sys.executable, "-c", "pass"]):
        pass


def test_the_stub_answers_every_message_of_the_round() -> None:
    with sip2.serving(OURS) as server, socket.create_connection(("127.0.0.1", server.port), 5) as line:
        codes = []
        for frame in (_kiosks.login_frame(), *_kiosks._rounds(7)[:6]):
            line.sendall(frame)
            answer = b""
            while not answer.endswith(b"\r"):
                answer += line.recv(4096)
            message = parse(answer[:-1])
            assert (message.checksum, message.fixed.get("ok", "1")) == ("ok", "1")
            codes.append(message.code)
    assert codes == ["94", "98", "24", "64", "18", "12", "10"]


def test_without_rivals_ours_is_measured_and_the_reason_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise EnvironmentMissing("no network")

    monkeypatch.setattr(sip2, "environment", missing)
    found = sip2.run(seconds=0.2, runs=1, stretches=1)
    assert found["notes"][-1] == "no rival and no uvloop in this run: no network"
    assert found["figures"]["answered_300"] == 300
    assert found["figures"]["idle_1000"] == 1000
    assert found["figures"]["cpu_us_per_message_16"] > 0
    assert found["beside"] == {}
