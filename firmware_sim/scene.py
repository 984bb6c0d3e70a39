"""A scene: operations with times, read from JSON or TOML and played on a stage.

JSON: ``[{"at_s": 0.5, "op": "place", "uid": "E0…"}, [2, "tap", {"card": "04A1B2C3"}]]``.
TOML: ``[[step]]`` tables with the same keys.
"""

from __future__ import annotations

import asyncio
import json
import tomllib
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_BYTES = 1_000_000
MAX_STEPS = 10_000
MAX_AT_S = 86_400.0


class SceneError(Exception):
    """The scene file cannot be used; the message says which step and why."""


@dataclass(frozen=True, slots=True)
class Step:
    """One operation at ``at_s`` seconds after the scene began."""

    at_s: float
    operation: Mapping[str, Any]


def load_scene(path: Path, operations: Collection[str]) -> tuple[Step, ...]:
    """Read a scene whose operations are among ``operations``; steps in order of time. Raises `SceneError`."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SceneError(f"{path} is longer than {MAX_BYTES} bytes")
        text = path.read_text(encoding="utf-8")
        found: Any = tomllib.loads(text).get("step") if path.suffix == ".toml" else json.loads(text)
    except OSError as error:
        raise SceneError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise SceneError(f"{path} is not {'TOML' if path.suffix == '.toml' else 'JSON'}: {error}") from error
    if not isinstance(found, list) or len(found) > MAX_STEPS:
        raise SceneError(f"{path} must hold a list of at most {MAX_STEPS} steps")
    steps = [_step(raw, number, operations) for number, raw in enumerate(found, 1)]
    return tuple(sorted(steps, key=lambda step: step.at_s))


def _step(raw: Any, number: int, operations: Collection[str]) -> Step:
    if isinstance(raw, list) and len(raw) in (2, 3):
        rest = raw[2] if len(raw) == 3 else {}
        raw = {**rest, "at_s": raw[0], "op": raw[1]} if isinstance(rest, dict) else None
    if not isinstance(raw, dict):
        raise SceneError(f"step {number} is neither a table nor [at_s, op, {{…}}]")
    at_s, name = raw.get("at_s"), raw.get("op")
    if isinstance(at_s, bool) or not isinstance(at_s, int | float) or not 0 <= at_s <= MAX_AT_S:
        raise SceneError(f"step {number}: at_s is seconds, 0 to {MAX_AT_S:.0f}")
    if name not in operations:
        raise SceneError(f"step {number}: op is one of {', '.join(sorted(operations))}")
    return Step(float(at_s), {key: value for key, value in raw.items() if key != "at_s"})


async def play(
    steps: Iterable[Step],
    do: Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]],
    on_done: Callable[[Step, dict[str, Any]], None],
) -> None:
    """Play the steps at their times; ``on_done`` hears each result. A step that takes long delays the next."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    for step in steps:
        await asyncio.sleep(max(0.0, began + step.at_s - loop.time()))
        on_done(step, await do(step.operation))
