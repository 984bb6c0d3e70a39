"""HAProxy's PROXY header, version 1 (a line) and 2 (binary): who a proxy's peer really is.

Read to the byte and no further, because TLS or SIP2 follows at once (PROXY protocol 2.0 … 3.0, sections 2.1 and 2.2).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from ipaddress import ip_address

__all__ = ["ProxyHeaderError", "read_proxy_header"]

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_MAX_LINE = 107
"""Bytes of a version 1 line with its CRLF (section 2.1)."""
_MAX_BODY = 2048
"""Bytes of addresses and TLVs that are taken; a proxy's own are some dozens."""
_ADDRESS_BYTES = {0x1: 4, 0x2: 16}


class ProxyHeaderError(Exception):
    """The header is missing or cannot be read: the connection is to be closed (section 2)."""


async def read_proxy_header(receive: Callable[[int], Awaitable[bytes]]) -> str | None:
    """The address of the proxy's peer, None where the proxy speaks for itself (LOCAL, UNKNOWN).

    `receive` gives exactly that many bytes. Raises ProxyHeaderError, and what `receive` raises.
    """
    head = await receive(len(_SIGNATURE))
    if head == _SIGNATURE:
        return await _binary(receive)
    if head.startswith(b"PROXY "):
        return await _line(head, receive)
    raise ProxyHeaderError("there is no PROXY header")


async def _line(head: bytes, receive: Callable[[int], Awaitable[bytes]]) -> str | None:
    line = bytearray(head)
    while not line.endswith(b"\r\n"):
        if len(line) >= _MAX_LINE:
            raise ProxyHeaderError("the PROXY line does not end")
        line += await receive(1)
    words = line[:-2].decode("latin-1").split(" ")
    if words[1] == "UNKNOWN":
        return None
    if len(words) != 6 or words[1] not in ("TCP4", "TCP6"):
        raise ProxyHeaderError("the PROXY line cannot be read")
    return _address(words[2])


async def _binary(receive: Callable[[int], Awaitable[bytes]]) -> str | None:
    fixed = await receive(4)
    version, command, family = fixed[0] >> 4, fixed[0] & 0xF, fixed[1] >> 4
    length = int.from_bytes(fixed[2:], "big")
    if version != 2 or command > 1 or length > _MAX_BODY:
        raise ProxyHeaderError("the PROXY header is of a kind that is not known")
    body = await receive(length) if length else b""
    if command == 0 or family not in _ADDRESS_BYTES:
        return None
    width = _ADDRESS_BYTES[family]
    if len(body) < 2 * width + 4:
        raise ProxyHeaderError("the PROXY header is too short for its addresses")
    return str(ip_address(body[:width]))


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError as error:
        raise ProxyHeaderError("the PROXY line names no address") from error
