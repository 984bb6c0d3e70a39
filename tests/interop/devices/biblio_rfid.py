"""The simulated FEIG pad read by Biblio-RFID, a Perl driver written by others against a real CPR-M02, beside our own driver.

Not part of the test suite: Biblio-RFID is GPL, runs as a process of its own, and nothing of it is kept here. To run it:

    git clone of the repository dpavlin/Biblio-RFID at 778b37e8b106ea7495634a036ff1d798908aee2b
    apt-get install libdevice-serialport-perl libdata-dump-perl
    python -m tests.interop.devices.biblio_rfid PATH-OF-THE-CLONE

It prints what both read of the same tags and ends with 0 where they agree, 1 where they do not.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from drivers.base import DeviceEvent, DeviceState
from drivers.rfid.feig import FeigPad
from firmware_sim.feig import SimPad, SimTag
from firmware_sim.pty import PtyLine
from protocols.iso28560 import encode_part3

FEIG_SCRIPT = """
use strict; use warnings; use lib $ENV{BIBLIO_LIB};
use Biblio::RFID::Reader::CPRM02;
my $pad = Biblio::RFID::Reader::CPRM02->new(device => $ENV{RFID_DEVICE}) or die 'no device';
my $afi = $ENV{WANTED_AFI};
my @found;
foreach my $tag (sort $pad->inventory) {
    my $blocks = $pad->read_blocks($tag);
    my $before = Biblio::RFID::Reader::CPRM02::read_afi($tag);
    Biblio::RFID::Reader::CPRM02::write_afi($tag, pack('H2', $afi));
    my $after = Biblio::RFID::Reader::CPRM02::read_afi($tag);
    push @found, sprintf('{"uid":"%s","afi":"%s","after":"%s","data":"%s"}',
        $tag, unpack('H2', $before), unpack('H2', $after), unpack('H*', join('', @{$blocks->{$tag}})));
}
print 'FOUND [' . join(',', @found) . "]\\n";
"""
PERL_S = 60.0


def tags() -> list[SimTag]:
    """Tags of three kinds: ISO 28560-3, foreign content, and a chip longer than usual."""
    book = encode_part3("01234567890", "CN-251020", usage=1, parts=1, part=1, size=34)
    return [
        SimTag("E004010012345678", 0x3E, 0x07, bytearray(book)),
        SimTag("E004010012345679", 0x06, 0x07, bytearray(range(112))),
        SimTag("E00702000000000A", 0x00, 0x07, bytearray(range(160))),
    ]


async def perl(script: str, clone: Path, device: str, **more: str) -> list[dict[str, Any]]:
    """Run a script with the clone's library on a device; raises `RuntimeError` with its last words."""
    environment = {**os.environ, "BIBLIO_LIB": str(clone / "lib"), "RFID_DEVICE": device, **more}
    process = await asyncio.create_subprocess_exec(
        "perl", "-e", script, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(PERL_S):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise RuntimeError("Biblio-RFID did not end") from None
    for line in out.decode(errors="replace").splitlines():
        if line.startswith("FOUND "):
            found: list[dict[str, Any]] = json.loads(line[6:])
            return found
    raise RuntimeError(err.decode(errors="replace")[-2000:])


async def ours(sim: SimPad) -> list[dict[str, Any]]:
    """What our driver reads of the same pad, written as `perl` gives it; it puts the AFI back."""
    pad, online = FeigPad("pad", sim.line.url, eas=False, form="standard"), asyncio.Event()

    def emit(event: DeviceEvent) -> None:
        if isinstance(event, DeviceState) and event.state == "online":
            online.set()

    task = asyncio.create_task(pad.run(emit))
    found = []
    try:
        async with asyncio.timeout(20):
            await online.wait()
            for tag in await pad.read():
                whole = await pad.read_whole(tag.uid)
                written = await pad.secure(tag.uid, True)
                if whole is None or whole.afi is None or written.after.afi is None:
                    raise RuntimeError("our driver lost a tag")
                found.append(
                    {
                        "uid": tag.uid,
                        "afi": f"{whole.afi:02x}",
                        "after": f"{written.after.afi:02x}",
                        "data": whole.data.hex(),
                    }
                )
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return found


async def feig(clone: Path) -> bool:
    """Compare both drivers on one simulated FEIG pad; theirs writes AFI C2, ours then finds that and writes 07."""
    with tempfile.TemporaryDirectory() as folder:
        sim = SimPad(PtyLine(f"{folder}/pad"))
        sim.start()
        for tag in tags():
            sim.place(tag)
        try:
            # their port lock is a file named for the device, so they get the pty's own name
            theirs = await perl(FEIG_SCRIPT, clone, os.path.realpath(f"{folder}/pad"), WANTED_AFI="c2")
            mine = await ours(sim)
        finally:
            sim.stop()
    agree = len(theirs) == len(mine) == len(tags())
    for their, own in zip(theirs, mine, strict=False):
        same = their["uid"] == own["uid"] and their["data"] == own["data"] and their["after"] == own["afi"]
        told = f"{len(own['data']) // 2} bytes, AFI 07 -> {their['after']} -> {own['after']}"
        print(f"{own['uid']}: {told}: {'agree' if same else 'DIFFER'}")
        if not same:
            print(f"  theirs {their}\n  ours   {own}")
        agree = agree and same
    return agree


def main() -> int:
    """Run; 0 = both agree."""
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    return 0 if asyncio.run(feig(Path(sys.argv[1]))) else 1


if __name__ == "__main__":
    sys.exit(main())
