"""One connection to an LLRP reader by llrpkit: an inventory that never stops, access operations beside it, the reader's own events.

LLRP 1.0.1 (EPCglobal). The library decodes frames, matches answers and acknowledges keepalives; it has no TLS. Its own
`Reader.read_memory` stops and deletes the inventory for every operation and masks a target by its own one-bits only, so that
another tag can match; access operations are therefore built here, with whole masks.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from llrpkit.client import LLRPClient, check_status
from llrpkit.exceptions import LLRPConnectionError, LLRPError, LLRPStatusError, LLRPTimeoutError
from llrpkit.inventory import TagReport, build_rospec
from llrpkit.protocol import BitStr, LLRPMessage, enums, messages, params
from llrpkit.reader import Reader

from drivers.base import DeviceOffline
from drivers.rfid.link import Refusal, TagRefused
from drivers.rfid.llrp.settings import LlrpSettings

__all__ = ["LlrpSession", "Sighting"]

CONNECT_S, ANSWER_S = 3.0, 2.0
ROSPEC_ID = 0x544A
"""Number of the one inventory this driver runs."""
MAX_TAGS = 512
_EPC_AT = 0x20
_NO_RESPONSE = {"No_Response_From_Tag", "Nonspecific_Reader_Error"}
_READ_REFUSALS: dict[str, Refusal] = {"Nonspecific_Tag_Error": "TOO_SMALL"}
_WRITE_REFUSALS: dict[str, Refusal] = {"Tag_Memory_Overrun_Error": "TOO_SMALL", "Tag_Memory_Locked_Error": "LOCKED"}
Operation = params.C1G2Read | params.C1G2Write


@dataclass(slots=True)
class Sighting:
    """What the reports said of one EPC: first and last seen at (loop seconds), how often, how strong (dBm), TID and PC where told."""

    first_at: float
    last_at: float
    times: int = 0
    rssi_dbm: float | None = None
    tid: bytes = b""
    pc: int | None = None


class LlrpSession:
    """Speaks to one reader until the connection is lost; every method raises `DeviceOffline` then.

    ``on_input`` is told (number from 1, high) of every input at start and when it changes. ``seen`` holds the tags by EPC.
    """

    def __init__(self, host: str, tcp_port: int, settings: LlrpSettings, on_input: Callable[[int, bool], None]) -> None:
        self._settings = settings
        self._on_input = on_input
        self.reader = Reader(host, tcp_port, response_timeout=ANSWER_S, connect_timeout=CONNECT_S)
        self.seen: dict[bytes, Sighting] = {}
        self.counts = {"commands": 0, "timeouts": 0, "bad_frames": 0, "reports": 0, "exceptions": 0, "antennas_out": 0}
        self._pumps: list[asyncio.Task[None]] = []
        self._results: dict[int, asyncio.Future[object]] = {}
        self._number = 0
        self._heard_at = 0.0
        self._began_at = 0.0
        self._specs = asyncio.Semaphore(1)

    @property
    def _client(self) -> LLRPClient:
        return self.reader.client

    async def open(self) -> None:
        """Connect and start the inventory."""
        try:
            await self.reader.connect()
        except LLRPConnectionError as error:
            raise _unreachable(error) from error
        except (LLRPError, OSError) as error:
            raise DeviceOffline("NO_ANSWER", "the LLRP reader does not answer its capabilities") from error
        found = self.reader.capabilities.raw.llrp_capabilities
        self._specs = asyncio.Semaphore(max(1, min(8, found.max_num_access_specs if found is not None else 1)))
        self._heard_at = asyncio.get_running_loop().time()
        self._pumps = [asyncio.create_task(self._take_reports()), asyncio.create_task(self._take_events())]
        try:
            await self._begin()
        except LLRPStatusError as error:
            raise DeviceOffline("DEVICE_FAULT", "the LLRP reader refuses the inventory") from error

    async def _begin(self) -> None:
        stale_specs = (
            messages.DELETE_ACCESSSPEC(access_spec_id=0),  # 0 = all: what a former client left would go on reporting
            messages.DELETE_ROSPEC(ro_spec_id=0),
            messages.DELETE_ROSPEC(ro_spec_id=ROSPEC_ID),
        )
        for stale in stale_specs:
            with contextlib.suppress(LLRPStatusError):
                await self.ask(stale)
        await self._configure()
        await self.ask(messages.ADD_ROSPEC(ro_spec=self._rospec()))
        await self.ask(messages.ENABLE_ROSPEC(ro_spec_id=ROSPEC_ID))
        await self.ask(messages.START_ROSPEC(ro_spec_id=ROSPEC_ID))
        self._began_at = asyncio.get_running_loop().time()
        for gpi in (await self._config()).gpi_port_current_states:
            if gpi.config:
                self._on_input(gpi.gpi_port_num, int(gpi.state) == int(enums.GPIPortState.High))

    async def _configure(self) -> None:
        keepalive = params.KeepaliveSpec(
            keepalive_trigger_type=enums.KeepaliveTriggerType.Periodic,
            periodic_trigger_value=self._settings.keepalive_ms,
        )
        kinds = enums.NotificationEventType
        wanted = (kinds.GPI_Event, kinds.Reader_Exception_Event, kinds.Antenna_Event)
        spec = params.ReaderEventNotificationSpec(
            event_notification_states=[
                params.EventNotificationState(event_type=int(kind), notification_state=True) for kind in wanted
            ]
        )
        with contextlib.suppress(LLRPStatusError):  # a reader without events still reads tags
            await self.ask(
                messages.SET_READER_CONFIG(
                    reset_to_factory_default=False, keepalive_spec=keepalive, reader_event_notification_spec=spec
                )
            )

    def _rospec(self) -> params.ROSpec:
        settings = self._settings
        power = None
        if settings.power_dbm is not None:
            try:
                power = self.reader.capabilities.power_index_for_dbm(settings.power_dbm)
            except LLRPError as error:
                raise DeviceOffline("DEVICE_FAULT", "the LLRP reader has no such low power") from error
        spec = build_rospec(
            ro_spec_id=ROSPEC_ID,
            antennas=settings.antennas,
            session=settings.session,
            mode_index=settings.mode,
            transmit_power_index=power,
            tag_population=settings.population,
            enable_impinj_reports=self.reader.impinj_extensions_enabled,
            include_tid=settings.read_tid,
        )
        report = spec.ro_report_spec
        if report is not None:
            report.tag_report_content_selector.air_protocol_epc_memory_selectors = [
                params.C1G2EPCMemorySelector(enable_crc=False, enable_pc_bits=True)
            ]
        return spec

    async def close(self) -> None:
        """Stop the inventory as far as the connection still lets, and let go."""
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        if self._client.connected:
            with contextlib.suppress(LLRPError, OSError):
                await self._client.transact(messages.DELETE_ROSPEC(ro_spec_id=ROSPEC_ID), timeout=0.5)
        await self.reader.close()

    async def ask(self, message: LLRPMessage) -> LLRPMessage:
        """Send a message and give its answer; raises `LLRPStatusError` where the reader refuses, `DeviceOffline`."""
        self.counts["commands"] += 1
        try:
            return check_status(await self._client.transact(message))
        except LLRPTimeoutError as error:
            self.counts["timeouts"] += 1
            raise DeviceOffline("NO_ANSWER", "the LLRP reader does not answer") from error
        except LLRPConnectionError as error:
            raise DeviceOffline("PORT_LOST", "the connection to the LLRP reader was lost") from error

    async def check(self) -> None:
        """Raise `DeviceOffline` where the connection is gone; a reader silent for long is asked whether it lives."""
        if not self._client.connected:
            raise DeviceOffline("PORT_LOST", "the connection to the LLRP reader was lost")
        if self._pumps and any(pump.done() for pump in self._pumps):
            raise DeviceOffline("DEVICE_FAULT", "the LLRP reader's reports make no sense")
        now = asyncio.get_running_loop().time()
        if now - self._heard_at > self._settings.keepalive_ms / 1000:
            await self._config()
            self._heard_at = now

    def was_there_at_start(self, epc: bytes) -> bool:
        """Whether a tag was reported before ``gone_ms`` of this connection were over: whoever lies there is reported so often."""
        seen = self.seen.get(epc)
        return seen is not None and seen.first_at - self._began_at < self._settings.gone_ms / 1000

    async def temperature(self) -> float | None:
        """The reader's temperature in degrees, where it tells."""
        try:
            return await self.reader.get_temperature()
        except LLRPError:
            return None

    async def set_output(self, number: int, on: bool) -> None:
        """Switch output ``number`` (from 1); raises `LLRPStatusError`, `DeviceOffline`."""
        await self.ask(
            messages.SET_READER_CONFIG(
                reset_to_factory_default=False,
                gpo_write_datas=[params.GPOWriteData(gpo_port_number=number, gpo_data=on)],
            )
        )

    async def _config(self) -> messages.GET_READER_CONFIG_RESPONSE:
        wanted = enums.GetReaderConfigRequestedData.GPIPortCurrentState
        answer = await self.ask(
            messages.GET_READER_CONFIG(antenna_id=0, requested_data=wanted, gpi_port_num=0, gpo_port_num=0)
        )
        if not isinstance(answer, messages.GET_READER_CONFIG_RESPONSE):
            raise DeviceOffline("DEVICE_FAULT", "the LLRP reader answers something else than was asked")
        return answer

    # --- reports and events -------------------------------------------------------------------------------------------

    async def _take_reports(self) -> None:
        while True:
            report = await self._client.reports.get()
            self._heard_at = asyncio.get_running_loop().time()
            self.counts["reports"] += 1
            for found in report.tag_report_datas:
                self._take(found)

    def _take(self, found: params.TagReportData) -> None:
        told = TagReport.from_param(found)
        now = asyncio.get_running_loop().time()
        for result in found.access_command_op_spec_results:
            waiting = self._results.pop(result.op_spec_id, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(result)
        if not told.epc or (told.epc not in self.seen and len(self.seen) >= MAX_TAGS):
            return
        seen = self.seen.setdefault(told.epc, Sighting(now, now))
        seen.last_at = now
        seen.times += max(1, told.seen_count or 1)
        seen.rssi_dbm = told.rssi_dbm
        seen.tid = told.tid or seen.tid
        for extra in found.air_protocol_tag_datas:
            if isinstance(extra, params.C1G2_PC):
                seen.pc = extra.pc_bits

    async def _take_events(self) -> None:
        while True:
            message = await self._client.events.get()
            self._heard_at = asyncio.get_running_loop().time()
            if not isinstance(message, messages.READER_EVENT_NOTIFICATION):
                continue
            data = message.reader_event_notification_data
            if data.gpi_event is not None:
                self._on_input(data.gpi_event.gpi_port_number, bool(data.gpi_event.gpi_event))
            if data.reader_exception_event is not None:
                self.counts["exceptions"] += 1
            if data.antenna_event is not None:
                lost = int(data.antenna_event.event_type) == int(enums.AntennaEventType.Antenna_Disconnected)
                self.counts["antennas_out"] += lost

    # --- access operations --------------------------------------------------------------------------------------------

    async def read_words(self, epc: bytes, bank: int, word: int, count: int) -> bytes:
        """Read words of the tag that tells ``epc``; raises `TagRefused`."""
        op = params.C1G2Read(
            op_spec_id=0, access_password=self._settings.password, mb=bank, word_pointer=word, word_count=count
        )
        result = await self._access(epc, op)
        if not isinstance(result, params.C1G2ReadOpSpecResult):
            raise TagRefused("WRITE_ERROR")
        name = _name_of(enums.C1G2ReadResultType, result.result)
        data = b"".join(value.to_bytes(2, "big") for value in result.read_data)
        if name == "Success" and len(data) == count * 2:
            return data
        raise TagRefused("NO_TAG" if name in _NO_RESPONSE else _READ_REFUSALS.get(name, "TOO_SMALL"))

    async def write_words(self, epc: bytes, bank: int, word: int, data: bytes) -> None:
        """Write words of the tag that tells ``epc``; raises `TagRefused`."""
        words = [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]
        op = params.C1G2Write(
            op_spec_id=0, access_password=self._settings.password, mb=bank, word_pointer=word, write_data=words
        )
        result = await self._access(epc, op)
        if not isinstance(result, params.C1G2WriteOpSpecResult):
            raise TagRefused("WRITE_ERROR")
        name = _name_of(enums.C1G2WriteResultType, result.result)
        if name != "Success" or result.num_words_written != len(words):
            raise TagRefused("NO_TAG" if name in _NO_RESPONSE else _WRITE_REFUSALS.get(name, "WRITE_ERROR"))

    async def _access(self, epc: bytes, op: Operation) -> object:
        """Run one operation on the tag with this EPC when the inventory comes to it; raises `TagRefused` NO_TAG after ``op_ms``."""
        self._number = self._number % 0xFFFF + 1
        number = op.op_spec_id = self._number
        waiting: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._results[number] = waiting
        async with self._specs:
            try:
                await self.ask(messages.ADD_ACCESSSPEC(access_spec=_access_spec(number, epc, op)))
                await self.ask(messages.ENABLE_ACCESSSPEC(access_spec_id=number))
                async with asyncio.timeout(self._settings.op_ms / 1000):
                    return await waiting
            except TimeoutError as error:
                raise TagRefused("NO_TAG") from error
            except LLRPStatusError as error:
                raise TagRefused("WRITE_ERROR") from error
            finally:
                self._results.pop(number, None)
                with contextlib.suppress(LLRPError, OSError):  # done once, many readers have deleted it themselves
                    await self._client.transact(messages.DELETE_ACCESSSPEC(access_spec_id=number), timeout=ANSWER_S)


def _access_spec(number: int, epc: bytes, op: Operation) -> params.AccessSpec:
    whole = BitStr.from_bytes(b"\xff" * len(epc))
    target = params.C1G2TargetTag(mb=1, match=True, pointer=_EPC_AT, tag_mask=whole, tag_data=BitStr.from_bytes(epc))
    return params.AccessSpec(
        access_spec_id=number,
        antenna_id=0,
        protocol_id=enums.AirProtocols.EPCGlobalClass1Gen2,
        current_state=False,
        ro_spec_id=0,
        access_spec_stop_trigger=params.AccessSpecStopTrigger(
            access_spec_stop_trigger=enums.AccessSpecStopTriggerType.Operation_Count, operation_count_value=1
        ),
        access_command=params.AccessCommand(
            air_protocol_tag_spec=params.C1G2TagSpec(c1_g2_target_tags=[target]), access_command_op_specs=[op]
        ),
    )


def _name_of(kind: type[enums.C1G2ReadResultType] | type[enums.C1G2WriteResultType], value: int) -> str:
    try:
        return kind(int(value)).name
    except ValueError:
        return "unknown"


def _unreachable(error: LLRPConnectionError) -> DeviceOffline:
    if isinstance(error.__cause__, OSError | TimeoutError) and "cannot connect" in str(error):
        return DeviceOffline("PORT_UNREACHABLE", "nothing answers at the address of the LLRP reader")
    if "refused the connection" in str(error):  # its ConnectionAttemptEvent said so; the library tells no code
        return DeviceOffline("PORT_BUSY", "another program holds the LLRP reader; stop it")
    return DeviceOffline("NO_ANSWER", "what answers at the address is no LLRP reader")
