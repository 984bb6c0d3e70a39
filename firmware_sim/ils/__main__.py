"""``python -m firmware_sim.ils --port 0 --db FILE --user U --password-env V --institution ORG …``: a member's ILS as a process.

Prints one line of JSON when it is ready and ends when its standard input closes or SIGTERM comes. Its books stay in ``--db``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import random
import signal
import sqlite3
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvicorn

from firmware_sim.control import ControlServer
from firmware_sim.ils.acs import Acs
from firmware_sim.ils.books import Books, read_seed
from firmware_sim.ils.offers import CsvDrop, make_rest
from firmware_sim.ils.staff import Staff


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m firmware_sim.ils", description="A member's own ILS, simulated.")
    parser.add_argument("--port", type=int, default=0, help="TCP port of SIP2, 0 = any")
    parser.add_argument("--db", type=Path, required=True, help="its books, made where they are missing")
    parser.add_argument("--seed", type=Path, help="JSON with patrons, items and loans to put in")
    parser.add_argument("--user", required=True, help="SIP2 login")
    parser.add_argument("--password-env", required=True, help="variable that holds the SIP2 password")
    parser.add_argument("--institution", required=True, help="AO of its answers")
    parser.add_argument("--encoding", default="utf-8", help="of SIP2")
    parser.add_argument("--tz", default="Asia/Shanghai", help="the library's zone")
    parser.add_argument("--csv", type=Path, help="folder for CSV files of changes")
    parser.add_argument("--csv-every", type=float, default=2.0, help="seconds between two files, 0 = only when told")
    parser.add_argument("--rest-port", type=int, help="TCP port of the REST poll, 0 = any")
    parser.add_argument(
        "--rest-token-env", default="TONGJIE_SIM_ILS_TOKEN", help="variable that holds its bearer token"
    )
    parser.add_argument("--control-port", type=int, help="TCP port of the control channel, 0 = any")
    parser.add_argument("--life", type=float, default=0.0, help="acts of staff a minute, behind our back")
    parser.add_argument("--most", type=int, default=20, help="open loans of one reader")
    parser.add_argument("--days", type=int, default=30, help="days of a loan")
    parser.add_argument("--rng", type=int, default=1, help="seed of the staff's choices")
    return parser.parse_args(argv)


class _Rest(uvicorn.Server):
    """Signals are the process's, not this server's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


async def _run(given: argparse.Namespace) -> int:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    try:
        password = os.environ[given.password_env]
        token = os.environ.get(given.rest_token_env, "")
        if given.rest_port is not None and not token:
            raise KeyError(given.rest_token_env)
        books = Books(given.db, lambda: time.time_ns() // 1_000_000, tz=given.tz, most=given.most, days=given.days)
        if given.seed:
            books.seed(read_seed(given.seed))
    except KeyError as error:
        print(f"{error.args[0]} is not set", file=sys.stderr)  # noqa: T201 - a program's one sentence
        return 2
    except (OSError, ValueError, TypeError, sqlite3.Error) as error:
        print(f"the books or their seed cannot be used: {error}", file=sys.stderr)  # noqa: T201
        return 2
    counted: Counter[str] = Counter()
    late = [0.0]
    acs = Acs(books, user=given.user, password=password, institution=given.institution, encoding=given.encoding,
              asked=lambda code: counted.update((code,)), late=lambda: late[0])  # fmt: skip
    drop = CsvDrop(books, given.csv) if given.csv else None
    staff = Staff(
        books,
        drop=drop.drop if drop else None,
        slow=lambda s: late.__setitem__(0, max(0.0, min(s, 60.0))),
        state=lambda: {"messages": dict(counted)},
    )
    tasks: list[asyncio.Task[None]] = []
    ready: dict[str, Any] = {"kind": "ils"}
    control: ControlServer | None = None
    rest: _Rest | None = None
    async with contextlib.AsyncExitStack() as stack:
        try:
            port = await stack.enter_async_context(acs.server.start("127.0.0.1", given.port))
            ready |= {"url": f"sip2://127.0.0.1:{port}", "port": port}
            if given.rest_port is not None:
                rest = _Rest(
                    uvicorn.Config(make_rest(books, token), host="127.0.0.1", port=given.rest_port, log_level="warning")
                )
                rest_task = asyncio.create_task(rest.serve())
                while not rest.started:
                    if rest_task.done():
                        raise OSError(f"port {given.rest_port} is taken")
                    await asyncio.sleep(0.01)
                ready["rest"] = f"http://127.0.0.1:{rest.servers[0].sockets[0].getsockname()[1]}"
                tasks.append(rest_task)
            if given.control_port is not None:
                control = ControlServer(staff)
                ready["control"] = await control.start(given.control_port)
        except (OSError, SystemExit) as error:
            print(f"cannot listen: {error}", file=sys.stderr)  # noqa: T201
            return 2
        if drop and given.csv_every > 0:
            tasks.append(asyncio.create_task(drop.run(given.csv_every)))
        if given.life > 0:
            tasks.append(asyncio.create_task(staff.live(given.life, random.Random(given.rng))))
        print(json.dumps(ready), flush=True)  # noqa: T201 - the line the supervisor waits for
        threading.Thread(target=_watch_stdin, args=(loop, ended), name="stdin", daemon=True).start()
        await ended.wait()
        if control is not None:
            await control.close()
        if rest is not None:
            rest.should_exit = True
            tasks.remove(rest_task)
            await rest_task
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    books.close()
    return 0


def _watch_stdin(loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(ended.set)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the ILS until told to stop; 0 = ended as asked, 2 = could not start."""
    logging.basicConfig(level=logging.WARNING)
    return asyncio.run(_run(_arguments(sys.argv[1:] if argv is None else argv)))


if __name__ == "__main__":
    sys.exit(main())
