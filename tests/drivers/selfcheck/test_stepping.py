"""A coroutine is run at once, and one that waits goes on as a task would: timeouts, cancellation, context."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Any

import pytest

from drivers.selfcheck.stepping import Stepper

WHO: ContextVar[str] = ContextVar("who", default="nobody")


async def leaf() -> asyncio.Task[Any] | None:
    return asyncio.current_task()


@pytest.fixture
async def stepper() -> AsyncIterator[Stepper]:
    found = Stepper(asyncio.get_running_loop())
    yield found
    found.close()
    await asyncio.sleep(0)


async def test_an_error_of_the_first_step_is_raised_at_once(stepper: Stepper) -> None:
    async def fails() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        stepper.start(fails())
    assert stepper.start(asyncio.sleep(0, "y")) is not None


async def test_what_does_not_wait_is_done_at_once_and_costs_no_task(stepper: Stepper) -> None:
    async def quick() -> asyncio.Task[Any] | None:
        async with asyncio.timeout(1):
            return asyncio.current_task()

    before = asyncio.current_task()
    first, second = stepper.start(quick()), stepper.start(quick())
    assert first is second is not None
    assert first is not before
    assert asyncio.current_task() is before


async def test_what_waits_goes_on_in_the_task_it_began_in(stepper: Stepper) -> None:
    async def slow(n: int) -> tuple[bool, int]:
        mine = asyncio.current_task()
        for _ in range(n):
            await asyncio.sleep(0.001)
        await asyncio.sleep(0)
        return asyncio.current_task() is mine, n

    tasks = [stepper.start(slow(n)) for n in range(5)]
    assert [await task for task in tasks if isinstance(task, asyncio.Task)] == [(True, n) for n in range(5)]


async def test_a_timeout_begun_in_the_first_step_holds(stepper: Stepper) -> None:
    async def too_long() -> str:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(10)
        except TimeoutError:
            return "timed out"
        return "?"

    task = stepper.start(too_long())
    assert isinstance(task, asyncio.Task)
    assert await task == "timed out"


@pytest.mark.parametrize("turns", [0, 1, 3])
async def test_a_cancellation_reaches_the_coroutine_whenever_it_comes(stepper: Stepper, turns: int) -> None:
    seen: list[str] = []

    async def inner() -> None:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            seen.append("inner")
            raise

    async def outer() -> None:
        try:
            await asyncio.ensure_future(inner())
        except asyncio.CancelledError:
            seen.append("outer")
            await asyncio.sleep(0)
            raise

    stepper.start(asyncio.sleep(0))
    stepper.start(leaf())
    await asyncio.sleep(0)
    task = stepper.start(outer())
    assert isinstance(task, asyncio.Task)
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["inner", "outer"]


async def test_what_one_sets_in_its_context_no_other_sees(stepper: Stepper) -> None:
    async def sets(name: str) -> str:
        before = WHO.get()
        WHO.set(name)
        return before

    async def sets_and_waits(name: str) -> str:
        before = WHO.get()
        WHO.set(name)
        await asyncio.sleep(0)
        return before + WHO.get()

    assert [stepper.start(sets(name)) for name in "abc"] == ["nobody"] * 3
    waiting = [stepper.start(sets_and_waits(name)) for name in "de"]
    assert [await task for task in waiting if isinstance(task, asyncio.Task)] == ["nobodyd", "nobodye"]
    assert WHO.get() == "nobody"


async def test_one_cancelled_before_its_first_turn_is_closed(stepper: Stepper) -> None:
    seen: list[str] = []

    async def slow() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            seen.append("closed")

    task = stepper.start(slow())
    assert isinstance(task, asyncio.Task)
    task.cancel()
    await asyncio.wait([task])
    assert seen == ["closed"]


async def test_a_coroutine_may_start_another(stepper: Stepper) -> None:
    async def root() -> tuple[object, object, object]:
        return asyncio.current_task(), stepper.start(leaf()), asyncio.current_task()

    before, between, after = stepper.start(root())  # type: ignore[misc]
    assert before is after
    assert between is not before
