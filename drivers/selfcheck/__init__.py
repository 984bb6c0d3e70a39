"""Self-check kiosks: the library system's SIP2 server, its replies as plain values, and a SIP2 client."""

from drivers.selfcheck.client import Sip2Client, Unreachable
from drivers.selfcheck.kiosk import Account, Handler, KioskSession, Reply
from drivers.selfcheck.replies import (
    CheckinResult,
    CheckoutResult,
    EndResult,
    ItemResult,
    ReaderResult,
    RenewAllResult,
    StatusResult,
    refusal,
)
from drivers.selfcheck.sip2 import Limits, Sip2Server, Stats

__all__ = [
    "Account",
    "CheckinResult",
    "CheckoutResult",
    "EndResult",
    "Handler",
    "ItemResult",
    "KioskSession",
    "Limits",
    "ReaderResult",
    "RenewAllResult",
    "Reply",
    "Sip2Client",
    "Sip2Server",
    "Stats",
    "StatusResult",
    "Unreachable",
    "refusal",
]
