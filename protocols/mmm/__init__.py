"""3M 210/810 pads: frames and commands, both directions, without I/O."""

from protocols.mmm.commands import COMMANDS, ERRORS, Message, decode_message, encode_message
from protocols.mmm.frame import EARLY_START, START, Frame, Framer

__all__ = [
    "COMMANDS",
    "EARLY_START",
    "ERRORS",
    "START",
    "Frame",
    "Framer",
    "Message",
    "decode_message",
    "encode_message",
]
