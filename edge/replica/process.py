"""Work that would hold up the gate, run as a process of this software: a module, one JSON answer on its stdout."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from edge.replica.rows import ReplicaInvalid


async def run(module: str, arguments: Sequence[str] = (), *, stdin: bytes = b"", timeout_s: float) -> dict[str, Any]:
    """Run ``python -m module`` and give its answer. Raises ReplicaInvalid with the code it said, or REPLICA_PROCESS.

    The process is killed when the wait is cancelled or takes longer than ``timeout_s``.
    """
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(part or os.getcwd() for part in sys.path))
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, stdin=pipe, stdout=pipe, env=environment
    )
    try:
        async with asyncio.timeout(timeout_s):
            said, _ = await process.communicate(stdin)
    except TimeoutError as error:
        raise ReplicaInvalid("REPLICA_PROCESS", f"{module} was not done in {timeout_s:.0f} s") from error
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    try:
        answer = json.loads(said)
    except ValueError:
        answer = {"error": "REPLICA_PROCESS", "message": f"{module} ended with status {process.returncode}"}
    if not isinstance(answer, dict) or "error" in answer:
        raise ReplicaInvalid(str(answer["error"]), str(answer.get("message")))
    return answer
