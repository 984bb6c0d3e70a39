"""The simulated 3M pad read by Biblio-RFID, a Perl driver written by others against a real 3M 810, beside our own driver; and our
codec against a recording of a real 3M 810.

Not part of the test suite: Biblio-RFID is GPL, runs as a process of its own, and nothing of it is kept here. To run it:

    git clone of the repository dpavlin/Biblio-RFID at 778b37e8b106ea7495634a036ff1d798908aee2b
    apt-get install libdevice-serialport-perl libdigest-crc-perl libdata-dump-perl
    python -m tests.interop.devices.biblio_3m PATH-OF-THE-CLONE [RECORDING]

RECORDING is tests/fixtures/live-capture.txt of the repository dpavlin/koha-rfid-3m810-js at 2ade3f2a955bc013312895d8623f2c47380981a3.
It prints what was compared and ends with 0 where all agree, 1 where something does not.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from drivers.base import DeviceEvent
from drivers.rfid.mmm import build
from drivers.rfid.polling import PollingPad
from firmware_sim.feig.tags import SimTag
from firmware_sim.mmm import MmmSimulator
from protocols.iso28560 import encode_part3
from protocols.iso28560.rfid501 import MmmItem, encode_mmm_item
from protocols.mmm import (
    EarlyVersionRequest,
    Frame,
    GetAfiRequest,
    InventoryRequest,
    ReadBlocksRequest,
    Request,
    decode_reply,
    encode_request,
)
from tests.interop.devices.biblio_rfid import perl

SCRIPT = """
use strict; use warnings; use lib $ENV{BIBLIO_LIB};
use Biblio::RFID::Reader::3M810; use Biblio::RFID::RFID501;
my $pad = Biblio::RFID::Reader::3M810->new(device => $ENV{RFID_DEVICE}) or die 'no device';
my @found;
foreach my $tag (sort $pad->inventory) {
    my $before = Biblio::RFID::Reader::3M810::read_afi($tag);
    my $blocks = Biblio::RFID::Reader::3M810::read_blocks($tag)->{$tag};
    my $item = Biblio::RFID::RFID501->to_hash($blocks);
    Biblio::RFID::Reader::3M810::write_blocks($tag, pack('H*', $ENV{WANTED_DATA})) if $tag eq $ENV{WRITE_TO};
    Biblio::RFID::Reader::3M810::write_afi($tag, pack('H2', $ENV{WANTED_AFI}));
    my $after = Biblio::RFID::Reader::3M810::read_afi($tag);
    push @found, sprintf('{"uid":"%s","afi":"%s","after":"%s","data":"%s","item":"%s"}',
        $tag, unpack('H2', $before), unpack('H2', $after), unpack('H*', join('', @$blocks)),
        unpack('H2', substr($blocks->[0], 0, 1)) eq '04' ? $item->{content} : '');
}
print 'FOUND [' . join(',', @found) . "]\\n";
"""
LEGACY = MmmItem("1302099999", part=1, parts=1)
WRITTEN = bytes(range(32))
UIDS = ("E004010012345678", "E004010012345679", "E00702000000000A")


def tags() -> list[SimTag]:
    """Tags of three kinds: ISO 28560-3, a 3M item, and a chip of another maker with a locked block."""
    book = encode_part3("01234567890", "CN-251020", usage=1, parts=1, part=1, size=34)
    return [
        SimTag(UIDS[0], 0x3E, 0x07, bytearray(book)),
        SimTag(UIDS[1], 0x00, 0xD7, bytearray(encode_mmm_item(LEGACY))),
        SimTag(UIDS[2], 0x00, 0x07, bytearray(range(160))),
    ]


async def ours(sim: MmmSimulator) -> list[dict[str, str]]:
    """What our own driver reads of the same pad."""
    pad = build("pad", sim.url, {"poll_ms": 50})
    assert isinstance(pad, PollingPad)
    events: list[DeviceEvent] = []
    task = asyncio.create_task(pad.run(events.append))
    async with asyncio.timeout(30):
        while len(pad.tags) < len(UIDS):
            await asyncio.sleep(0.02)
    found = [{"uid": tag.uid, "afi": f"{tag.afi or 0:02x}", "data": tag.data[:32].hex()} for tag in await pad.read()]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return found


async def compare(clone: Path, *, old: bool) -> bool:
    """Both drivers on one pad of new or old firmware, paced at 19200 baud."""
    with tempfile.TemporaryDirectory() as folder:
        sim = MmmSimulator(f"pty:{folder}/pad", baudrate=19200, old=old)
        await sim.start()
        for tag in tags():
            sim.pad.place(tag)
        mine = await ours(sim)
        wanted = {"WANTED_AFI": "C2", "WRITE_TO": UIDS[2], "WANTED_DATA": WRITTEN.hex()}
        # their port lock is a file named for the device, so they get the pty's own name
        theirs: list[dict[str, Any]] = await perl(SCRIPT, clone, os.path.realpath(f"{folder}/pad"), **wanted)
        again = await ours(sim)
        stands = {tag.uid: tag for tag in sim.pad.on_pad.values()}
        await sim.stop()
    seen = [{key: tag[key] for key in ("uid", "afi", "data")} for tag in theirs]
    checks = {
        "inventory, AFI and eight blocks are the same to both": mine == seen,
        "the 3M item is the same to both": [tag["item"] for tag in theirs] == ["", LEGACY.barcode, ""],
        "the AFI they wrote stands on the tags": all(tag.afi == 0xC2 for tag in stands.values()),
        "they read back the AFI they wrote": all(tag["after"] == "c2" for tag in theirs),
        "our driver reads the AFI they wrote": all(tag["afi"] == "c2" for tag in again),
        "the blocks they wrote stand on the tag": bytes(stands[UIDS[2]].blocks[:32]) == WRITTEN,
        "our driver reads the blocks they wrote": again[2]["data"] == WRITTEN.hex(),
    }
    print(json.dumps({"firmware": "old" if old else "new", "theirs": theirs, "ours": mine, "checks": checks}, indent=1))
    return all(checks.values())


def recorded(path: Path) -> bool:
    """Whether our requests are the recorded ones byte by byte and the recorded answers are read without complaint."""
    lines = [line.split(maxsplit=1) for line in path.read_text("utf-8").splitlines() if line[:2] in (">>", "<<")]
    sent = [bytes.fromhex(rest) for arrow, rest in lines if arrow == ">>"]
    answers = [bytes.fromhex(rest) for arrow, rest in lines if arrow == "<<"]
    good = True
    for raw, answer in zip(sent, answers, strict=True):
        request = _request(raw)
        same = encode_request(request) == raw
        reply = decode_reply(request, Frame(answer[3:], answer[0]))  # the recording leaves the answers' BCC out
        long_enough = int.from_bytes(answer[1:3], "big") == len(answer) - 1
        print(json.dumps({"request": raw.hex(), "same": same, "length": long_enough, "reply": repr(reply)}))
        good = good and same and long_enough
    return good and bool(sent)


def _request(raw: bytes) -> Request:
    frame = Frame.from_bytes(raw)
    uid = frame.body[:8].hex().upper()
    known: dict[int, Request] = {
        0x04: EarlyVersionRequest(),
        0xFE: InventoryRequest(0, 5),
        0x0A: GetAfiRequest(uid),
        0x02: ReadBlocksRequest(uid, 0, 8),
    }
    return known[frame.command]


async def main(clone: Path, recording: Path | None) -> int:
    """Compare everything; the exit status."""
    good = [await compare(clone, old=old) for old in (False, True)]
    if recording is not None:
        good.append(recorded(recording))
    return 0 if all(good) else 1


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python -m tests.interop.devices.biblio_3m PATH-OF-THE-CLONE [RECORDING]")
    sys.exit(asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) == 3 else None)))
