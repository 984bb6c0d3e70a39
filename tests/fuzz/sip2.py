"""SIP2: the codec, a server session and a client session."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from protocols.sip2 import (
    LAYOUTS,
    NEED_DATA,
    PAUSED,
    REPLY_OF,
    Answer,
    Answered,
    ClientSession,
    Dialect,
    Dropped,
    Ignored,
    LocalProtocolError,
    Login,
    Message,
    Outgoing,
    RemoteProtocolError,
    Request,
    SendAgain,
    ServerSession,
    build,
    guess_encoding,
    mask,
    parse,
    seal,
    shown,
)
from protocols.sip2.fields import FIELDS, SECRET
from protocols.sip2.tolerant import fixed_part, read
from protocols.sip2.typed import FIELD_TYPES, FIXED_TYPES, typed, typed_fixed
from tests.fuzz.target import Target, chunks, in_chunks, vectors

__all__ = ["TARGETS", "client", "codec", "server"]

NOW = datetime(2026, 11, 22, 19, 37, 11, tzinfo=UTC)
ENCODINGS = ("utf-8", "gb18030", "latin-1", "cp850", "ascii", "gbk")
REFUSALS = {"empty", "not_a_message", "unknown_message", "fixed_part", "field"}
CLIENT_ERRORS = REFUSALS | {"no_answer", "frame_too_long", "out_of_step"}


def _allowed(error: RemoteProtocolError, codes: set[str]) -> None:
    """A refusal has one of the codes that are promised."""
    assert error.code in codes, error.code


def codec(data: bytes) -> None:
    """One byte chooses encoding and delimiter, the rest is a frame: parse, typed, mask, shown, and back again."""
    choice, frame = (data[0], data[1:]) if data else (0, b"")
    encoding, delimiter = ENCODINGS[choice % len(ENCODINGS)], "^" if choice >= 0xC0 else "|"
    try:
        message = parse(frame, encoding, delimiter)
    except RemoteProtocolError as error:
        _allowed(error, REFUSALS)
        json.dumps(error.details())
        _learned(frame)
        return
    assert message == read(frame, encoding, delimiter), "the short way and the long way differ"
    _shown(message, frame, encoding, delimiter)
    found = typed(message)
    said = {problem.name for problem in found.problems}
    parts, names = said & set(FIXED_TYPES), said & set(FIELD_TYPES)
    assert said == parts | names
    assert parts.isdisjoint(found.fixed) and parts | set(found.fixed) == set(message.fixed)
    assert names.isdisjoint(found.fields) and names | set(found.fields) == {name for name, _ in message.fields}
    assert typed_fixed(message).fixed == found.fixed
    _written(message, encoding, delimiter)
    _learned(frame)


def _shown(message: Message, frame: bytes, encoding: str, delimiter: str) -> None:
    shown(message)
    text = frame.decode(encoding, "replace")
    _, at = fixed_part(text, LAYOUTS[message.code], delimiter, [])
    for part in mask(text, delimiter=delimiter)[at:].split(delimiter):
        assert part[:2] not in SECRET or part[2:] == "***", "a password is shown"


def _written(message: Message, encoding: str, delimiter: str) -> None:
    """What was read and may be written is read again as the same."""
    try:
        frame = build(message.code, message.fixed, message.fields, sequence="7", encoding=encoding, delimiter=delimiter)
    except LocalProtocolError:
        return
    again = parse(frame, encoding, delimiter)
    assert again.checksum == ("none" if message.code in ("96", "97") and not frame[2:] else "ok")
    if not message.replaced:
        assert (again.code, again.fixed, again.fields) == (message.code, message.fixed, message.fields)


def _learned(frame: bytes) -> None:
    guess_encoding(frame)
    dialect = Dialect()
    for _ in range(2):
        try:
            dialect.read(frame)
        except RemoteProtocolError as error:
            _allowed(error, REFUSALS)
    assert len(json.dumps(dialect.public())) < 4096


_PARTS = {"date": " " * 18, "version": "2.00"}


def _fixed(code: str) -> dict[str, str]:
    """Some fixed part of a message that may be written."""
    layout = LAYOUTS[code]
    return {
        name: _PARTS.get(FIXED_TYPES[name], "0" * width)
        for name, width in zip(layout.names, layout.widths, strict=True)
    }


def server(data: bytes) -> None:
    """The first byte chooses login and bound, the rest comes in chunks; every request is answered at once."""
    choice = data[0] if data else 0
    pieces = list(chunks(data[1:]))
    parts = _served(choice, pieces)
    # Only the terminator of an answer may depend on how the bytes came: CR was answered before its LF was there.
    assert parts == _served(choice, [b"".join(pieces)]), "the same bytes in other pieces gave other events"


def _served(choice: int, pieces: list[bytes]) -> list[tuple[str, str, str]]:
    bound = 256 if choice & 2 else 16_384
    session = ServerSession(login_required=bool(choice & 1), max_length=bound)
    events: list[tuple[str, str, str]] = []
    for chunk in pieces:
        session.receive(chunk)
        while (event := session.next_event(NOW)) is not NEED_DATA:
            assert event is not PAUSED
            if isinstance(event, Answer):
                _check_answer(event.data)
                events.append(("answer", event.reason, event.code))
            elif isinstance(event, Ignored):
                events.append(("ignored", event.reason, event.code))
            else:
                events.append((type(event).__name__, event.message.code, str(event.message.fields)))
                _check_answer(_answered(session, event))
        assert session.buffered <= bound
    return events


def _answered(session: ServerSession, event: Login | Request) -> bytes:
    if isinstance(event, Login):
        return session.answer({"ok": "1" if event.message.get("CO") else "0"}, ())
    reply = REPLY_OF[event.message.code]
    return session.answer(_fixed(reply), [("AO", "251020"), ("AF", "红楼梦")])


def _check_answer(data: bytes) -> None:
    """One frame, its end, and a checksum that holds."""
    frame = data.rstrip(b"\r\n")
    assert data[len(frame) :] in (b"\r", b"\n", b"\r\n")
    assert b"\r" not in frame and b"\n" not in frame
    assert parse(frame, "gb18030").checksum != "bad"


def client(data: bytes) -> None:
    """The first byte chooses the request, error detection and depth, the rest comes in chunks as replies."""
    choice = data[0] if data else 0
    codes = sorted(REPLY_OF)
    code = codes[choice % len(codes)]
    depth = 4 if choice & 0x40 else 1
    dialect = Dialect() if choice & 0x20 else None
    session = ClientSession(error_detection=choice < 0x80, retries=2, max_length=4096, depth=depth, dialect=dialect)
    request = Outgoing(code, _fixed(code), (("AO", "251020"), ("AB", "1")))
    for chunk in (b"", *chunks(data[1:])):
        if not chunk and session.waiting:
            _timed_out(session)
        session.receive(chunk)
        _received(session)
        while session.room > 0:
            session.send(request)
        assert session.room == 0


def _received(session: ClientSession) -> None:
    while True:
        try:
            event = session.next_event()
        except RemoteProtocolError as error:
            _allowed(error, CLIENT_ERRORS)
            continue
        if event is NEED_DATA:
            return
        assert isinstance(event, Answered | SendAgain | Dropped)
        if isinstance(event, Answered):
            assert event.to <= session.sent
            typed(event.message)


def _timed_out(session: ClientSession) -> None:
    try:
        assert session.timed_out()
    except RemoteProtocolError as error:
        _allowed(error, {"no_answer"})


def _frames() -> list[bytes]:
    frames = []
    for vector in vectors("sip2"):
        if "chunks" in vector:
            frames.append(b"".join(map(bytes.fromhex, vector["chunks"])))
        else:
            frames.append(bytes.fromhex(vector["hex"]) if "hex" in vector else vector["text"].encode())
    return frames


def _choice(frame: bytes) -> int:
    name = guess_encoding(frame)
    return ENCODINGS.index(name) if name in ENCODINGS else 0


def _codec_seeds() -> list[bytes]:
    return [bytes([_choice(frame)]) + frame for frame in _frames()]


def _server_seeds() -> list[bytes]:
    login = seal(b"9300CNkiosk1|COsecret|", "0") + b"\r"
    return [b"\x01" + in_chunks(login + frame + b"\r" + frame + b"\r\n97AZFEF5\r") for frame in _frames()]


def _client_seeds() -> list[bytes]:
    return [bytes([number % 256]) + in_chunks(frame + b"\r") for number, frame in enumerate(_frames())]


_WORDS = tuple(word.encode() for word in (*LAYOUTS, *FIELDS, "AY0AZ", "2.00", "|", " " * 18))
TARGETS = {
    "codec": Target(codec, _codec_seeds, _WORDS),
    "server": Target(server, _server_seeds, _WORDS),
    "client": Target(client, _client_seeds, _WORDS),
}
"""By name."""
