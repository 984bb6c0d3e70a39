"""The envelope of every message: CloudEvents 1.0, structured JSON, at most 16 KB.

An envelope carries facts about the message (who, when, which kind) beside `data`, a JSON object. The attributes `sig`, `keyid` and
`counter` are the place of the signature: they travel where they are set and are absent where they are not; nothing here makes or
checks one. CloudEvents 1.0 "Context Attributes", "Type System"; JSON Event Format 1.0 §2, §3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from protocols.bus.errors import LocalProtocolError, RemoteProtocolError

__all__ = ["MAX_MESSAGE", "Envelope", "Scalar", "decode", "encode", "from_rfc3339", "rfc3339"]

MAX_MESSAGE: Final = 16_384
"""Bytes of one message on the bus; whatever is larger moves by HTTP."""

Scalar = str | int | bool
"""A value an extension attribute may have."""

_EXTENSION_NAME = re.compile(r"[a-z0-9]{1,20}")  # "SHOULD NOT exceed 20 characters": we make it a rule
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_TEXT = ("id", "source", "type", "time", "subject", "dataschema", "sig", "keyid")
_RESERVED = frozenset({*_TEXT, "counter", "specversion", "datacontenttype", "data", "data_base64"})
_MAX_TEXT = 512
_INT32 = range(-(2**31), 2**31)  # "Integer": 32 bits signed
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rfc3339(ms: int) -> str:
    """Milliseconds since 1970 (UTC) as the `time` of an envelope, for example `2025-03-01T08:00:00.123Z`."""
    moment = _EPOCH + timedelta(milliseconds=ms)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def from_rfc3339(text: str) -> int:
    """Milliseconds since 1970 of an envelope's `time`, fractions of a millisecond cut. Raises ValueError for no such moment."""
    if not _TIME.fullmatch(text):
        raise ValueError("not an RFC 3339 time in UTC")
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """One message: CloudEvents attributes and its data.

    `id` is unique per source; `source` is the node id of the sender (`hub` for the hub); `type` names the message
    (`tongjie.evt.batch.v1`); `time` is RFC 3339 in UTC. `extensions` have lower-case alphanumeric names of 1 to 20 and scalar values,
    integers of 32 bits. Raises LocalProtocolError BUS_ENVELOPE_FIELD with the `field` that is wrong.
    """

    id: str
    source: str
    type: str
    time: str
    data: dict[str, Any]
    subject: str | None = None
    dataschema: str | None = None
    sig: str | None = None
    keyid: str | None = None
    counter: int | None = None
    extensions: Mapping[str, Scalar] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in _TEXT:
            value = getattr(self, name)
            if value is None and name not in ("id", "source", "type", "time"):
                continue
            if not isinstance(value, str) or not 0 < len(value) <= _MAX_TEXT or _UNPRINTABLE.search(value):
                raise LocalProtocolError("BUS_ENVELOPE_FIELD", field=name)
        try:
            from_rfc3339(self.time)
        except ValueError:
            raise LocalProtocolError("BUS_ENVELOPE_FIELD", field="time") from None
        if self.counter is not None and (
            not isinstance(self.counter, int) or isinstance(self.counter, bool) or not 0 <= self.counter < 2**31
        ):
            raise LocalProtocolError("BUS_ENVELOPE_FIELD", field="counter")
        if not isinstance(self.data, dict):
            raise LocalProtocolError("BUS_ENVELOPE_FIELD", field="data")
        for name, extension in self.extensions.items():
            _check_extension(name, extension)

    @property
    def time_ms(self) -> int:
        """`time` as milliseconds since 1970, UTC."""
        return from_rfc3339(self.time)


def _check_extension(name: str, value: object) -> None:
    if name in _RESERVED or not _EXTENSION_NAME.fullmatch(name):
        raise LocalProtocolError("BUS_ENVELOPE_EXTENSION", name=name[:40])
    if isinstance(value, bool):
        return
    if isinstance(value, int) and value in _INT32:
        return
    if isinstance(value, str) and 0 < len(value) <= _MAX_TEXT and not _UNPRINTABLE.search(value):
        return
    raise LocalProtocolError("BUS_ENVELOPE_EXTENSION", name=name)


def encode(envelope: Envelope) -> bytes:
    """The envelope as UTF-8 JSON, attributes in a fixed order, absent ones left out.

    Raises LocalProtocolError: BUS_TOO_LARGE above `MAX_MESSAGE` bytes, BUS_DATA where `data` holds what JSON has no form for.
    """
    out: dict[str, Any] = {"specversion": "1.0"}
    for name in ("id", "source", "type", "time", "subject", "dataschema"):
        if (value := getattr(envelope, name)) is not None:
            out[name] = value
    out["datacontenttype"] = "application/json"
    for name in ("sig", "keyid", "counter"):
        if (value := getattr(envelope, name)) is not None:
            out[name] = value
    out.update(envelope.extensions)
    out["data"] = envelope.data
    try:
        payload = msgspec.json.encode(out)
    except (TypeError, ValueError, OverflowError, RecursionError):
        raise LocalProtocolError("BUS_DATA") from None
    if len(payload) > MAX_MESSAGE:
        raise LocalProtocolError("BUS_TOO_LARGE", size=len(payload), limit=MAX_MESSAGE)
    return payload


def decode(payload: bytes) -> Envelope:
    """The envelope in these bytes.

    Raises RemoteProtocolError: BUS_TOO_LARGE, BUS_NOT_JSON, BUS_ENVELOPE_VERSION (not CloudEvents 1.0), BUS_ENVELOPE_FIELD,
    BUS_ENVELOPE_EXTENSION.
    """
    if len(payload) > MAX_MESSAGE:
        raise RemoteProtocolError("BUS_TOO_LARGE", size=len(payload), limit=MAX_MESSAGE)
    try:
        raw = msgspec.json.decode(payload)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise RemoteProtocolError("BUS_NOT_JSON") from None
    if not isinstance(raw, dict):
        raise RemoteProtocolError("BUS_NOT_JSON")
    if raw.pop("specversion", None) != "1.0":
        raise RemoteProtocolError("BUS_ENVELOPE_VERSION")
    if raw.pop("datacontenttype", "application/json") != "application/json":
        raise RemoteProtocolError("BUS_ENVELOPE_FIELD", field="datacontenttype")
    known = {name: raw.pop(name) for name in (*_TEXT, "counter", "data") if name in raw}
    for name in ("id", "source", "type", "time", "data"):
        if name not in known:
            raise RemoteProtocolError("BUS_ENVELOPE_FIELD", field=name)
    # JSON Event Format §2.2: an attribute that is null is the same as one that is absent
    extensions = {name: value for name, value in raw.items() if value is not None}
    try:
        return Envelope(**known, extensions=extensions)
    except LocalProtocolError as error:
        raise error.as_remote() from None
