"""The small library of the server's own tests, and kiosks that are sockets."""

from __future__ import annotations

from tests.drivers.selfcheck.conftest import place

__all__ = ["place"]
