"""Wiegand numbers as cardreaders send them: bits with their parity, left-aligned in bytes.

26 bits (H10301), 34 and 37 bits (H10304), and every other width that is built alike: one even parity bit before the number over
its first half, one odd parity bit behind it over its last half; with an odd number of data bits the middle one counts for both.
Widths in use without parity (32, 56, 64 bits: a chip's number as it is) are told apart by the caller, because no bit says so.
"""

from __future__ import annotations

from protocols.wiegand.bits import (
    MAX_BITS,
    PARITY_WIDTHS,
    LocalWiegandError,
    WiegandBits,
    WiegandError,
    encode,
    facility_and_number,
    has_parity,
)
from protocols.wiegand.lines import Check, Dialect, LineReceiver, LineSettings, Reading, encode_reading

__all__ = [
    "MAX_BITS",
    "PARITY_WIDTHS",
    "Check",
    "Dialect",
    "LineReceiver",
    "LineSettings",
    "LocalWiegandError",
    "Reading",
    "WiegandBits",
    "WiegandError",
    "encode",
    "encode_reading",
    "facility_and_number",
    "has_parity",
]
