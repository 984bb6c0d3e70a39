"""Self-check kiosks: the library system's SIP2 server, its replies as plain values, and a SIP2 client."""

from drivers.selfcheck.client import Sip2Client, Unreachable
from drivers.selfcheck.kiosk import Account, Handler, KioskSession, Reply, Trim
from drivers.selfcheck.listeners import Listener, TlsFiles
from drivers.selfcheck.replies import (
    CheckinResult,
    CheckoutResult,
    EndResult,
    FeeResult,
    HoldResult,
    ItemResult,
    ItemUpdateResult,
    ReaderResult,
    RenewAllResult,
    StatusResult,
    refusal,
)
from drivers.selfcheck.sip2 import Limits, Sip2Server, Stats
from drivers.selfcheck.throttle import LoginThrottle
from drivers.selfcheck.tracing import TraceLine, Tracer

__all__ = [
    "Account",
    "CheckinResult",
    "CheckoutResult",
    "EndResult",
    "FeeResult",
    "Handler",
    "HoldResult",
    "ItemResult",
    "ItemUpdateResult",
    "KioskSession",
    "Limits",
    "Listener",
    "LoginThrottle",
    "ReaderResult",
    "RenewAllResult",
    "Reply",
    "Sip2Client",
    "Sip2Server",
    "Stats",
    "StatusResult",
    "TlsFiles",
    "TraceLine",
    "Tracer",
    "Trim",
    "Unreachable",
    "refusal",
]
