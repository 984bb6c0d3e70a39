"""One connection to a controller: a session, a question at a time, and a new connection after every answer that did not come.

A reply does not say which question it answers, and reading the log empties it: after a time-out the connection is given up,
because a late answer to "the log" would else confirm an opening.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

from drivers.base import DeviceOffline, DeviceRefused
from drivers.port import Port
from protocols.frames import FrameError
from protocols.zkteco import (
    ANY_SESSION,
    FIRST_NUMBER,
    REPLY_ERROR,
    REPLY_OK,
    WRONG_PASSWORD,
    Address,
    Command,
    Frame,
    Record,
    ZkFramer,
    control_output,
    decode_records,
    decode_text,
    encode_frame,
    parameters,
    session_header,
    split_session,
)

__all__ = ["PasswordRefused", "ZkLink", "ZkRefused"]

ANSWER_S = 1.5
"""Wait for an answer; controllers answer within 50 ms and take a second while they write their flash."""
SPOILED_TRIES = 4


class ZkRefused(DeviceRefused):
    """The controller answered with an error; ``error`` is its own number (signed), ``code`` CONTROLLER_ERROR."""

    def __init__(self, error: int) -> None:
        super().__init__("CONTROLLER_ERROR", f"the controller refused with error {error}")
        self.error = error


class PasswordRefused(DeviceRefused):
    """The communication password is wrong; ``code`` is PASSWORD_REFUSED."""

    def __init__(self) -> None:
        super().__init__(
            "PASSWORD_REFUSED", "the controller refused the communication password; correct the option password"
        )


class ZkLink:
    """Asks a controller over an open port; not re-entrant, the gate holds a lock.

    Every method raises `DeviceOffline` NO_ANSWER, `PortError`, `ZkRefused`.
    """

    def __init__(self, port: Port) -> None:
        self._port = port
        self._framer = ZkFramer()
        self._session: int | None = None
        self._number = FIRST_NUMBER
        self._text_log = False
        self._in_step = True
        self._counts = {"commands": 0, "frames": 0, "timeouts": 0, "bad_frames": 0}
        self.heard_ns: int | None = None
        """When the last sound frame came (monotonic)."""

    def counters(self) -> Mapping[str, int]:
        """Questions, sound answers, time-outs and spoiled frames since the port was opened."""
        return dict(self._counts)

    async def connect(self, password: str) -> None:
        """Begin a session, or talk without one where the firmware knows none; raises `PasswordRefused`."""
        secret = password.encode("ascii")
        self._session = ANY_SESSION
        try:
            body = (await self._exchange(Command.CONNECT_SESSION, secret)).body
            if len(body) >= 2:
                self._session = int.from_bytes(body[:2], "little")
                return
        except ZkRefused as error:
            if error.error == WRONG_PASSWORD:
                raise PasswordRefused from error
        self._session = None
        try:
            await self._exchange(Command.CONNECT, secret)
        except ZkRefused as error:
            raise PasswordRefused if error.error == WRONG_PASSWORD else error from error

    async def disconnect(self) -> None:
        """End the session; the controller has room for few."""
        await self._ask(Command.DISCONNECT, b"")

    async def parameters(self, names: Sequence[str]) -> dict[str, str]:
        """Values of at most 30 parameters."""
        return parameters(await self._ask(Command.GET_PARAMETERS, ",".join(names).encode("ascii")))

    async def output(self, output: int, address: Address, seconds: int) -> None:
        """Switch a door's lock or an auxiliary output: 0 off, 1..254 seconds, 255 for good."""
        await self._ask(Command.CONTROL, control_output(output, address, seconds))

    async def log(self) -> list[Record]:
        """Take what the controller has to tell since the last time, oldest first."""
        try:
            if not self._text_log:
                payload = await self._ask(Command.LOG_BINARY, b"")
                if len(payload) % 16 == 0:
                    return decode_records(payload)
                self._text_log = True  # newer firmware: one record a reply, as text
            record = decode_text(await self._ask(Command.LOG_TEXT, b""))
        except FrameError as error:
            self._counts["bad_frames"] += 1
            raise DeviceOffline("NO_ANSWER", "the controller's log makes no sense") from error
        return [record] if record is not None else []

    async def _ask(self, command: Command, payload: bytes) -> bytes:
        frame = await self._exchange(command, payload)
        try:
            session, _, answer = split_session(frame.body, session=self._session is not None and bool(frame.body))
        except FrameError as error:
            raise self._senseless() from error
        if self._session is not None and session not in (None, self._session):
            raise self._senseless()
        return answer

    def _senseless(self) -> DeviceOffline:
        self._counts["bad_frames"] += 1
        return DeviceOffline("NO_ANSWER", "the controller answered in another session")

    async def _exchange(self, command: Command, payload: bytes) -> Frame:
        if not self._in_step:
            raise DeviceOffline("NO_ANSWER", "an answer of the controller is still under way")
        self._in_step = False  # until the answer is here; a cancelled question leaves it so, and ends the connection
        for _ in range(SPOILED_TRIES):
            self._counts["commands"] += 1
            await self._port.write(encode_frame(command, session_header(self._session, self._number) + payload))
            self._number = (self._number + 1) & 0xFFFF
            frame = await self._receive()
            if frame is None:
                continue  # the answer came and was spoiled: nothing is under way, and every question may be asked again
            self._in_step = True
            if frame.command == REPLY_ERROR:
                raise ZkRefused(int.from_bytes(frame.body[-1:] or b"\0", "big", signed=True))
            return frame
        raise DeviceOffline("NO_ANSWER", "the controller's answers are spoiled on the way")

    async def _receive(self) -> Frame | None:
        """The next answer, None where it came with a wrong CRC."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + ANSWER_S
        spoiled = self._framer.bad_checks
        try:
            async with asyncio.timeout_at(deadline):
                while True:
                    for frame in self._framer.receive(await self._port.read(4096)):
                        if frame.command in (REPLY_OK, REPLY_ERROR):
                            self._counts["frames"] += 1
                            self.heard_ns = time.monotonic_ns()
                            return frame
                    if self._framer.bad_checks > spoiled and not self._framer.pending:
                        self._counts["bad_frames"] += 1
                        return None
        except TimeoutError as error:
            self._counts["timeouts"] += 1
            self._framer.idle()
            raise DeviceOffline("NO_ANSWER", "the controller does not answer") from error
