"""All requests to a FEIG pad in both directions: built by the driver, parsed by the device's twin."""

from protocols.feig.buffer import (
    ClearBufferRequest,
    ReadBufferExtendedRequest,
    ReadBufferRequest,
    RfOutputRequest,
)
from protocols.feig.configuration import InputsRequest, ReadConfigurationRequest, WriteConfigurationRequest
from protocols.feig.custom_requests import (
    CUSTOM,
    EasAlarmRequest,
    LockBlocksRequest,
    ResetEasRequest,
    SetEasRequest,
    take_manufacturer,
)
from protocols.feig.device_requests import (
    CpuResetRequest,
    ReaderInfoRequest,
    RfResetRequest,
    SetOutputRequest,
    SetOutputsRequest,
    VersionRequest,
)
from protocols.feig.frame import ANY_ADDRESS, Form, Frame
from protocols.feig.status import DATA_FALSE, UNKNOWN_COMMAND, BadRequest
from protocols.feig.tag_requests import (
    HOST,
    InventoryRequest,
    LockAfiRequest,
    ReadBlocksRequest,
    SelectRequest,
    SystemInformationRequest,
    WriteAfiRequest,
    WriteBlocksRequest,
    WriteDsfidRequest,
)
from protocols.frames import Cursor, FrameError

__all__ = ["Request", "addressed_to", "decode_request", "encode_request"]

Request = (
    InventoryRequest
    | ReadBlocksRequest
    | WriteBlocksRequest
    | SelectRequest
    | WriteAfiRequest
    | LockAfiRequest
    | WriteDsfidRequest
    | SystemInformationRequest
    | CpuResetRequest
    | RfResetRequest
    | VersionRequest
    | ReaderInfoRequest
    | SetOutputsRequest
    | SetOutputRequest
    | LockBlocksRequest
    | SetEasRequest
    | ResetEasRequest
    | EasAlarmRequest
    | ReadBufferRequest
    | ReadBufferExtendedRequest
    | ClearBufferRequest
    | RfOutputRequest
    | InputsRequest
    | ReadConfigurationRequest
    | WriteConfigurationRequest
)
"""Every request this codec knows."""

_BY_CODE: dict[tuple[int, int | None], type[Request]] = {
    (kind.COMMAND, kind.SUB): kind
    for kind in (
        InventoryRequest,
        ReadBlocksRequest,
        WriteBlocksRequest,
        SelectRequest,
        WriteAfiRequest,
        LockAfiRequest,
        WriteDsfidRequest,
        SystemInformationRequest,
        CpuResetRequest,
        RfResetRequest,
        VersionRequest,
        ReaderInfoRequest,
        SetOutputsRequest,
        SetOutputRequest,
        LockBlocksRequest,
        SetEasRequest,
        ResetEasRequest,
        EasAlarmRequest,
        ReadBufferRequest,
        ReadBufferExtendedRequest,
        ClearBufferRequest,
        RfOutputRequest,
        InputsRequest,
        ReadConfigurationRequest,
        WriteConfigurationRequest,
    )
}


def encode_request(address: int, request: Request, frame: Form = "advanced") -> bytes:
    """Return the bytes of `request` to the device at `address` (FF = any)."""
    return Frame(address, request.COMMAND, request.to_body(), frame).to_bytes()


def decode_request(frame: Frame) -> Request:
    """Return the request in a host's frame: the device's side.

    Raises `BadRequest`, whose `status` is what the device answers: 80 for a command it does not know, 02 for wrong data.
    """
    body = Cursor(frame.body)
    try:
        if frame.command == CUSTOM:
            take_manufacturer(body)
        sub = body.u8() if frame.command in (HOST, CUSTOM) else None
        kind = _BY_CODE.get((frame.command, sub))
        if kind is None:
            raise BadRequest(
                UNKNOWN_COMMAND, f"command {frame.command:02X} {'' if sub is None else f'{sub:02X}'} is not known"
            )
        request = kind.take(body)
        body.end()
    except BadRequest:
        raise
    except FrameError as error:
        raise BadRequest(DATA_FALSE, str(error)) from error
    return request


def addressed_to(frame: Frame, address: int) -> bool:
    """Whether a device with `address` answers this frame."""
    return frame.address in (address, ANY_ADDRESS)
