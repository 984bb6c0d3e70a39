"""Runs a coroutine at once, up to its first wait; only one that waits costs the event loop a turn.

Most requests are answered from memory. Making a task for each of them means two trips through the loop and a context
switch for nothing. Python 3.12 has eager tasks for this; 3.11 has only the hooks that they are made of (asyncio
documentation, "Extending"), which serve every version alike.

A task that is ready but parked stands by. While a coroutine takes its first step, this task is the current one and its
context is in force, so that `asyncio.timeout`, `current_task` and context variables are right. A coroutine that waits is
handed over to it; one that does not leaves it standing by for the next.
"""

from __future__ import annotations

import asyncio
import types
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Coroutine, Generator
from contextvars import Context, copy_context
from typing import Any, TypeVar

__all__ = ["Stepper"]

T = TypeVar("T")


class _Parked:
    """A task that waits to be given a coroutine that has taken its first step."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.context: Context = copy_context()
        self.before: Context = self.context.copy()
        self._go: asyncio.Future[None] = loop.create_future()
        self._work: Coroutine[Any, Any, Any] | None = None
        self._awaited: Any = None
        self._begun = False
        self.task: asyncio.Task[Any] = loop.create_task(self._run(), context=self.context)

    def go_on(self, work: Coroutine[Any, Any, Any], awaited: Any) -> None:
        """Take over a coroutine that waits for `awaited`."""
        self._work, self._awaited = work, awaited
        self.task.add_done_callback(self._never_begun)
        if not self._go.done():
            self._go.set_result(None)

    def _never_begun(self, task: asyncio.Task[Any]) -> None:
        """A task that is cancelled before its very first turn runs nothing: the coroutine is closed all the same."""
        if not self._begun and self._work is not None:
            self._work.close()

    async def _run(self) -> Any:
        self._begun = True
        thrown: asyncio.CancelledError | None = None
        try:
            await self._go
        except asyncio.CancelledError as error:
            if self._work is None:
                raise  # nothing was given to it: the server is closing
            # Cancelled between the first step and the second: what is waited for is cancelled, as a task does it.
            if self._awaited is None or not self._awaited.cancel():
                thrown = error
        assert self._work is not None
        return await _rest(self._work, self._awaited, thrown)


@types.coroutine
def _rest(work: Coroutine[Any, Any, Any], awaited: Any, thrown: BaseException | None) -> Generator[Any, Any, Any]:
    """The rest of a coroutine whose first step gave `awaited`, to be awaited by the task that goes on with it."""
    try:
        while True:
            if thrown is None:
                try:
                    yield awaited
                except GeneratorExit:
                    work.close()
                    raise
                except BaseException as error:  # a cancellation: it belongs to the coroutine
                    thrown = error
            if thrown is None:
                awaited = work.send(None)
            else:
                given, thrown = thrown, None
                awaited = work.throw(given)
    except StopIteration as done:
        return done.value


class Stepper:
    """Starts coroutines on one event loop; see the module."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._spare: _Parked | None = None

    def start(self, work: Coroutine[Any, Any, T]) -> T | asyncio.Task[T]:
        """What the coroutine returns, or the task that goes on with it. Raises what it raises in its first step."""
        loop = self._loop
        parked, self._spare = self._spare or _Parked(loop), None
        outer = asyncio.current_task(loop)
        if outer is not None:
            _leave_task(loop, outer)
        _enter_task(loop, parked.task)
        try:
            awaited = parked.context.run(work.send, None)
        except StopIteration as done:
            self._keep(parked)
            result: T = done.value
            return result
        except BaseException:
            self._keep(parked)
            raise
        finally:
            _leave_task(loop, parked.task)
            if outer is not None:
                _enter_task(loop, outer)
        parked.go_on(work, awaited)
        return parked.task

    def close(self) -> None:
        """Let go of the task that stands by."""
        if self._spare is not None:
            self._spare.task.cancel()
            self._spare = None

    def _keep(self, parked: _Parked) -> None:
        """Stand by again, unless something of the last coroutine has stuck to the task: its context or a cancellation."""
        if self._spare is None and parked.context == parked.before and not parked.task.cancelling():
            self._spare = parked
        else:
            parked.task.cancel()
