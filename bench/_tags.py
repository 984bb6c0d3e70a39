"""Tag and frame codec speed: tags decoded in a second on one core, beside the CRC that no decoder can avoid.

The mix is a kiosk's pad: ISO 28560-3 (plain and with its blocks reversed), ISO 28560-2 with owner and set, and a 3M item. The UHF
mix is what a gate sees: eight items each of 28560-4 and of the university format, by turns, each with its user bank; a cache of
tags lately seen would hold none of a whole shelf, so there is none. The CRC-only rates of the same run say how fast the machine was.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from protocols.crc import crc_gen2, crc_ibm3740
from protocols.feig import Block, Frame, Framer, ReadBlocksReply, ReadBlocksRequest, decode_reply, encode_reply
from protocols.iso28560 import (
    TagContent,
    decode_tag,
    decode_uhf,
    encode_part3,
    image_of,
    pad_to_blocks,
    recognise_hf,
    recognise_uhf,
)
from protocols.iso28560.part2 import encode_part2
from protocols.iso28560.part3 import reverse_blocks
from protocols.iso28560.rfid501 import MmmItem, encode_mmm_item

__all__ = ["run"]

_UID = "E004010012345678"
_SPAN_S = 0.3


def _rate(work: Callable[[], int], runs: int) -> float:
    """Return the median over `runs` of units of work a second, each measured for about 0.3 s of CPU time."""
    rates = []
    for _ in range(runs):
        done, start = 0, time.process_time()
        while (elapsed := time.process_time() - start) < _SPAN_S:
            done += work()
        rates.append(done / elapsed)
    return statistics.median(rates)


def run(runs: int = 5) -> dict[str, Any]:
    """Measure; figures are per second on one core, see the notes."""
    part3 = pad_to_blocks(encode_part3("1000000136", "CN-251020"))
    part2 = encode_part2({1: "123456789012", 3: "CN-251020", 4: "1203"})
    mmm = encode_mmm_item(MmmItem("123456789012", library=1234))
    mix = [(part3, 0x3E), (part3, 0x3E), (reverse_blocks(part3), 0x3E), (part2, 0x06), (mmm, 0x00)]
    blocks = tuple(Block(part3[at : at + 4]) for at in range(0, len(part3), 4))
    request = ReadBlocksRequest(_UID, 0, len(blocks))
    wire = encode_reply(0, request, ReadBlocksReply(4, blocks)) * 20

    def decode_mix() -> int:
        for _ in range(20):
            for data, dsfid in mix:
                decode_tag(data, dsfid=dsfid, afi=0x07, uid=_UID)
        return 100

    item = TagContent("gaoxiao", "01557071", "10611", 1, elements=((6, "I247"),))
    shelf = [replace(item, pii=f"{1557071 + 37 * number:08d}") for number in range(8)]
    images = [image_of(one, form) for one in shelf for form in ("28560-4", "gaoxiao")]
    banks = [(image.pc or 0, image.epc, image.data) for image in images]
    whole = [pc.to_bytes(2, "big") + epc for pc, epc, _ in banks]

    def recognise_mix() -> int:
        for _ in range(20):
            for data, dsfid in mix:
                recognise_hf(data, dsfid, 0x07, _UID)
        return 100

    def recognise_gen2() -> int:
        for _ in range(6):
            for pc, epc, user in banks:
                recognise_uhf(pc, epc, user)
        return 6 * len(banks)

    def decode_gen2() -> int:
        for _ in range(6):
            for pc, epc, user in banks:
                decode_uhf(pc, epc, user=user)
        return 6 * len(banks)

    def recognise_epc() -> int:
        for _ in range(6):
            for pc, epc, _user in banks:
                recognise_uhf(pc, epc)
        return 6 * len(banks)

    def write_images() -> int:
        for _ in range(10):
            image_of(item, "28560-2")
        return 10

    def decode_part3_only() -> int:
        for _ in range(100):
            decode_tag(part3, dsfid=0x3E, afi=0x07, uid=_UID)
        return 100

    def encode() -> int:
        for _ in range(100):
            encode_part3("1000000136", "CN-251020")
        return 100

    def read_replies() -> int:
        frames: list[Frame] = Framer("advanced").receive(wire)
        for frame in frames:
            decode_reply(request, frame)
        return len(frames)

    def crc() -> int:
        for _ in range(100):
            crc_ibm3740(part3[:19] + part3[21:34])
        return 100

    def crc_of_gen2() -> int:
        for _ in range(6):
            for bank in whole:
                crc_gen2(bank)
        return 6 * len(whole)

    return {
        "name": "tags",
        "runs": runs,
        "figures": {
            "tag_decode_per_s": round(_rate(decode_mix, runs)),
            "tag_recognise_per_s": round(_rate(recognise_mix, runs)),
            "uhf_recognise_per_s": round(_rate(recognise_gen2, runs)),
            "uhf_decode_per_s": round(_rate(decode_gen2, runs)),
            "uhf_epc_only_recognise_per_s": round(_rate(recognise_epc, runs)),
            "image_checked_per_s": round(_rate(write_images, runs)),
            "part3_decode_per_s": round(_rate(decode_part3_only, runs)),
            "part3_encode_per_s": round(_rate(encode, runs)),
            "feig_read_reply_per_s": round(_rate(read_replies, runs)),
        },
        "beside": {
            "crc_only_tag_decode_per_s": round(_rate(crc, runs)),
            "crc_only_uhf_per_s": round(_rate(crc_of_gen2, runs)),
        },
        "notes": [
            f"median of {runs} runs of {_SPAN_S} s of CPU time; 3 of 5 tags of the mix are ISO 28560-3, one reversed",
            f"load average of the machine meanwhile {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores",
            "recognise = decode and say what carries the tag; image_checked = a whole 28560-2 tag written and read back",
        ],
    }
