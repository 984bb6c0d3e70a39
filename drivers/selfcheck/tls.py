"""TLS of a listener: its certificate as it is on disk now."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

from drivers.selfcheck.listeners import TlsFiles

__all__ = ["Certificate"]

log = logging.getLogger(__name__)

_LOOK_S = 1.0
"""How often the files are looked at, seconds: a renewed certificate may wait that long."""

_Marks = tuple[tuple[int, int, int], ...]


class Certificate:
    """The context for the next handshake; TLS 1.2 or later, a client certificate where an authority is named.

    Raises OSError (ssl.SSLError is one) where the files cannot be used at the start; later ones that cannot be used are
    logged and the former stay in force, because a certificate and its key are never replaced at the very same instant.
    """

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._marks = self._look()
        self._context = _context(files)
        self._looked_at = float("-inf")

    def context(self, now: float) -> ssl.SSLContext:
        """The context in force at `now`, seconds of a clock that only goes forward."""
        if now - self._looked_at >= _LOOK_S:
            self._looked_at = now
            self._take_up()
        return self._context

    def _take_up(self) -> None:
        try:
            marks = self._look()
            if marks == self._marks:
                return
            self._marks = marks
            self._context = _context(self._files)
            log.info("TLS certificate %s: changed on disk, taken up", self._files.certificate.name)
        except OSError as error:
            log.warning("TLS certificate %s: not usable, the former stays: %s", self._files.certificate.name, error)

    def _look(self) -> _Marks:
        paths = (self._files.certificate, self._files.key, self._files.client_ca)
        return tuple(_mark(path) for path in paths if path is not None)


def _mark(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size, found.st_ino


def _context(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(files.certificate, files.key)
    if files.client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cafile=str(files.client_ca))
    return context
