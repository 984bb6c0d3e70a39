"""LLRP readers (Impinj Speedway and R700, Zebra FX and others) with EPC Gen2 tags, through llrpkit."""

from __future__ import annotations

import time
from dataclasses import replace

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
from drivers.gate.security.passing import Passings
from drivers.port import Port, parse_url
from drivers.rfid.link import TagLink
from drivers.rfid.llrp.link import LlrpLink
from drivers.rfid.llrp.outputs import Outputs
from drivers.rfid.llrp.session import LlrpSession
from drivers.rfid.llrp.settings import LlrpSettings, settings_of
from drivers.rfid.polling import PollingPad
from drivers.rfid.uhf.gen2 import Before

__all__ = ["LLRP_PORT", "LlrpPad", "build"]

LLRP_PORT = 5084
"""IANA's port of LLRP without TLS."""


class LlrpPad(PollingPad):
    """An LLRP reader as a pad: told are `TagsOnPad`, `DeviceState` and `InputChanged`; it takes `SetOutput`.

    `SetOutput` with a time is timed here, because LLRP knows none: such an output comes to rest when its time is over, when the driver
    ends, and after a lost connection at the next one. As a gate (`LlrpSettings.gate`) it tells `TagPassed` once for every tag that
    comes into its field, from PC and EPC alone; not of those that lay there when a connection began, since nobody walked with them.
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
        self._outputs = Outputs()
        self._passings = Passings(settings.window_ms / 1000)
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
            await self._outputs.close()

    async def _attempt(self) -> None:
        session = LlrpSession(self._where.host, self._where.tcp_port, self._settings, self._input)
        try:
            await session.open()
            self._totals["opened"] += 1
            self._session = session
            await self._outputs.begin(session)
            await self._serve(LlrpLink(session, self._settings, self._undo))
        except DeviceOffline as error:
            self._tell("offline", error.code)
        finally:
            try:
                await self._outputs.end()
            finally:
                self._lose_link()
                self._session = None
                await session.close()

    def _show(self, tags: tuple[PadTag, ...]) -> None:
        if not self._settings.gate:
            super()._show(tags)
            return
        there = {tag.uid for tag in self._tags}
        self._tags = tags
        for tag in tags:
            if tag.uid not in there and self._passings.is_new(tag.uid, time.monotonic()) and not self._lay_there(tag):
                self._emit(TagPassed(self.device, tag, 0, None, time.monotonic_ns()))

    def _lay_there(self, tag: PadTag) -> bool:
        return self._session is not None and self._session.was_there_at_start(tag.epc)

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
        """Tell the inputs as they were found at the start; a tag that lies in a gate's field has not passed again."""
        self._tell_inputs()
        if self._settings.gate:
            for tag in self._tags:
                self._passings.is_new(tag.uid, time.monotonic())

    async def execute(self, command: Command) -> None:
        """Carry out `SetOutput`; raises `DeviceRefused` UNSUPPORTED or REFUSED, `DeviceOffline`."""
        if not isinstance(command, SetOutput):
            raise DeviceRefused("UNSUPPORTED", f"an LLRP reader does not take {type(command).__name__}")
        await self._outputs.switch(command)


def build(device: str, url: str, options: Options) -> Driver:
    """Make a driver of an LLRP reader at ``tcp:HOST`` or ``tcp:HOST:PORT`` (5084 where none is given; the library has no TLS).

    Options: ``tells`` ("lying" as on a pad, or "passing" as at a gate); ``antennas`` ("1,2", none = all); ``gone_ms``
    (100..60000: a tag not reported for so long has left); ``window_ms`` (100..600000, 5000: as at a gate, a tag seen again in this
    time passes once; what is reported in the first ``gone_ms`` of a connection lay there and is not told); ``poll_ms`` (20..5000:
    how often reports are looked through); ``session`` (0..3),
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
