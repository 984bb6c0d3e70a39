"""PC/SC: what an ATR says of a card, the one APDU that asks for its number, and the frames of vpcd's virtual cardreader."""

from __future__ import annotations

from protocols.pcsc.apdu import GET_UID, Answer, ApduError, parse_answer
from protocols.pcsc.atr import Atr, AtrError, parse_atr
from protocols.pcsc.vpcd import Apdu, AskAtr, CardEnd, HostEnd, PowerOff, PowerOn, Request, Reset, VpcdError

__all__ = [
    "GET_UID", "Answer", "Apdu", "ApduError", "AskAtr", "Atr", "AtrError", "CardEnd", "HostEnd", "PowerOff", "PowerOn", "Request",
    "Reset", "VpcdError", "parse_answer", "parse_atr",
]  # fmt: skip
