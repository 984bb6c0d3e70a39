"""The alarm of an LRB25000 is a configuration block: silent is a known content, sounding is whatever the site had before."""

from __future__ import annotations

import contextlib

from drivers.base import DeviceOffline, DeviceRefused
from drivers.gate.security.line import GateLine
from protocols.feig import (
    OK,
    ConfigurationReply,
    CpuResetRequest,
    ReadConfigurationRequest,
    StatusError,
    WriteConfigurationRequest,
)
from protocols.feig.gate import ALARM_BLOCK, ALARM_OFF

__all__ = ["AlarmSwitch"]

SILENT = ALARM_OFF[7:]
"""The block's content without the head of [8B]."""


class AlarmSwitch:
    """Reads, writes, reads back, then restarts the gate's controller, which takes it up. ``block`` = its content with alarm."""

    def __init__(self, block: bytes | None) -> None:
        self._sounding = block
        self.on: bool | None = None
        """Whether the alarm is on, None = never asked."""

    async def switch(self, line: GateLine, on: bool) -> None:
        """Switch; raises `DeviceRefused` ALARM_BLOCK_UNKNOWN or NOT_VERIFIED, `StatusError`, `FrameError`, `DeviceOffline`."""
        found = await self._read(line)
        if found != SILENT:
            self._sounding = found
        if (found != SILENT) is on:
            self.on = on
            return
        wanted = self._sounding if on else SILENT
        if wanted is None:
            raise DeviceRefused(
                "ALARM_BLOCK_UNKNOWN",
                "the alarm was off when we first looked: tell its block by the option alarm_block",
            )
        request = WriteConfigurationRequest(ALARM_BLOCK, wanted)
        answer = await line.ask(request.COMMAND, request.to_body())
        if answer.status != OK:
            raise StatusError(answer.status, answer.data)
        if await self._read(line) != wanted:
            raise DeviceRefused("NOT_VERIFIED", "the gate kept its alarm as it was")
        with contextlib.suppress(DeviceOffline):  # it may go before it answers
            await line.ask(CpuResetRequest.COMMAND, b"")
        self.on = on

    async def _read(self, line: GateLine) -> bytes:
        request = ReadConfigurationRequest(ALARM_BLOCK)
        reply = ConfigurationReply.from_frame(await line.ask(request.COMMAND, request.to_body()))
        if reply.block != ALARM_BLOCK:
            raise StatusError(0x02)
        return reply.data
