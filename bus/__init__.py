"""The bus with I/O: the MQTT 5 transport, request and reply over it, and the brokers that can carry it.

Used by edge and hub alike; what is said on the bus is defined in `protocols.bus`.
"""

from bus.ask import Answerer, Asker
from bus.errors import (
    BrokerFailed,
    BrokerMissing,
    BusError,
    ConnectFailed,
    ConnectRefused,
    LinkDown,
    PortTaken,
    PublishRefused,
    QueueFull,
    RequestRefused,
    RequestTimeout,
    SubscribeRefused,
    TooLarge,
    WrongUse,
)
from bus.rpc import Request, Requester, Responder
from bus.transport import Handler, Incoming, Session, Stats, Transport

__all__ = [
    "Answerer",
    "Asker",
    "BrokerFailed",
    "BrokerMissing",
    "BusError",
    "ConnectFailed",
    "ConnectRefused",
    "Handler",
    "Incoming",
    "LinkDown",
    "PortTaken",
    "PublishRefused",
    "QueueFull",
    "Request",
    "RequestRefused",
    "RequestTimeout",
    "Requester",
    "Responder",
    "Session",
    "Stats",
    "SubscribeRefused",
    "TooLarge",
    "Transport",
    "WrongUse",
]
