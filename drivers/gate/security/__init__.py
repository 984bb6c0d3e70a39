"""Security gates that detect tags and count people: FEIG LRB25000 and its kind."""

from __future__ import annotations

from drivers.base import Driver, Options
from drivers.gate.security.gate import FeigGate
from drivers.gate.security.settings import GateSettings, settings_of
from drivers.port import parse_url

__all__ = ["FeigGate", "GateSettings", "build"]


def build(device: str, url: str, options: Options) -> Driver:
    """Make the driver of a security gate.

    ``url``: ``tcp:``, ``serial:``, ``pty:`` to a gate that waits for us, ``listen:HOST:PORT`` for a gate that connects. Options:
    ``mode`` (auto, push, poll), ``address`` (255 = any), ``poll_ms`` (500), ``acknowledge`` (true), ``keepalive_s`` (30),
    ``window_ms`` (5000), ``people`` (true), ``people_ms`` (5000), ``swap`` (false), ``inputs`` (false), ``tamper_input`` (0..2),
    ``selects`` (all, secured), ``alarm_block`` (60 hex digits); meanings in `GateSettings`.
    Raises `ConfigurationError` UNKNOWN_OPTION, BAD_OPTION, BAD_URL.
    """
    parse_url(url)
    return FeigGate(device, url, settings_of(options))
