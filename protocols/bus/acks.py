"""The order of MQTT acknowledgements, for a receiver that acks after its own commit.

A receiver must send PUBACK in the order in which the PUBLISH packets came (MQTT 5.0 §4.6, [MQTT-4.6.0-2]). mosquitto forgives another
order; rumqttd closes the connection. Handlers finish in any order, so the acks wait here for their turn.
"""

from __future__ import annotations

__all__ = ["AckOrder"]


class AckOrder:
    """Packet identifiers of one connection, received and not yet acknowledged. A new connection begins with a new one."""

    def __init__(self) -> None:
        self._done: dict[int, bool] = {}  # in order of arrival

    def __len__(self) -> int:
        return len(self._done)

    def received(self, mid: int) -> None:
        """A PUBLISH with this identifier came; one that comes again while it waits keeps its place."""
        self._done.setdefault(mid, False)

    def done(self, mid: int) -> list[int]:
        """The application is done with it: the identifiers whose PUBACK is to be sent now, in order. Saying it twice gives nothing."""
        if mid not in self._done:
            return []
        self._done[mid] = True
        ready: list[int] = []
        for waiting, finished in self._done.items():
            if not finished:
                break
            ready.append(waiting)
        for acked in ready:
            del self._done[acked]
        return ready
