"""An authority and a server's certificate of it, made for one test."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from tongjie.demo.certificates import make_authority, make_certificate

__all__ = ["files"]


def files(folder: Path, host: str = "127.0.0.1") -> tuple[Path, Path, Path]:
    """Authority, certificate and key as PEM files."""
    now = datetime.now(UTC)
    authority = make_authority("A test's authority", now - timedelta(minutes=5), days=2)
    certificate, key = make_certificate(authority, [ip_address(host)], now - timedelta(minutes=5), days=1)
    out = folder / "ca.pem", folder / "server.pem", folder / "server.key"
    for path, data in zip(out, (authority.certificate, certificate, key), strict=True):
        path.write_bytes(data)
    return out
