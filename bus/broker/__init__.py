"""Brokers behind one port: embedded (`iotcore`), supervised (`mosquitto`), somebody else's (`external`).

All are held to one conformance suite (tests/contract/broker); use nothing that one of them cannot do.
"""

from __future__ import annotations

from bus.broker.external import ExternalBroker
from bus.broker.iotcore import IotcoreBroker
from bus.broker.mosquitto import MosquittoBroker, find_mosquitto
from bus.broker.provider import BrokerProvider
from bus.errors import WrongUse

__all__ = ["BrokerProvider", "ExternalBroker", "IotcoreBroker", "MosquittoBroker", "find_mosquitto", "make_broker"]


def make_broker(kind: str, *, tcp_port: int = 0, url: str | None = None) -> BrokerProvider:
    """The provider of this kind; `url` for `external`, `tcp_port` (0: any free one) for the others. Raises WrongUse."""
    if kind == "iotcore":
        return IotcoreBroker(tcp_port)
    if kind == "mosquitto":
        return MosquittoBroker(tcp_port)
    if kind == "external" and url is not None:
        return ExternalBroker(url)
    raise WrongUse("a broker is iotcore, mosquitto, or external with a URL")
