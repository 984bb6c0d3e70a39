"""The simulated cable: a host opens, closes and reopens it; links are made and removed without harm to others."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from firmware_sim.pty import LineError, PtyLine, TcpLine, open_line


@pytest.mark.parametrize("url", ["", "pty:", "tcp:", "tcp:host", "tcp:h:99999", "udp:h:1", "/tmp/x"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(LineError) as refused:
        open_line(url)
    assert refused.value.code == "BAD_URL"


async def test_a_file_in_the_links_place_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("keep")
    with pytest.raises(LineError) as taken:
        PtyLine(str(tmp_path / "precious")).plug(lambda _data: None)
    assert taken.value.code == "LINK_TAKEN"
    assert (tmp_path / "precious").read_text() == "keep"


async def test_a_link_in_no_folder_is_denied_and_no_pty_is_left_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(LineError) as denied:
        PtyLine(str(tmp_path / "no" / "link")).plug(lambda _data: None)
    assert denied.value.code == "LINK_DENIED"
    assert len(os.listdir("/proc/self/fd")) == before


async def test_a_taken_tcp_port_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(LineError) as taken:
        TcpLine("127.0.0.1", other.getsockname()[1])
    assert taken.value.code == "TCP_PORT_TAKEN"


async def test_a_link_left_by_a_killed_process_is_replaced(tmp_path: Path) -> None:
    link = tmp_path / "pad"
    link.symlink_to("/dev/pts/gone")
    line = PtyLine(str(link))
    line.plug(lambda _data: None)
    assert link.exists()
    line.unplug()
    assert not link.is_symlink()


async def test_a_link_that_is_no_longer_ours_is_left_alone(tmp_path: Path) -> None:
    link = tmp_path / "pad"
    ours, theirs = PtyLine(str(link)), PtyLine(str(link))
    ours.plug(lambda _data: None)
    theirs.plug(lambda _data: None)
    ours.unplug()
    assert link.exists()
    theirs.unplug()
    assert not link.is_symlink()


async def test_a_host_may_close_and_reopen_and_loses_only_what_it_did_not_read(tmp_path: Path) -> None:
    heard: list[bytes] = []
    line = PtyLine(str(tmp_path / "pad"))
    line.plug(heard.append)
    for turn in range(3):
        host = os.open(tmp_path / "pad", os.O_RDWR | os.O_NOCTTY)
        os.write(host, b"\x02\x0d\x0a%d" % turn)
        await asyncio.sleep(0.02)
        assert line.write(b"answer") == 6
        assert os.read(host, 100) == b"answer"
        os.close(host)
        await asyncio.sleep(0.02)
    assert b"".join(heard) == b"\x02\x0d\x0a0\x02\x0d\x0a1\x02\x0d\x0a2"
    line.unplug()
    assert line.write(b"nobody") == 0
    line.unplug()


async def test_a_line_nobody_reads_drops_instead_of_growing(tmp_path: Path) -> None:
    line = PtyLine(str(tmp_path / "pad"))
    line.plug(lambda _data: None)
    sent = [line.write(bytes(1000)) for _ in range(200)]
    assert sum(sent) < 200_000
    assert sent[-1] == 0
    line.unplug()


async def test_a_second_tcp_host_is_turned_away_and_may_come_later() -> None:
    heard: list[bytes] = []
    line = TcpLine("127.0.0.1", 0)
    line.plug(heard.append)
    host, number = line.url.removeprefix("tcp:").split(":")
    source, sink = await asyncio.open_connection(host, int(number))
    sink.write(b"first")
    await asyncio.sleep(0.05)
    other, other_sink = await asyncio.open_connection(host, int(number))
    assert await asyncio.wait_for(other.read(), 2) == b""
    other_sink.close()
    line.write(b"only you")
    assert await source.readexactly(8) == b"only you"
    sink.close()
    await asyncio.sleep(0.05)
    _, third = await asyncio.open_connection(host, int(number))
    third.write(b"third")
    await asyncio.sleep(0.05)
    assert heard == [b"first", b"third"]
    line.unplug()
    line.plug(heard.append)
    assert line.url == f"tcp:{host}:{number}"
    line.unplug()
    third.close()
