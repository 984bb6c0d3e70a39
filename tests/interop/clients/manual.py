"""``python -m tests.interop.clients.manual node|java --source FOLDER``: a session of a client fetched by hand against a real edge.

``node``: FOLDER holds node-sip2 with its one dependency installed. ``java``: FOLDER holds JSIP2's sources; ``--classpath`` names the
jars of slf4j. docs/interop.md says where they come from. Prints what the client read and what became durable; exit 1 where the session
was not completed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.interop.clients.place import edge, run

HERE = Path(__file__).parent
GIVEN = ("host", "port", "user", "password", "institution", "reader_no", "pin", "item_no")


def _node(source: Path, given: dict[str, Any], _: str, __: Path) -> dict[str, Any]:
    found = run(["node", str(HERE / "session_node.js"), str(source)], given)
    good = found["login"] and found["checkout"]["ok"] and found["checkin"]["ok"] and found["end"]["endSession"]
    return {**found, "completed": bool(good)}


def _java(source: Path, given: dict[str, Any], classpath: str, folder: Path) -> dict[str, Any]:
    files = [str(path) for path in source.rglob("*.java") if "/test/" not in str(path)]
    subprocess.run(
        ["javac", "-encoding", "UTF-8", "-nowarn", "-cp", classpath, "-d", str(folder), *files, str(HERE / "SessionJsip2.java")],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    words = ["java", "-Dfile.encoding=UTF-8", "-cp", f"{folder}:{classpath}", "SessionJsip2"]
    found = run([*words, *(str(given[name]) for name in GIVEN)], given)
    return {**found, "completed": all(found[name] for name in ("login", "online", "checkout", "checkin", "end"))}


async def _session(words: argparse.Namespace) -> int:
    client = {"node": _node, "java": _java}[words.client]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "classes").mkdir()
        # JSIP2 reads no blank count, and with its hub away the edge does not know what is owed.
        async with edge(folder / "edge", blank_counts=words.client != "java") as one:
            found = await asyncio.to_thread(client, words.source, one.given, words.classpath, folder / "classes")
            happened = one.happened()
    print(json.dumps({**found, "durable": happened}, ensure_ascii=False, indent=1))
    return 0 if found["completed"] and happened == ["CHECKOUT", "RETURN"] else 1


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="manual", description="A session of a SIP2 client that is not ours.")
    parser.add_argument("client", choices=("node", "java"))
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--classpath", default="")
    try:
        sys.exit(asyncio.run(_session(parser.parse_args())))
    except subprocess.CalledProcessError as error:
        print(error.stderr, file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
