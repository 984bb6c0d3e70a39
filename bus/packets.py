"""What a client may ask a broker to publish: now, or when the client vanishes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

__all__ = ["Outgoing", "Will"]


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker publishes when this client vanishes; QoS 1."""

    topic: str
    payload: bytes
    retain: bool


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to publish; `expiry_s` is whole seconds."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    correlation: bytes | None = None
    response_topic: str | None = None
    expiry_s: int | None = None
    user_properties: Sequence[tuple[str, str]] = ()

    def size(self) -> int:
        """Bytes of its packet, at the most."""
        texts = [self.topic, self.response_topic or "", *(word for pair in self.user_properties for word in pair)]
        return len(self.payload) + len(self.correlation or b"") + sum(len(text.encode()) + 5 for text in texts) + 32

    def properties(self) -> Properties | None:
        """Its MQTT 5 properties (§3.3.2.3); None where it has none."""
        if (self.correlation, self.response_topic, self.expiry_s) == (None, None, None) and not self.user_properties:
            return None
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho has no types here
        if self.correlation is not None:
            properties.CorrelationData = self.correlation
        if self.response_topic is not None:
            properties.ResponseTopic = self.response_topic
        if self.expiry_s is not None:
            properties.MessageExpiryInterval = self.expiry_s
        if self.user_properties:
            properties.UserProperty = list(self.user_properties)
        return properties
