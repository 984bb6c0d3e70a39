"""What library RFID tags say: ISO 28560-2, -3 and -4, the Chinese university format and the 3M item, without I/O."""

from protocols.iso28560.errors import BadTagCheck, BlankTag, LocalTagError, TagError, UnreadableTag
from protocols.iso28560.part3 import BasicBlock, Extension, decode_part3, encode_part3, pad_to_blocks
from protocols.iso28560.tag import DEFAULT_AFI, AfiPair, AfiState, TagContent, TagFormat, decode_tag

__all__ = [
    "DEFAULT_AFI",
    "AfiPair",
    "AfiState",
    "BadTagCheck",
    "BasicBlock",
    "BlankTag",
    "Extension",
    "LocalTagError",
    "TagContent",
    "TagError",
    "TagFormat",
    "UnreadableTag",
    "decode_part3",
    "decode_tag",
    "encode_part3",
    "pad_to_blocks",
]
