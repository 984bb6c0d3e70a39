"""docs/reference/devices.md: every kind of device as its driver is: what it tells, what it takes, its options."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping

from drivers.base import Driver, Encoder, Gate, Pad, Printer, SecurityGate, discover, load
from tongjie.reference.layout import head, text

Given = tuple[str, Mapping[str, str]]

EXAMPLES: Mapping[str, Given] = {
    "osdp": ("serial:/dev/ttyUSB0?baudrate=9600", {"key": "000102030405060708090A0B0C0D0E0F"}),
    "relay": ("serial:/dev/ttyUSB1?baudrate=9600", {}),
    "zkteco": ("tcp:192.0.2.10:4370", {}),
    "gate": ("listen:4001", {}),
    "feig": ("serial:/dev/ttyUSB2?baudrate=38400&parity=E", {}),
    "3m": ("serial:/dev/ttyUSB3?baudrate=19200", {}),
    "uhfreader18": ("serial:/dev/ttyUSB4?baudrate=57600", {}),
    "llrp": ("tcp:192.0.2.11:5084", {}),
    "pcsc": ("pcsc:", {}),
    "cardserial": ("serial:/dev/ttyUSB5?baudrate=9600", {}),
    "wiegand485": ("serial:/dev/ttyUSB6?baudrate=9600", {}),
    "barcode": ("serial:/dev/ttyUSB7?baudrate=9600", {}),
    "printer": ("tcp:192.0.2.12:9100", {}),
}
"""How each kind is connected; the options are those without which it cannot be made."""

_PROTOCOLS = (("Gate", Gate), ("Encoder", Encoder), ("Pad", Pad), ("SecurityGate", SecurityGate), ("Printer", Printer))
_WHERE = {"loop": "on the event loop", "thread": "in a thread of its own", "process": "in a process of its own"}


def page() -> str:
    """The page."""
    lines = head(
        "Kinds of devices",
        "What a driver tells (`drivers/events.py`), what it takes, where its library runs, and the options of its table in edge.toml. "
        "What each was tested against, and figures: [devices](../devices.md).",
    )
    for kind, (url, options) in EXAMPLES.items():
        lines += _section(kind, url, options)
    return text(lines)


def kinds() -> set[str]:
    """The kinds that our own drivers have."""
    return {name for name, point in discover().items() if point.value.startswith("drivers.")}


def _section(kind: str, url: str, options: Mapping[str, str]) -> list[str]:
    build = load(kind)
    driver = build("device", url, options)
    able = driver.capabilities
    return [
        "", f"## {kind}", "", _sentence(inspect.getmodule(build)), "",
        f"* {_is(driver)}, {_WHERE[able.isolation]}; for example `{url}`",
        f"* tells {_names(able.events)}",
        f"* takes {_names(able.commands) or 'nothing'}",
        "", _options(build),
    ]  # fmt: skip


def _is(driver: Driver) -> str:
    name = next((name for name, protocol in _PROTOCOLS if isinstance(driver, protocol)), "Driver")
    return f"is {'an' if name[0] in 'AEIO' else 'a'} `{name}`"


def _names(names: frozenset[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def _sentence(module: object) -> str:
    return (inspect.getdoc(module) or "").partition("\n\n")[0].replace("\n", " ")


def _options(build: object) -> str:
    """The options as the factory's own docstring tells them."""
    told = inspect.getdoc(build) or ""
    body = told.partition("\n\n")[2] or told
    return re.sub(r"\s*\n\s*", " ", body).replace("``", "`").strip()
