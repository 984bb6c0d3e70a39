"""A FEIG ISO 15693 pad as a driver: the pad of all families over a FEIG line, with its outputs and inputs."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from drivers.base import (
    Command,
    ConfigurationError,
    DeviceRefused,
    InputChanged,
    SetOutput,
    Signal,
)
from drivers.port import Port
from drivers.rfid.feig.line import AskedForm
from drivers.rfid.feig.link import AskedMode, FeigLink
from drivers.rfid.link import TagLink
from drivers.rfid.polling import PollingPad
from protocols.feig import (
    InputsRequest,
    OutputChange,
    SetOutputRequest,
    SetOutputsRequest,
    StatusError,
)
from protocols.iso28560 import DEFAULT_AFI, AfiPair

__all__ = ["FeigPad", "output_changes"]

INPUTS = 3
INPUTS_EVERY_S = 0.5
FOREVER = 0xFFFF
_RELAY, _BUZZER, _LED = 0x80, 0x40, 0x20
_ON, _OFF = 0x01, 0x02
_GREEN, _RED, _BEEPER = 0, 2, 4
"""Bit positions of two bits each in the masks of [71] (H20800, 6.8): 01 on, 10 off, 11 flash."""
_COLOURS = {"green": (_GREEN,), "red": (_RED,), "amber": (_GREEN, _RED), "blue": (_GREEN,), "off": ()}
BEEP_TENTHS = 2


class FeigPad(PollingPad):
    """FEIG CPR/MR/LR pad over a port (38400 8E1 unless the URL says otherwise).

    ``afi_pair`` is what the site calls secured and on loan; ``form`` and ``mode`` as in `FeigLink`; ``inputs`` asks after the input
    contacts twice a second. Raises `ConfigurationError`.
    """

    def __init__(
        self,
        device: str,
        url: str,
        *,
        afi_pair: AfiPair = DEFAULT_AFI,
        poll_ms: int = 250,
        address: int = 0xFF,
        form: AskedForm = "auto",
        mode: AskedMode = "auto",
        eas: bool = True,
        lock: bool = False,
        inputs: bool = False,
        valid_ms: int = 1000,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        if not 0 <= address <= 0xFF:
            raise ConfigurationError("BAD_ADDRESS", "a FEIG address is 0 to 255")
        if not 0 <= valid_ms <= 60_000:
            raise ConfigurationError("BAD_OPTION", "valid_ms is 0 to 60000")

        def link(port: Port) -> TagLink:
            return FeigLink(
                port, address=address, form=form, mode=mode, pair=afi_pair, eas=eas, lock=lock, valid_ms=valid_ms
            )

        super().__init__(
            device, url, kind="feig", link=link, baudrate=38400, parity="E", poll_ms=poll_ms, uniform=uniform,
            events=frozenset({"InputChanged"}) if inputs else frozenset(), commands=frozenset({"SetOutput", "Signal"}),
        )  # fmt: skip
        self.afi_pair = afi_pair
        self._inputs = inputs
        self._inputs_at = 0.0
        self._states: dict[int, bool] = {}
        self._outputs_by_mask = False

    async def attend(self, link: TagLink) -> None:
        """Ask after the inputs, where that is wanted and the device has them."""
        if not self._inputs or time.monotonic() < self._inputs_at or not isinstance(link, FeigLink):
            return
        self._inputs_at = time.monotonic() + INPUTS_EVERY_S
        try:
            reply = await link.line.ask(InputsRequest())
        except StatusError:
            self._inputs = False  # this model has none
            return
        for number in range(INPUTS):
            active = reply.active(number)
            if self._states.get(number) is not active:
                self._states[number] = active
                self._emit(InputChanged(self.device, number, active, time.monotonic_ns()))

    async def execute(self, command: Command) -> None:
        """Carry out `SetOutput` or `Signal`; raises `DeviceOffline`, or `DeviceRefused` NOT_SUPPORTED, REFUSED."""
        if not isinstance(command, SetOutput | Signal):
            raise DeviceRefused("NOT_SUPPORTED", f"a FEIG pad does not take {type(command).__name__}")
        async with self._one_at_a_time:
            link = self.require_link()
            assert isinstance(link, FeigLink)
            try:
                if not self._outputs_by_mask:
                    try:
                        await link.line.ask(SetOutputRequest(output_changes(command)))
                        return
                    except StatusError as error:
                        if not error.code.startswith(("unknown", "length")):
                            raise
                        self._outputs_by_mask = True  # an older pad: masks instead of a list
                await link.line.ask(_masks(command))
            except StatusError as error:
                raise DeviceRefused("REFUSED", f"the pad answered {error.code} to an output") from error


def output_changes(command: SetOutput | Signal) -> tuple[OutputChange, ...]:
    """A command as the list of [72]: type and number of an output (20 LED, 40 buzzer, 80 relay; numbers from 1), mode, time.

    80 is held by a vector, 20 and 40 are general knowledge of the manuals of MR102 and later.
    """
    if isinstance(command, SetOutput):
        mode = _ON if command.on else _OFF
        return (OutputChange(_RELAY | (command.output_no + 1 & 0x3F), mode, command.tenths or FOREVER),)
    changes = [OutputChange(_LED | 1 + at // 2, _ON, command.tenths) for at in _COLOURS[command.colour]]
    if not changes:
        changes = [OutputChange(_LED | 1, _OFF, command.tenths), OutputChange(_LED | 2, _OFF, command.tenths)]
    if command.beeps:
        changes.append(OutputChange(_BUZZER | 1, _ON, command.beeps * BEEP_TENTHS))
    return tuple(changes)


def _masks(command: SetOutput | Signal) -> SetOutputsRequest:
    """A command as the masks of [71]; OS_TIME FFFF is for good, 1 ends that."""
    if isinstance(command, SetOutput):
        return SetOutputsRequest(0, 0, 0, (command.tenths or FOREVER) if command.on else 1)
    states = sum(_ON << at for at in _COLOURS[command.colour])
    if command.beeps:
        states |= _ON << _BEEPER
    return SetOutputsRequest(states or _OFF << _GREEN | _OFF << _RED, 0, command.tenths, 0)
