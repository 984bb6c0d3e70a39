"""Devices that only talk: text lines ended by CR and LF, and frames between STX and ETX, cut out of a byte stream without I/O."""

from protocols.lines.line import LineFramer
from protocols.lines.stx import Check, StxFramer

__all__ = ["Check", "LineFramer", "StxFramer"]
