"""LLRP readers (Impinj Speedway and R700, Zebra FX and others) with EPC Gen2 tags, through llrpkit."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace

from llrpkit.exceptions import LLRPStatusError

from drivers.base import (
    Command,
    ConfigurationError,
    DeviceOffline,
    DeviceRefused,
    Driver,
    Emit,
    InputChanged,
    Options,
    PadTag,
    SetOutput,
    TagPassed,
)
from drivers.port import Port, parse_url
from drivers.rfid.link import TagLink
from drivers.rfid.llrp.link import LlrpLink
from drivers.rfid.llrp.session import LlrpSession
from drivers.rfid.llrp.settings import LlrpSettings, settings_of
from drivers.rfid.polling import PollingPad
from drivers.rfid.uhf.gen2 import Before

__all__ = ["LLRP_PORT", "LlrpPad", "build"]

LLRP_PORT = 5084
"""IANA's port of LLRP without TLS."""


class LlrpPad(PollingPad):
    """An LLRP reader as a pad: told are `TagsOnPad`, `DeviceState` and `InputChanged`; it takes `SetOutput`.

    As a gate (`LlrpSettings.gate`) it tells `TagPassed` once for every tag that comes into its field, from PC and EPC alone.
    """

    def __init__(self, device: str, url: str, settings: LlrpSettings, *, poll_ms: int = 100) -> None:
        where = parse_url(url)
        if where.scheme != "tcp":
            raise ConfigurationError("BAD_URL", "an LLRP reader is found at tcp:HOST:PORT")
        self._where = where
        self._settings = settings
        self._undo: dict[str, Before] = {}
        self._session: LlrpSession | None = None
        self._inputs: dict[int, bool] = {}
        self._told_inputs: dict[int, bool] = {}
        self._offs: set[asyncio.Task[None]] = set()
        super().__init__(
            device,
            url,
            kind="llrp",
            link=self._no_port,
            baudrate=9600,
            poll_ms=poll_ms,
            events=frozenset({"InputChanged"}),
            commands=frozenset({"SetOutput"}),
        )
        if settings.gate:
            told = self.capabilities.events - {"TagsOnPad"} | {"TagPassed"}
            self.capabilities = replace(self.capabilities, events=told)

    @staticmethod
    def _no_port(port: Port) -> TagLink:
        raise ConfigurationError("BAD_URL", "an LLRP reader has no byte port of ours")

    async def run(self, emit: Emit) -> None:
        """Serve the reader until cancelled."""
        try:
            await super().run(emit)
        finally:
            for task in self._offs:
                task.cancel()
            await asyncio.gather(*self._offs, return_exceptions=True)

    async def _attempt(self) -> None:
        session = LlrpSession(self._where.host, self._where.tcp_port, self._settings, self._input)
        try:
            await session.open()
            self._totals["opened"] += 1
            self._session = session
            await self._serve(LlrpLink(session, self._settings, self._undo))
        except DeviceOffline as error:
            self._tell("offline", error.code)
        finally:
            self._session = None
            self._lose_link()
            await session.close()

    def _show(self, tags: tuple[PadTag, ...]) -> None:
        if not self._settings.gate:
            super()._show(tags)
            return
        there = {tag.uid for tag in self._tags}
        self._tags = tags
        for tag in tags:
            if tag.uid not in there:
                self._emit(TagPassed(self.device, tag, 0, None, time.monotonic_ns()))

    def _input(self, number: int, high: bool) -> None:
        self._inputs[number] = high
        if self._link is not None:  # else told after the reader is online
            self._tell_inputs()

    def _tell_inputs(self) -> None:
        for number, high in self._inputs.items():
            if self._told_inputs.get(number) != high:
                self._told_inputs[number] = high
                self._emit(InputChanged(self.device, number - 1, high, time.monotonic_ns()))

    async def attend(self, link: TagLink) -> None:
        """Tell the inputs as they were found at the start."""
        self._tell_inputs()

    async def execute(self, command: Command) -> None:
        """Carry out `SetOutput`; raises `DeviceRefused` UNSUPPORTED or REFUSED, `DeviceOffline`."""
        if not isinstance(command, SetOutput):
            raise DeviceRefused("UNSUPPORTED", f"an LLRP reader does not take {type(command).__name__}")
        await self._switch(command.output_no, command.on)
        if command.tenths:
            task = asyncio.create_task(self._switch_later(command))
            self._offs.add(task)
            task.add_done_callback(self._offs.discard)

    async def _switch(self, output_no: int, on: bool) -> None:
        if self._session is None:
            raise DeviceOffline("DEVICE_OFFLINE", "the LLRP reader does not answer")
        try:
            await self._session.set_output(output_no + 1, on)
        except LLRPStatusError as error:
            raise DeviceRefused("REFUSED", "the LLRP reader has no such output") from error

    async def _switch_later(self, command: SetOutput) -> None:
        await asyncio.sleep(command.tenths / 10)
        with contextlib.suppress(DeviceOffline, DeviceRefused):
            await self._switch(command.output_no, not command.on)


def build(device: str, url: str, options: Options) -> Driver:
    """Make a driver of an LLRP reader at ``tcp:HOST`` or ``tcp:HOST:PORT`` (5084 where none is given; the library has no TLS).

    Options: ``tells`` ("lying" as on a pad, or "passing" as at a gate); ``antennas`` ("1,2", none = all); ``gone_ms``
    (100..60000: a tag not reported for so long has left); ``poll_ms`` (20..5000: how often reports are looked through); ``session`` (0..3),
    ``population`` (1..1000, tags expected), ``mode`` (the reader's RF mode), ``power_dbm``; ``rssi_floor_dbm`` (-120..0: weaker tags
    lie elsewhere); ``keepalive_ms`` (200..600000); ``op_ms`` (100..30000: longest wait for a tag to be read or written); ``tid``
    ("auto", or "never" = tags are named by their EPC); ``afi_secured``, ``afi_on_loan``; ``password`` (8 hex digits, the tags' access
    password). Raises `ConfigurationError` UNKNOWN_OPTION, BAD_OPTION, BAD_POLL, BAD_URL.
    """
    settings, poll_ms = settings_of(options)
    host = url.removeprefix("tcp:").removeprefix("//")
    if url.startswith("tcp:") and host and (":" not in host or host.endswith("]")):
        url = f"tcp:{host}:{LLRP_PORT}"
    return LlrpPad(device, url, settings, poll_ms=poll_ms)
