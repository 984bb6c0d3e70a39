"""Orders to an OSDP cardreader as libosdp takes them: outputs, light, buzzer (IEC 60839-11-5, osdp_OUT, osdp_LED, osdp_BUZ)."""

from __future__ import annotations

from typing import Any

import osdp

__all__ = ["buzzer", "led", "output", "rest"]

_OFF_FOR_GOOD, _ON_FOR_GOOD, _ON_FOR, _OFF_FOR = 1, 2, 5, 6
"""Output control codes: 01 and 02 set the permanent state and end a timed one, 05 and 06 go back to it after the timer."""
_COLOURS = {
    "off": osdp.CommandLEDColor.Black,
    "red": osdp.CommandLEDColor.Red,
    "green": osdp.CommandLEDColor.Green,
    "amber": osdp.CommandLEDColor.Amber,
    "blue": osdp.CommandLEDColor.Blue,
}


def output(number: int, on: bool, tenths: int) -> dict[str, Any]:
    """Switch an output for ``tenths`` of a second, or for good (0)."""
    timed, for_good = (_ON_FOR, _ON_FOR_GOOD) if on else (_OFF_FOR, _OFF_FOR_GOOD)
    return {
        "command": osdp.Command.Output,
        "output_no": number,
        "control_code": timed if tenths else for_good,
        "timer_count": tenths,
    }


def rest(number: int, active_low: bool) -> dict[str, Any]:
    """Put an output at rest for good."""
    return output(number, active_low, 0)


def led(reader_no: int, colour: str, tenths: int) -> dict[str, Any]:
    """Show a colour for so long, then whatever the cardreader showed before."""
    return {
        "command": osdp.Command.LED,
        "reader": reader_no,
        "led_number": 0,
        "control_code": 2,
        "on_count": min(tenths, 255),
        "off_count": 0,
        "on_color": _COLOURS[colour],
        "off_color": osdp.CommandLEDColor.Black,
        "timer_count": tenths,
        "temporary": True,
    }


def buzzer(reader_no: int, beeps: int) -> dict[str, Any]:
    """Sound so many times, a tenth of a second each."""
    return {
        "command": osdp.Command.Buzzer,
        "reader": reader_no,
        "control_code": 2,
        "on_count": 1,
        "off_count": 1,
        "rep_count": beeps,
    }
