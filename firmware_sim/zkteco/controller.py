"""The controller itself: its log, its doors and the answers to a host; no I/O, the time is an argument."""

from __future__ import annotations

import hmac
from collections import deque
from collections.abc import Callable
from datetime import datetime

from protocols.zkteco import (
    REPLY_ERROR,
    REPLY_OK,
    WRONG_PASSWORD,
    Address,
    Command,
    DoorStatus,
    EventRecord,
    EventType,
    Frame,
    encode_frame,
    encode_record,
    encode_text,
    read_control,
    session_header,
    split_session,
)

__all__ = ["Controller"]

KEPT = 1000
"""Records kept while no host asks; a real one keeps them in flash."""
MANY = 8
"""Records in one binary reply."""
_UNKNOWN = -13
_NAMES = {
    "~SerialNumber": "SIM0000001",
    "FirmVer": "AC Ver 4.1.9 simulated",
    "~DeviceName": "C3-200",
    "AuxInCount": "2",
    "AuxOutCount": "2",
}


class Controller:
    """One controller; ``opened`` maps a door to the time until which its lock is open."""

    def __init__(
        self,
        *,
        password: str = "",
        text_log: bool = False,
        sessions: bool = True,
        cards: frozenset[int] = frozenset(),
        doors: int = 2,
    ) -> None:
        self._password = password
        self._text_log = text_log
        self._sessions = sessions
        self.cards = cards
        self.doors = doors
        self._log: deque[EventRecord] = deque(maxlen=KEPT)
        self._session: int | None = None
        self._connected = False
        self._made = 0
        self._index = 0
        self.open_until: dict[int, float] = {}
        self.aux_until: dict[int, float] = {}
        self.sensors = [1, 1, 1, 1]
        self.alarms = [0, 0, 0, 0]
        self.requests = self.openings = 0
        self.on_open: Callable[[], None] = lambda: None

    def lose_power(self) -> None:
        """Sessions end, locks fall shut; the log is in flash and stays."""
        self._session, self._connected = None, False
        self.open_until.clear()
        self.aux_until.clear()

    def happen(self, event: int, door: int, now: datetime, *, card: int = 0, way: int = 2) -> None:
        """Put a record into the log."""
        self._log.append(EventRecord(event, door, card, 0, way, 4 if card else 200, now))

    def open(self, door: int, seconds: float, clock: float) -> None:
        """Open a door's lock."""
        self.open_until[door] = clock + seconds
        self.openings += 1
        self.on_open()

    def is_open(self, door: int, clock: float) -> bool:
        """Whether a door's lock is open."""
        return self.open_until.get(door, 0.0) > clock

    def answer(self, frame: Frame, now: datetime, clock: float) -> bytes | None:
        """The reply to a request, None where a controller is silent (no connection was made)."""
        self.requests += 1
        if frame.command in (Command.CONNECT_SESSION, Command.CONNECT):
            return self._connect(frame)
        if not self._connected:
            return None
        session, number, payload = split_session(frame.body, session=self._session is not None)
        if session != self._session:
            return self._error(_UNKNOWN, number)
        return self._serve(frame.command, number, payload, now, clock)

    def _connect(self, frame: Frame) -> bytes:
        wants_session = frame.command == Command.CONNECT_SESSION
        if wants_session and not self._sessions:
            return self._error(_UNKNOWN, 0)
        given = frame.body[4:] if wants_session else frame.body
        if not hmac.compare_digest(given, self._password.encode()):
            return self._error(WRONG_PASSWORD, 0)
        self._made += 1
        self._connected = True
        self._session = (0x1A2B + 7 * self._made) & 0xFFFF if wants_session else None
        return self._reply(0, b"")

    def _serve(self, command: int, number: int, payload: bytes, now: datetime, clock: float) -> bytes:
        if command == Command.DISCONNECT:
            reply = self._reply(number, b"")
            self._session, self._connected = None, False
            return reply
        if command == Command.GET_PARAMETERS:
            return self._reply(number, self._parameters(payload.decode("ascii", "replace")))
        if command == Command.LOG_BINARY:
            return self._reply(number, b"\0" if self._text_log else self._binary(now))
        if command == Command.LOG_TEXT and self._text_log:
            self._index += 1
            return self._reply(
                number, encode_text(self._log.popleft() if self._log else self._status(now), self._index)
            )
        if command == Command.CONTROL:
            output, address, seconds = read_control(payload)
            if address is Address.AUX:
                self.aux_until[output] = clock + seconds
            elif output > self.doors:
                return self._error(_UNKNOWN, number)
            else:
                self.open(output, float("inf") if seconds == 255 else seconds, clock)
                self.happen(EventType.REMOTE_OPEN, output, now)
            return self._reply(number, b"")
        return self._error(_UNKNOWN, number)

    def _binary(self, now: datetime) -> bytes:
        records = [self._log.popleft() for _ in range(min(MANY, len(self._log)))]
        return b"".join(encode_record(record) for record in records) or encode_record(self._status(now))

    def _status(self, now: datetime) -> DoorStatus:
        a, b, c, d = self.sensors
        e, f, g, h = self.alarms
        return DoorStatus((a, b, c, d), (e, f, g, h), now)

    def _parameters(self, names: str) -> bytes:
        known = {**_NAMES, "LockCount": str(self.doors)}
        for door in range(1, self.doors + 1):
            # a sensor that is closed at rest, five seconds of lock time, fifteen until the door counts as held open
            known |= {f"Door{door}SensorType": "2", f"Door{door}Drivertime": "5", f"Door{door}Detectortime": "15"}
        return ",".join(f"{name}={known[name]}" for name in names.split(",") if name in known).encode()

    def _reply(self, number: int, payload: bytes) -> bytes:
        return encode_frame(REPLY_OK, session_header(self._session, number) + payload)

    def _error(self, error: int, number: int) -> bytes:
        return encode_frame(REPLY_ERROR, session_header(self._session, number) + error.to_bytes(1, "big", signed=True))
