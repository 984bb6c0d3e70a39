"""Every request to an UHFReader18/288 in both directions: built by the driver, parsed by the device's twin."""

from protocols.frames import Cursor, FrameError
from protocols.uhf.device_requests import (
    AddressRequest,
    BaudRequest,
    BeepRequest,
    BuzzerRequest,
    InformationRequest,
    PowerRequest,
    RegionRequest,
    ScanTimeRequest,
)
from protocols.uhf.status import COMMAND_LENGTH, ILLEGAL_COMMAND, BadRequest
from protocols.uhf.tag_requests import (
    InventoryOneRequest,
    InventoryRequest,
    LockRequest,
    ReadRequest,
    WriteEpcRequest,
    WriteRequest,
)
from protocols.uhf.target import Family
from protocols.uhf.uhfreader18 import Frame

__all__ = ["ANY_ADDRESS", "Request", "addressed_to", "decode_request", "encode_request"]

ANY_ADDRESS = 0xFF
"""Reaches any device; on a line with several of them they all answer."""

Request = (
    InventoryRequest
    | InventoryOneRequest
    | ReadRequest
    | WriteRequest
    | WriteEpcRequest
    | LockRequest
    | InformationRequest
    | RegionRequest
    | AddressRequest
    | ScanTimeRequest
    | BaudRequest
    | PowerRequest
    | BeepRequest
    | BuzzerRequest
)
"""Every request this codec knows."""

_BY_CODE: dict[int, type[Request]] = {
    kind.COMMAND: kind
    for kind in (
        InventoryRequest,
        InventoryOneRequest,
        ReadRequest,
        WriteRequest,
        WriteEpcRequest,
        LockRequest,
        InformationRequest,
        RegionRequest,
        AddressRequest,
        ScanTimeRequest,
        BaudRequest,
        PowerRequest,
        BeepRequest,
        BuzzerRequest,
    )
}
_ONLY = {InventoryOneRequest.COMMAND: "18", BuzzerRequest.COMMAND: "288"}


def encode_request(address: int, request: Request) -> bytes:
    """Return the bytes of ``request`` to the device at ``address`` (FF = any); raises `LocalFrameError`."""
    return Frame(address, request.COMMAND, request.to_body()).to_bytes()


def decode_request(frame: Frame, family: Family) -> Request:
    """Return the request in a host's frame: the device's side.

    Raises `BadRequest`, whose ``status`` is what the device answers: FE for a command it does not know, FD for a wrong length, FF
    for a wrong value.
    """
    kind = _BY_CODE.get(frame.command)
    if kind is None or _ONLY.get(frame.command, family) != family:
        raise BadRequest(ILLEGAL_COMMAND, f"command {frame.command:02X} is not known")
    body = Cursor(frame.body)
    try:
        request = kind.take(body, family)
        body.end()
    except FrameError as error:
        raise BadRequest(COMMAND_LENGTH, str(error)) from error
    return request


def addressed_to(frame: Frame, address: int) -> bool:
    """Whether a device with ``address`` answers this frame."""
    return frame.address in (address, ANY_ADDRESS)
