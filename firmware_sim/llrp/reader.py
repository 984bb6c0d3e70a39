"""An LLRP reader over llrpkit's emulator, with Gen2 tags that have all their memory, and what can go wrong with either.

The emulator speaks the protocol and keeps the time of the inventory; it knows a tag by its EPC alone and refuses to write a PC. What a
tag is and does comes from `firmware_sim.uhf` here, in the places where the emulator asks for it (llrpkit 0.3.0, pinned).
"""

from __future__ import annotations

import asyncio
from typing import cast

from llrpkit.emulator import LLRPEmulator
from llrpkit.emulator.core import EmulatedTag
from llrpkit.protocol import LLRPMessage, enums, impinj, messages, params

from firmware_sim.faults import Faults
from firmware_sim.uhf.field import TagField
from firmware_sim.uhf.tags import LOCKED, OVERRUN, Gen2Tag, TagError

__all__ = ["DBM_BELOW", "SimReader"]

DBM_BELOW = 135
"""A tag's strength 0..255 is told as so many dBm less: 80 is -55 dBm."""
_Result = params.C1G2ReadOpSpecResult | params.C1G2WriteOpSpecResult | params.C1G2KillOpSpecResult


class SimReader(LLRPEmulator):
    """A reader whose tags are those of ``field``. ``tear``: words of a longer write stored before its tag is pulled away, once."""

    def __init__(self, *, host: str, port: int, reads_per_sec: float, antenna_count: int, seed: int) -> None:
        super().__init__(
            host=host, port=port, tags=(), reads_per_sec=reads_per_sec, antenna_count=antenna_count, seed=seed,
            firmware="tongjie-sim 1",
        )  # fmt: skip
        self.field = TagField(self.refresh)
        self.faults = Faults()
        self.tear = 0
        self.reports = 0
        self._gen2: dict[bytes, Gen2Tag] = {}

    def refresh(self) -> None:
        """Take the tags as they lie and as they are called now."""
        self._gen2 = {tag.told: tag for tag in self.field.tags if tag.told}
        self.tags = [
            EmulatedTag(epc, (min(tag.antenna, self.antenna_count),), float(tag.rssi - DBM_BELOW))
            for epc, tag in self._gen2.items()
        ]

    async def exception(self, message: str) -> None:
        """Tell the client that something inside went wrong (LLRP 1.0.1, ReaderExceptionEvent)."""
        await self._send(
            messages.READER_EVENT_NOTIFICATION(
                reader_event_notification_data=params.ReaderEventNotificationData(
                    timestamp=params.UTCTimestamp(microseconds=self._now_us()),
                    reader_exception_event=params.ReaderExceptionEvent(message=message),
                )
            )
        )

    async def garbage(self, data: bytes) -> None:
        """Send bytes that are no message."""
        if self._writer is not None:
            self._writer.write(data)
            await self._writer.drain()

    async def _handle_message(self, msg: LLRPMessage) -> None:
        if isinstance(msg, messages.ENABLE_EVENTS_AND_REPORTS | messages.GET_REPORT):
            return  # LLRP 1.0.1 gives these no answer; the emulator answers an error, at which sllurp gives up
        if isinstance(msg, messages.DELETE_ROSPEC) and msg.ro_spec_id == 0:  # all of them; the emulator knows no such
            self._rospecs.clear()
            self._sync_reporting()
            answer = messages.DELETE_ROSPEC_RESPONSE(llrp_status=self._status_ok())
            await self._send(answer, message_id=msg.message_id)
            return
        await super()._handle_message(msg)
        if isinstance(msg, messages.ENABLE_ROSPEC):
            self._start_at_once(msg.ro_spec_id)

    def _start_at_once(self, number: int) -> None:
        """Start an inventory whose trigger is "immediate"; the emulator waits for a command."""
        spec, state = self._rospecs.get(number, (None, ""))
        if spec is not None and state == "Enabled":
            trigger = spec.ro_boundary_spec.ro_spec_start_trigger.ro_spec_start_trigger_type
            if int(trigger) == int(enums.ROSpecStartTriggerType.Immediate):
                self._rospecs[number] = (spec, "Active")
                self._sync_reporting()

    async def _send(self, msg: LLRPMessage, *, message_id: int = 0) -> None:
        writer = self._writer
        if writer is None:
            return
        if isinstance(msg, messages.RO_ACCESS_REPORT):
            self.reports += 1
            if self.faults.happens(self.faults.collide) and not msg.tag_report_datas[0].access_command_op_spec_results:
                return
        if self.faults.slow_s:
            await asyncio.sleep(self.faults.slow_s)
        async with self._send_lock:
            try:
                for piece in self.faults.spoil(msg.to_bytes(message_id=message_id)):
                    writer.write(piece)
                    await writer.drain()
            except OSError:  # the client went away meanwhile
                self._stop_reporting()

    def _execute_access(self, tag: EmulatedTag, trd: params.TagReportData) -> None:
        gen2 = self._gen2.get(tag.epc)
        if gen2 is None:
            return
        if self._wants_pc():
            trd.air_protocol_tag_datas.append(params.C1G2_PC(pc_bits=gen2.pc))
        for told in [extra for extra in trd.custom if isinstance(extra, impinj.ImpinjSerializedTID)]:
            if gen2.fast_id and gen2.tid:
                told.t_id = [int.from_bytes(gen2.tid[at : at + 2], "big") for at in range(0, len(gen2.tid), 2)]
            else:
                trd.custom.remove(told)
        super()._execute_access(tag, trd)

    def _wants_pc(self) -> bool:
        reports = [spec.ro_report_spec for spec, state in self._rospecs.values() if state == "Active"]
        selectors = [
            selector
            for report in reports
            if report is not None
            for selector in report.tag_report_content_selector.air_protocol_epc_memory_selectors
        ]
        return any(selector.enable_pc_bits for selector in selectors)

    def _run_access_op(self, op: object, tag: EmulatedTag) -> _Result | None:
        gen2 = self._gen2.get(tag.epc)
        if isinstance(op, params.C1G2Read):
            return self._read(op, gen2)
        if isinstance(op, params.C1G2Write):
            result, words = self._write(op, gen2)
            return params.C1G2WriteOpSpecResult(result=result, op_spec_id=op.op_spec_id, num_words_written=words)
        return cast("_Result | None", super()._run_access_op(op, tag))

    @staticmethod
    def _read(op: params.C1G2Read, gen2: Gen2Tag | None) -> params.C1G2ReadOpSpecResult:
        kinds = enums.C1G2ReadResultType
        if gen2 is None:
            return params.C1G2ReadOpSpecResult(result=kinds.No_Response_From_Tag, op_spec_id=op.op_spec_id)
        count = op.word_count or len(gen2.bank(op.mb)) // 2 - op.word_pointer
        try:
            data = gen2.read(op.mb, op.word_pointer, count, op.access_password)
        except TagError:
            return params.C1G2ReadOpSpecResult(result=kinds.Nonspecific_Tag_Error, op_spec_id=op.op_spec_id)
        words = [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]
        return params.C1G2ReadOpSpecResult(result=kinds.Success, op_spec_id=op.op_spec_id, read_data=words)

    def _write(self, op: params.C1G2Write, gen2: Gen2Tag | None) -> tuple[int, int]:
        kinds = enums.C1G2WriteResultType
        if gen2 is None:
            return kinds.No_Response_From_Tag, 0
        if self.faults.happens(self.faults.pull):
            self.faults.pull = 0.0
            self.field.take(gen2)
            return kinds.No_Response_From_Tag, 0
        try:
            gen2.check_write(op.mb, op.word_pointer, len(op.write_data), op.access_password)
            if self.faults.happens(self.faults.forget):
                return kinds.Success, len(op.write_data)
            for offset, value in enumerate(op.write_data):
                if self.tear and offset >= self.tear:
                    self.tear = 0
                    self.field.take(gen2)
                    return kinds.No_Response_From_Tag, offset
                gen2.write_word(op.mb, op.word_pointer + offset, value.to_bytes(2, "big"))
        except TagError as error:
            wrong = {OVERRUN: kinds.Tag_Memory_Overrun_Error, LOCKED: kinds.Tag_Memory_Locked_Error}
            return wrong.get(error.code, kinds.Nonspecific_Tag_Error), 0
        self.refresh()
        return kinds.Success, len(op.write_data)
