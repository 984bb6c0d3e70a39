"""UHFReader18 and UHFReader288 RFID readers, and the many devices that speak like them, with EPC Gen2 tags."""

from __future__ import annotations

from drivers.base import Command, DeviceRefused, Driver, Options, Signal
from drivers.port import Port
from drivers.rfid.polling import PollingPad
from drivers.rfid.uhf.gen2 import Before
from drivers.rfid.uhf.link import UhfLink
from drivers.rfid.uhf.options import settings_of
from drivers.rfid.uhf.settings import UhfSettings

__all__ = ["UhfPad", "UhfSettings", "build"]

BAUD = 57600


class UhfPad(PollingPad):
    """A UHF pad; beyond every pad's it sounds by `Signal`. What half-written tags held before outlives a lost line.

    Where its antennas refuse for good it is degraded: ANTENNA_REFUSED (not connected, or it has no such antenna) or
    INVENTORY_REFUSED; then only the tags of the others are told.
    """

    def __init__(self, device: str, url: str, settings: UhfSettings, *, poll_ms: int = 250) -> None:
        undo: dict[str, Before] = {}
        self._uhf: UhfLink | None = None

        def link(port: Port) -> UhfLink:
            self._uhf = UhfLink(port, settings, undo)
            return self._uhf

        super().__init__(
            device, url, kind="uhfreader18", link=link, baudrate=BAUD, poll_ms=poll_ms, commands=frozenset({"Signal"})
        )

    def _judge(self, erred: bool) -> None:
        if self._uhf is None or not self._uhf.trouble:
            super()._judge(erred)
            return
        self._errors.clear()  # these were refusals, not noise
        self._tell("degraded", self._uhf.trouble)
        if self._uhf.deaf and self._tags:  # nobody knows what lies there now
            self._sightings.forget()
            self._show(())

    async def execute(self, command: Command) -> None:
        """Carry out `Signal`: its beeps; raises `DeviceRefused` UNSUPPORTED for other commands, `DeviceOffline`."""
        if not isinstance(command, Signal):
            raise DeviceRefused("UNSUPPORTED", f"a UHF pad does not take {type(command).__name__}")
        async with self._one_at_a_time:
            self.require_link()
            if self._uhf is not None and command.beeps:
                await self._uhf.beep(command.beeps, 1)


def build(device: str, url: str, options: Options) -> Driver:
    """Make a driver of an UHFReader18/288 (57600 8N1 unless the URL says otherwise).

    Options: ``poll_ms`` (20..5000); ``address`` (0..254, 255 = whichever answers); ``family`` ("auto", "18", "288": auto goes by
    the length of its information); ``tid`` ("auto" = by FastID where chip and device have it, else read; "read"; "never" = tags are
    named by their EPC); ``afi_secured``, ``afi_on_loan`` (0x07 and 0xC2); of the 288 family ``antennas`` ("1" or "1,2": those under
    this pad; only "1" where the device does not let an antenna be chosen), ``q`` (0..15, 2**q is about the number of tags),
    ``scan_ms`` (100..25500 an antenna; 18: its own setting is changed) and ``rssi_floor`` (0..255 in the device's unit: weaker tags
    lie elsewhere); ``power_dbm`` (0..30); ``password`` (8 hex digits, the tags' access password). Raises `ConfigurationError`
    UNKNOWN_OPTION, BAD_OPTION, BAD_POLL, BAD_URL.
    """
    settings, poll_ms = settings_of(options)
    return UhfPad(device, url, settings, poll_ms=poll_ms)
