"""What the fields of FEIG frames may hold, and the order of the bytes in a block."""

from protocols.frames import LocalFrameError

__all__ = ["check_byte", "check_uid", "reverse_blocks"]


def check_byte(name: str, value: int) -> None:
    """Raise `LocalFrameError` unless `value` fits one byte."""
    if not 0 <= value <= 0xFF:
        raise LocalFrameError(f"{name} must be 0..255, not {value}")


def check_uid(uid: str | None) -> None:
    """Raise `LocalFrameError` unless `uid` is None or 16 upper-case hex digits."""
    if uid is not None and (len(uid) != 16 or not set(uid) <= set("0123456789ABCDEF")):
        raise LocalFrameError("a UID is 16 upper-case hex digits")


def reverse_blocks(data: bytes, block_size: int) -> bytes:
    """Return `data` with the bytes of each block in the opposite order (its own inverse)."""
    return b"".join(data[at : at + block_size][::-1] for at in range(0, len(data), block_size))
