"""What can go wrong between this program and a broker: who was wrong, and whether to try again.

`retry` says whether the same call may succeed later without anybody changing anything.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "BrokerFailed",
    "BrokerMissing",
    "BusError",
    "ConnectFailed",
    "ConnectRefused",
    "LinkDown",
    "PortTaken",
    "PublishRefused",
    "QueueFull",
    "RequestRefused",
    "RequestTimeout",
    "SubscribeRefused",
    "TooLarge",
    "WrongUse",
]


class BusError(Exception):
    """Something between us and the bus went wrong; `code` is stable, `fields` name the place."""

    code: ClassVar[str] = "BUS_ERROR"
    retry: ClassVar[bool] = False

    def __init__(self, message: str, **fields: str | int) -> None:
        super().__init__(message)
        self.fields = fields


class WrongUse(BusError):
    """Our own program asked for something impossible: an address that is none, a filter subscribed twice."""

    code = "BUS_WRONG_USE"


class TooLarge(WrongUse):
    """The payload is above the bound of the bus."""

    code = "BUS_TOO_LARGE"


class QueueFull(BusError):
    """As many messages wait for their PUBACK as may wait; slow down."""

    code = "BUS_QUEUE_FULL"
    retry = True


class LinkDown(BusError):
    """There is no connection, or it ended while we waited; what was waiting may or may not have arrived."""

    code = "BUS_LINK_DOWN"
    retry = True


class ConnectFailed(LinkDown):
    """Nobody answered at the broker's address, or not in time."""

    code = "BUS_CONNECT_FAILED"


class ConnectRefused(BusError):
    """The broker answered CONNECT with a refusal; `fields["reason"]` is the MQTT 5 reason code."""

    code = "BUS_CONNECT_REFUSED"


class PublishRefused(BusError):
    """The broker answered PUBLISH with a negative PUBACK; `fields["reason"]` is the MQTT 5 reason code (0x80 and above)."""

    code = "BUS_PUBLISH_REFUSED"


class SubscribeRefused(BusError):
    """The broker refused a subscription; `fields["reason"]` is the MQTT 5 reason code."""

    code = "BUS_SUBSCRIBE_REFUSED"


class RequestTimeout(BusError):
    """No reply came in time; the request may still have been carried out."""

    code = "BUS_REQUEST_TIMEOUT"
    retry = True


class RequestRefused(BusError):
    """The peer answered that it will not; `reply_code` is its code."""

    code = "BUS_REQUEST_REFUSED"

    def __init__(self, reply_code: str, message: str = "") -> None:
        super().__init__(message or reply_code, reply_code=reply_code)
        self.reply_code = reply_code


class BrokerMissing(BusError):
    """This kind of broker is not installed here."""

    code = "BUS_BROKER_MISSING"


class PortTaken(BusError):
    """Another program already listens on the broker's port."""

    code = "BUS_PORT_TAKEN"


class BrokerFailed(BusError):
    """The broker did not come up, or died."""

    code = "BUS_BROKER_FAILED"
    retry = True
