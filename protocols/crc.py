"""The CRC-16s of tags and card readers, each by its standard name.

All three run in C: `binascii.crc_hqx` is polynomial 1021 without reflection, and the reflected polynomial 8408 is the same
division over bit-reversed bytes.
"""

from binascii import crc_hqx

__all__ = ["crc_gen2", "crc_ibm3740", "crc_mcrf4xx"]

_REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def crc_ibm3740(data: bytes) -> int:
    """Return the CRC of ISO 28560-3: poly 1021, init FFFF, not reflected, no xorout (check value 29B1)."""
    return crc_hqx(data, 0xFFFF)


def crc_gen2(data: bytes) -> int:
    """Return the CRC of EPC Gen2 (Annex F) and of the 3M frame: poly 1021, init FFFF, xorout FFFF (check value D64E)."""
    return crc_hqx(data, 0xFFFF) ^ 0xFFFF


def crc_mcrf4xx(data: bytes) -> int:
    """Return the CRC of FEIG, UHFReader18 and CF frames: poly 8408 reflected, init FFFF, no xorout (check value 6F91)."""
    crc = crc_hqx(data.translate(_REVERSED_BITS), 0xFFFF)
    return _REVERSED_BITS[crc & 0xFF] << 8 | _REVERSED_BITS[crc >> 8]
