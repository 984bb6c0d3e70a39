"""The demo's supervisor with real child processes: nobody waits for ever, nobody stays dead, nobody is left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tongjie.demo import supervisor as module
from tongjie.demo.supervisor import READY_LINE_BYTES, Child, StartError, Supervisor

ROOT = Path(__file__).parents[3]
READY = "import json, signal, sys, time; print(json.dumps({'kind': 'test'}), flush=True)\n"
STAYS = READY + "time.sleep(60)"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + STAYS


def gone(pid: int) -> bool:
    """Whether a process has ended; one that waits to be reaped has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


async def until(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come true in time"
        await asyncio.sleep(0.02)


class Bench:
    """A supervisor, what it said, and children made of a line of Python."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.supervisor = Supervisor(self.said.append)

    def child(self, name: str, program: str, **more: object) -> Child:
        return Child(name, [sys.executable, "-c", program], self.folder / f"{name}.log", **more)  # type: ignore[arg-type]


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setattr(module, "BACK_OFF_S", (0.05, 0.1, 0.2, 0.4, 0.8))
    made = Bench(tmp_path)
    yield made
    await made.supervisor.stop_all(1.0)
    assert all(gone(child.process.pid) for child in made.supervisor.children if child.process is not None)


# --- a child that does not come up -------------------------------------------------------------------------------------


async def test_a_child_that_ends_before_it_is_ready_is_named_with_its_last_words(bench: Bench) -> None:
    program = "import sys; print('first', file=sys.stderr); print('the port is taken', file=sys.stderr); sys.exit(2)"
    with pytest.raises(StartError, match=r"^broker: the port is taken$"):
        await bench.supervisor.start(bench.child("broker", program))
    assert "first" in (bench.folder / "broker.log").read_text()


async def test_a_child_that_ends_without_a_word_is_named(bench: Bench) -> None:
    with pytest.raises(StartError, match=r"^hub: it said nothing$"):
        await bench.supervisor.start(bench.child("hub", "pass"))


async def test_a_child_that_never_gets_ready_is_ended(bench: Bench) -> None:
    program = "import sys, time; print('waiting for the moon', file=sys.stderr, flush=True); time.sleep(60)"
    child = bench.child("edge", program, ready_timeout_s=1.5)
    with pytest.raises(StartError, match=r"edge was not ready after 1.5 s \(waiting for the moon\); see .*edge.log"):
        await bench.supervisor.start(child)
    assert child.process is not None
    assert gone(child.process.pid)


async def test_a_program_that_does_not_exist_is_a_start_error(bench: Bench) -> None:
    child = Child("ghost", ["/nowhere/program"], bench.folder / "ghost.log")
    with pytest.raises(StartError, match=r"ghost could not be started: .*No such file"):
        await bench.supervisor.start(child)


async def test_a_log_that_cannot_be_written_is_a_start_error(bench: Bench) -> None:
    child = Child("mute", [sys.executable, "-c", STAYS], bench.folder / "nowhere" / "mute.log")
    with pytest.raises(StartError, match=r"mute could not be started"):
        await bench.supervisor.start(child)


async def test_lines_that_are_no_object_are_logged_and_waited_over(bench: Bench) -> None:
    program = f"print('starting'); print([1]); print('x' * {2 * READY_LINE_BYTES})\n" + STAYS
    assert await bench.supervisor.start(bench.child("chatty", program)) == {"kind": "test"}
    assert "starting" in (bench.folder / "chatty.log").read_text()


# --- a child that dies -------------------------------------------------------------------------------------------------


async def test_a_child_that_dies_is_restarted_and_said_so(bench: Bench) -> None:
    heard: list[dict[str, object]] = []
    child = bench.child("edge", STAYS, on_ready=heard.append)
    await bench.supervisor.start(child)
    assert child.process is not None
    first = child.process.pid
    os.kill(first, signal.SIGKILL)
    await until(lambda: child.restarts == 1)
    assert child.process.pid != first
    assert bench.said == ["edge ended (killed by signal 9); starting it again in 0.1 s", "edge is back"]
    assert heard == [{"kind": "test"}] * 2


async def test_pauses_grow_while_a_child_keeps_dying(bench: Bench) -> None:
    await bench.supervisor.start(bench.child("fragile", READY + "sys.exit(3)"))
    await until(lambda: sum("again" in line for line in bench.said) >= 5)
    pauses = [line.rpartition(" in ")[2] for line in bench.said if "again" in line]
    assert pauses[:5] == ["0.1 s", "0.2 s", "0.4 s", "0.8 s", "0.8 s"]
    assert "fragile ended (exit 3)" in bench.said[0]


async def test_a_child_that_comes_back_wrong_is_tried_again_with_its_words(bench: Bench) -> None:
    flag = bench.folder / "flag"
    program = (
        "import os, sys\n"
        f"if os.path.exists({str(flag)!r}): sys.exit('no broker there')\n"
        f"open({str(flag)!r}, 'w').close()\n" + STAYS
    )
    child = bench.child("edge", program)
    await bench.supervisor.start(child)
    assert child.process is not None
    child.process.kill()
    await until(lambda: any("no broker there; starting it again" in line for line in bench.said))
    flag.unlink()
    await until(lambda: bench.said[-1] == "edge is back")


async def test_a_child_that_may_end_is_not_restarted(bench: Bench) -> None:
    child = bench.child("loader", READY, restart=False)
    await bench.supervisor.start(child)
    assert child.process is not None
    await child.process.wait()
    await asyncio.sleep(0.3)
    assert (child.restarts, bench.said) == (0, [])


async def test_what_a_dead_child_had_started_ends_with_it(bench: Bench) -> None:
    program = (
        "import subprocess, json, time\n"
        "p = subprocess.Popen(['sleep', '60']); print(json.dumps({'grandchild': p.pid}), flush=True); time.sleep(60)"
    )
    ready = await bench.supervisor.start(bench.child("broker", program, restart=False))
    assert not gone(ready["grandchild"])
    os.kill(bench.supervisor.children[0].process.pid, signal.SIGKILL)  # type: ignore[union-attr]
    await until(lambda: gone(ready["grandchild"]))


async def test_a_child_that_ends_before_it_is_ready_is_not_kept_by_what_it_had_started(bench: Bench) -> None:
    program = "import subprocess, sys; subprocess.Popen(['sleep', '60']); sys.exit('no port')"
    with pytest.raises(StartError, match=r"^broker: no port$"):
        await bench.supervisor.start(bench.child("broker", program, ready_timeout_s=20))


# --- stopping ----------------------------------------------------------------------------------------------------------


async def test_stop_lets_a_child_finish_in_order(bench: Bench) -> None:
    mark = bench.folder / "finished"
    program = (
        f"import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(open({str(mark)!r}, 'w').close()))\n"
    )
    await bench.supervisor.start(bench.child("polite", program + STAYS))
    await bench.supervisor.stop("polite", 5.0)
    assert mark.exists()
    assert bench.said == []


async def test_stop_ends_a_child_that_will_not(bench: Bench) -> None:
    child = bench.child("deaf", DEAF)
    await bench.supervisor.start(child)
    began = time.monotonic()
    await bench.supervisor.stop("deaf", 0.3)
    assert child.process is not None
    assert child.process.returncode == -signal.SIGKILL
    assert time.monotonic() - began < 3


async def test_all_are_stopped_newest_first(bench: Bench) -> None:
    book = bench.folder / "order"
    for name in ("broker", "hub", "edge"):
        program = (
            "import signal, sys\n"
            f"signal.signal(signal.SIGTERM, lambda *_: sys.exit(open({str(book)!r}, 'a').write('{name} ') and 0))\n"
        )
        await bench.supervisor.start(bench.child(name, program + STAYS))
    await bench.supervisor.stop_all(5.0)
    assert book.read_text().split() == ["edge", "hub", "broker"]


async def test_a_child_stopped_while_it_is_away_stays_away(bench: Bench) -> None:
    child = bench.child("edge", STAYS)
    await bench.supervisor.start(child)
    assert child.process is not None
    child.process.kill()
    await until(lambda: len(bench.said) == 1)
    await bench.supervisor.stop("edge", 1.0)
    await asyncio.sleep(0.4)
    assert child.restarts == 0
    assert gone(child.process.pid)


async def test_kill_all_leaves_nobody_and_waits_for_nobody(bench: Bench) -> None:
    for name in ("one", "two"):
        await bench.supervisor.start(bench.child(name, DEAF))
    bench.supervisor.kill_all()
    pids = [child.process.pid for child in bench.supervisor.children if child.process is not None]
    await until(lambda: all(map(gone, pids)), 3.0)
    assert bench.said == []


async def test_ctrl_c_at_the_terminal_reaches_the_supervisor_alone(bench: Bench) -> None:
    child = bench.child("edge", STAYS)
    await bench.supervisor.start(child)
    assert child.process is not None
    assert os.getpgid(child.process.pid) == child.process.pid != os.getpgid(0)


@pytest.mark.skipif(sys.platform != "linux", reason="ending with a killed parent needs Linux")
async def test_nobody_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    program = f"""
import asyncio, sys, time
from pathlib import Path
from tongjie.demo.supervisor import Child, Supervisor
async def main():
    s = Supervisor(print)
    for name in "ab":
        child = Child(name, [sys.executable, "-c", {STAYS!r}], Path({str(tmp_path)!r}) / name)
        await s.start(child)
        print(child.process.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=-1, cwd=ROOT)
    assert parent.stdout is not None
    pids = [int(await asyncio.wait_for(parent.stdout.readline(), 20)) for _ in "ab"]
    assert not any(map(gone, pids))
    parent.kill()
    await parent.wait()
    await until(lambda: all(map(gone, pids)), 5.0)


# --- a child that is away for a while ----------------------------------------------------------------------------------


async def test_a_paused_child_stays_away_until_it_is_resumed(bench: Bench) -> None:
    child = bench.child("ILS", STAYS)
    await bench.supervisor.start(child)
    assert not bench.supervisor.paused("ILS")
    await bench.supervisor.pause("ILS", 2.0)
    assert child.process is not None
    first = child.process.pid
    assert gone(first)
    await asyncio.sleep(0.5)  # longer than the first pause before a restart
    assert bench.supervisor.paused("ILS")
    assert bench.said == []
    await bench.supervisor.resume("ILS")
    assert not bench.supervisor.paused("ILS")
    os.kill(child.process.pid, signal.SIGKILL)
    await until(lambda: child.restarts == 1)


async def test_resuming_what_was_not_paused_starts_no_second_one(bench: Bench) -> None:
    child = bench.child("ILS", STAYS)
    await bench.supervisor.start(child)
    assert child.process is not None
    first = child.process.pid
    await bench.supervisor.resume("ILS")
    assert child.process.pid == first
