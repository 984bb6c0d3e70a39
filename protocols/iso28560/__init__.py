"""What library RFID tags say: ISO 28560-2, -3 and -4, the Chinese university format and the 3M item, without I/O."""

from protocols.iso28560.content import DEFAULT_AFI, AfiPair, AfiState, TagContent, TagFormat
from protocols.iso28560.encode import Conversion, convert, image_of
from protocols.iso28560.errors import BadTagCheck, BlankTag, LocalTagError, TagError, UnreadableTag
from protocols.iso28560.image import TagImage
from protocols.iso28560.part3 import BasicBlock, Extension, decode_part3, encode_part3, pad_to_blocks
from protocols.iso28560.recognise import Recognition, recognise_hf, recognise_uhf
from protocols.iso28560.tag import decode_tag
from protocols.iso28560.uhf import decode_uhf, identity, secured_of, with_security

__all__ = [
    "DEFAULT_AFI",
    "AfiPair",
    "AfiState",
    "BadTagCheck",
    "BasicBlock",
    "BlankTag",
    "Conversion",
    "Extension",
    "LocalTagError",
    "Recognition",
    "TagContent",
    "TagError",
    "TagFormat",
    "TagImage",
    "UnreadableTag",
    "convert",
    "decode_part3",
    "decode_tag",
    "decode_uhf",
    "encode_part3",
    "identity",
    "image_of",
    "pad_to_blocks",
    "recognise_hf",
    "recognise_uhf",
    "secured_of",
    "with_security",
]
