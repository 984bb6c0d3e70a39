"""The bench of the SIP2 server: its servers give true answers, and it measures ours where rivals cannot be had."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from bench import _kiosks, sip2
from bench.rivals import EnvironmentMissing
from bench.rivals.store import StoreMissing, store
from protocols.sip2 import parse

OURS = [sys.executable, "-m", "bench.servers.ours"]
REDIS = """
import os, socket, sys
with open(os.environ["SEEN"], "w") as seen:
    seen.write(" ".join([str(os.getpid()), *sys.argv[1:]]))
listening = socket.create_server(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])))
while True:
    line, _ = listening.accept()
    if line.recv(64) == b"PING\\r\\n":
        line.sendall(b"+PONG\\r\\n")
    line.close()
"""
"""What of a Redis the bench itself asks for."""
RIVAL = """
import os, socket, sys
if "--redis" in sys.argv:
    host, _, port = sys.argv[-1].removeprefix("redis://").removesuffix("/0").partition(":")
    with socket.create_connection((host, int(port)), 5) as line:
        line.sendall(b"PING\\r\\n")
        assert line.recv(64) == b"+PONG\\r\\n"
os.execv(sys.executable, [sys.executable, "-m", "bench.servers.ours"])
"""
"""A rival's server that needs no package of a rival's: ours, once the Redis that it was told of has answered."""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH, empty."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("SEEN", str(tmp_path / "seen"))
    return folder


@pytest.fixture
def rivals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment whose Python starts ``RIVAL`` whatever it is told to start, and whose uvloop is asyncio."""
    folder = tmp_path / "rivals"
    packages = folder / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    (folder / "bin").mkdir()
    program(folder / "bin" / "python", RIVAL)
    (packages / "uvloop.py").write_text("from asyncio import run\n", "utf-8")
    monkeypatch.setattr(sip2, "environment", lambda: folder)
    return folder


def program(path: Path, text: str) -> None:
    """A program in Python."""
    path.write_text(f"#!{sys.executable}\n{text}", "utf-8")
    path.chmod(0o755)


def is_running(pid: int) -> bool:
    """Whether there is such a process."""
    return os.path.exists(f"/proc/{pid}")


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


def test_without_redis_the_reason_is_beside_and_the_rest_is_measured(programs: Path, rivals: Path) -> None:
    found = sip2.run(seconds=0.2, runs=1, stretches=1)
    assert found["beside"]["invenio_note"] == "invenio-sip2 is not measured: redis-server is not on PATH"
    assert [key for key in found["beside"] if key.startswith("invenio_")] == ["invenio_note"]
    assert found["beside"]["pysip2_cpu_us_per_message_16"] >= found["beside"]["pysip2_cpu_us_per_message_best_16"] > 0
    assert found["figures"]["share_of_pysip2_16"] > 0
    assert "share_of_invenio_16" not in found["figures"]


def test_a_redis_that_ends_at_once_is_a_reason_too(programs: Path, rivals: Path) -> None:
    program(programs / "redis-server", "raise SystemExit(3)")
    why = "invenio-sip2 is not measured: redis-server ended as soon as it was started, with exit code 3"
    assert sip2.invenio(rivals, 0.2, 1) == why


def test_a_rival_that_does_not_start_costs_no_other_figure(programs: Path, rivals: Path) -> None:
    program(programs / "redis-server", REDIS)
    program(rivals / "bin" / "python", "raise SystemExit(1)")
    assert "did not start" in sip2.invenio(rivals, 0.2, 1)


def test_a_redis_that_says_nothing_is_given_up_and_ended(programs: Path, tmp_path: Path) -> None:
    program(programs / "redis-server", REDIS.replace('b"PING', 'b"GNIP'))
    with pytest.raises(StoreMissing, match=r"did not answer in 0\.5 s"), store(ready_s=0.5):
        pass
    assert not is_running(int((tmp_path / "seen").read_text("utf-8").split()[0]))


def test_the_redis_is_on_loopback_keeps_nothing_and_ends_with_the_block(programs: Path, tmp_path: Path) -> None:
    program(programs / "redis-server", REDIS)
    with store() as redis:
        pid, *words = (tmp_path / "seen").read_text("utf-8").split(" ")
        options = dict(zip(words[::2], words[1::2], strict=True))
        assert (int(pid), redis.url) == (redis.pid, f"redis://127.0.0.1:{options['--port']}/0")
        assert (options["--bind"], options["--save"], options["--appendonly"]) == ("127.0.0.1", "", "no")
        folder = Path(options["--dir"])
        assert folder.is_dir()
        assert is_running(redis.pid)
    assert not is_running(redis.pid)
    assert not folder.exists()


def test_with_redis_invenio_is_measured_and_its_redis_apart(programs: Path, rivals: Path) -> None:
    program(programs / "redis-server", REDIS)
    found = sip2.invenio(rivals, 0.3, 2)
    assert isinstance(found, dict), found
    assert [len(found[f"cpu_us_{kiosks}"]) for kiosks in (1, 16, 200)] == [2, 2, 1]
    assert min(found["cpu_us_1"] + found["cpu_us_16"]) > 0
    assert 0 < max(found["p99_ms_1"]) < 10_000
    assert found["redis_cpu_us_16"] == [0, 0]


def test_a_share_is_the_median_of_the_runs_and_of_a_rival_that_was_measured() -> None:
    ours = {("", ""): {"cpu_us_16": [60.0, 120.0, 90.0]}, ("", "_uvloop"): {"cpu_us_16": [40.0, 80.0, 90.0]}}
    pysip2 = {("pysip2_", ""): {"cpu_us_16": [200.0, 400.0, 100.0]}}
    invenio = {("invenio_", ""): {"cpu_us_16": [1000.0, 1000.0, 1000.0]}}
    of_pysip2 = {"share_of_pysip2_16": 0.3, "share_of_pysip2_16_uvloop": 0.2}
    of_invenio = {"share_of_invenio_16": 0.09, "share_of_invenio_16_uvloop": 0.08}
    assert sip2.shares(ours) == {}
    assert sip2.shares(ours | pysip2) == of_pysip2
    assert sip2.shares(ours | pysip2 | invenio) == of_pysip2 | of_invenio
