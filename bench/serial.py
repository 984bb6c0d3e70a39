"""Reading and writing the domain's values: msgspec, which is used, beside pydantic 2 over the very same classes.

Three works, both checked to the same bounds: the data of a CHECKOUT from its JSON (a closed, bounded shape), a policy bundle of fifty
agreements and two hundred rules from its JSON into frozen slotted dataclasses, and that bundle written again.
"""

from __future__ import annotations

import gc
import json
import statistics
import time
import tracemalloc
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from bench.decide import policy
from consortium.bundle import Bundle, from_json, to_json
from consortium.schemas import Checkout

RUNS = 5
SECONDS = 0.5
_NOW = 1_795_300_000_000

_EVENT = json.dumps(
    {
        "item": ["990001", "9900000101"], "type": "BOOK", "home": "251020", "due": _NOW + 2_592_000_000,
        "basis": ["universities@1", "partners", "general"], "flags": ["OFFLINE"],
        "terms": {"period_days": 21, "renewals": 1, "grace_days": 1}, "reservation": "r-0123456789abcdef",
    }
)  # fmt: skip

_Time = Annotated[int, Field(ge=0, lt=1 << 53)]
_Count = Annotated[int, Field(ge=0, lt=1 << 31)]
_Org = Annotated[str, Field(min_length=1, max_length=16)]
_Names = Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=64)]


class _Override(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)
    actor: Annotated[str, Field(min_length=1, max_length=64)]
    reason: Annotated[str, Field(min_length=1, max_length=400)]
    codes: _Names = []


class _Checkout(BaseModel):
    """``consortium.schemas.Checkout`` as pydantic says it."""

    model_config = ConfigDict(frozen=True, strict=True)
    item: tuple[_Org, Annotated[str, Field(min_length=1, max_length=64)]]
    override: _Override | None = None
    type: Annotated[str, Field(max_length=24)]
    home: _Org
    due: _Time
    basis: _Names = []
    flags: _Names = []
    terms: dict[Annotated[str, Field(max_length=24)], _Count] = {}
    reservation: Annotated[str, Field(max_length=64)] | None = None
    hold: Annotated[str, Field(min_length=1, max_length=160)] | None = None
    condition: Annotated[str, Field(max_length=400)] = ""


def _micros(work: Callable[[], object], seconds: float, runs: int) -> float:
    """Microseconds of CPU time a call, median of the runs."""

    def once() -> float:
        done, began = 0, time.process_time()
        while (spent := time.process_time() - began) < seconds:
            for _ in range(10):
                work()
            done += 10
        return spent / done * 1e6

    work()
    return round(statistics.median(once() for _ in range(runs)), 2)


def _kept_kb(work: Callable[[], object], n: int) -> float:
    """Kilobytes that stay allocated for each result while it is held."""
    work()
    gc.collect()
    tracemalloc.start()
    held = [work() for _ in range(n)]
    gc.collect()
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return round(size / len(held) / 1024, 2)


def measure(seconds: float = SECONDS, runs: int = RUNS) -> tuple[dict[str, Any], dict[str, Any]]:
    """Figures of msgspec, and of pydantic for the same work."""
    bundle = policy(_NOW).bundle
    text = to_json(bundle)
    adapter: TypeAdapter[Bundle] = TypeAdapter(Bundle)
    assert from_json(text) == bundle
    assert adapter.validate_json(text) == bundle
    decode = msgspec.json.Decoder(Checkout).decode
    plain = json.loads(_EVENT)
    ours: dict[str, Callable[[], object]] = {
        "event_from_json_us": lambda: decode(_EVENT),
        "event_from_plain_us": lambda: msgspec.convert(plain, Checkout),
        "bundle_from_json_us": lambda: from_json(text),
        "bundle_to_json_us": lambda: msgspec.json.encode(bundle),
        "bundle_canonical_us": lambda: to_json(bundle),
    }
    theirs: dict[str, Callable[[], object]] = {
        "event_from_json_us": lambda: _Checkout.model_validate_json(_EVENT),
        "event_from_plain_us": lambda: _Checkout.model_validate(plain, strict=False),
        "bundle_from_json_us": lambda: adapter.validate_json(text),
        "bundle_to_json_us": lambda: adapter.dump_json(bundle),
    }
    figures: dict[str, Any] = {name: _micros(work, seconds, runs) for name, work in ours.items()}
    beside: dict[str, Any] = {f"pydantic_{name}": _micros(work, seconds, runs) for name, work in theirs.items()}
    for name, n in (("event_from_json", 2_000), ("bundle_from_json", 10)):
        figures[f"{name}_kept_kb"] = _kept_kb(ours[f"{name}_us"], n)
        beside[f"pydantic_{name}_kept_kb"] = _kept_kb(theirs[f"{name}_us"], n)
    figures["bundle_bytes"] = len(text.encode())
    return figures, beside


def run() -> dict[str, Any]:
    """Both, in one process, one after the other."""
    figures, beside = measure()
    return {
        "runs": RUNS,
        "figures": figures,
        "beside": beside,
        "notes": [
            "the bundle is the one of bench decide: 50 libraries, 50 agreements, 200 rules; CPU time, medians",
            "pydantic reads the bundle into the same frozen slotted dataclasses, an event into a frozen model of its own",
        ],
    }
