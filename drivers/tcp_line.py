"""What every TCP connection to a device is told: to notice that the other end is gone, and what to do with what is unsent.

A device that only talks is never asked anything, so a connection whose other end lost its power would look open for good.
"""

from __future__ import annotations

import socket
import struct

__all__ = ["GONE_S", "forget_unsent", "watch"]

IDLE_S, EVERY_S, TIMES = 15, 5, 3
"""The kernel asks after so much silence, again so often, and gives up after so many questions nobody answered."""
GONE_S = IDLE_S + EVERY_S * TIMES
"""Seconds after which a connection to nobody is lost, whether anything was sent or not (TCP_USER_TIMEOUT, RFC 5482)."""


def watch(line: socket.socket) -> None:
    """Send without delay, and lose the connection `GONE_S` seconds after the other end has gone without a word."""
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_KEEPIDLE, IDLE_S),
        (socket.TCP_KEEPINTVL, EVERY_S),
        (socket.TCP_KEEPCNT, TIMES),
        (socket.TCP_USER_TIMEOUT, GONE_S * 1000),
    ):
        line.setsockopt(socket.IPPROTO_TCP, option, value)


def forget_unsent(line: socket.socket) -> None:
    """Drop at closing what has not been sent: the kernel would else deliver it when the network is back."""
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
