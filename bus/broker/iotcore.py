"""The embedded broker: rumqttd from the `iotcore` package, MQTT 5, loopback only.

It has no ACL and does not check client certificates, so it never listens beyond the loopback; messages are signed instead. rumqttd
keeps recent messages of every filter in memory segments and forgets the oldest: the outbox sends again what was forgotten.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from bus.broker.provider import HOST, MAX_PACKET, ChildBroker, python
from bus.errors import BrokerMissing

__all__ = ["IotcoreBroker"]

# The listener must be a [v5.…] table: rumqttd's other tables, and iotcore's own defaults, speak MQTT 3.1.1 and bind 0.0.0.0.
# connection_timeout_ms is a u16. A segment is allocated per subscribed filter: 4 x 1 MiB holds a window of 8 x 16 KB of 32 edges.
_TOML = """\
id = 0

[router]
id = 0
max_connections = 1010
max_outgoing_packet_count = 200
max_segment_size = 1048576
max_segment_count = 4

[v5.1]
name = "v5-1"
listen = "{host}:{tcp_port}"
next_connection_delay_ms = 1
    [v5.1.connections]
    connection_timeout_ms = 5000
    max_payload_size = {max_payload}
    max_inflight_count = 100
    dynamic_filters = false
"""


class IotcoreBroker(ChildBroker):
    """rumqttd in a child process; state lives in memory and ends with it."""

    kind: ClassVar[str] = "iotcore"
    config_name: ClassVar[str] = "broker.toml"  # rumqttd goes by the name's end

    def _config(self, tcp_port: int, folder: Path) -> str:
        return _TOML.format(host=HOST, tcp_port=tcp_port, max_payload=MAX_PACKET)

    def _command(self, config: Path) -> Sequence[str]:
        if importlib.util.find_spec("iotcore") is None:
            raise BrokerMissing(
                "the embedded broker is not installed; install tongjie[hub] or give the URL of a broker"
            )
        return python("bus.broker.iotcore_child", str(config))
