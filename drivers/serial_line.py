"""A serial line or pty, opened for ourselves alone; the one place that knows pyserial's own ways."""

from __future__ import annotations

import errno
import os
import stat
import termios

import serial

__all__ = ["Line", "open_line", "tell_empty_from_gone"]


class Line(serial.Serial):  # type: ignore[misc]  # pyserial has no types
    """pyserial's own `write` asks again and again while a line takes nothing: one deaf device would stop the whole edge."""

    def write(self, data: bytes) -> int:
        """Send what fits; raises `BlockingIOError` for nothing, and the transport waits until the line takes more."""
        return os.write(self.fd, data)


def open_line(path: str, baudrate: int, parity: str, *, pty: bool) -> Line:
    """Open it, non-blocking and exclusive; raises `OSError` (pyserial's errors are) or `termios.error`."""
    if pty or os.path.realpath(path).startswith("/dev/pts/"):
        # Linux drops PARENB on a pty; setting it a second time then fails with EINVAL
        parity = "N"
    if not stat.S_ISCHR(os.stat(path).st_mode):
        raise OSError(errno.ENODEV, "not a character device")
    return Line(path, baudrate=baudrate, parity=parity, exclusive=True, timeout=0, write_timeout=0)


def tell_empty_from_gone(fd: int) -> None:
    """With pyserial's VMIN 0 an empty line reads as b"", exactly as a hang-up does; with 1 it is EAGAIN."""
    os.set_blocking(fd, False)
    attributes = termios.tcgetattr(fd)
    attributes[6][termios.VMIN] = 1
    termios.tcsetattr(fd, termios.TCSANOW, attributes)
