"""A booking that the hub hands over (bus ``work``), read with suspicion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from consortium.identity import ItemKey
from consortium.mastership import Task
from edge.ils.queue import Job

_Ms = Annotated[int, Meta(ge=0, lt=1 << 53)]


class _Work(msgspec.Struct, frozen=True):
    org: Annotated[str, Meta(min_length=1, max_length=16)]
    of: Annotated[str, Meta(min_length=1, max_length=160)]
    task: Literal["CHECKOUT", "RENEW", "CHECKIN"]
    owner: Annotated[str, Meta(min_length=1, max_length=16)]
    item_no: Annotated[str, Meta(min_length=1, max_length=64)]
    t: _Ms
    due: _Ms | None = None
    home: Annotated[str, Meta(max_length=16)] | None = None


class WorkInvalid(ValueError):
    """The hub's job cannot be done here. Codes: WORK_INVALID (not of the agreed form), WORK_ORG (another library's)."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def read_work(data: Mapping[str, Any], org: str) -> Job:
    """The job in a ``work`` message to the library ``org``. Raises WorkInvalid."""
    try:
        work = msgspec.convert(dict(data), _Work)
    except msgspec.ValidationError as error:
        raise WorkInvalid("WORK_INVALID") from error
    if work.org != org:
        raise WorkInvalid("WORK_ORG")
    return Job(work.of, Task(work.task), ItemKey(work.owner, work.item_no), work.t, work.due, work.home or "")
