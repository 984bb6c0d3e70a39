"""A control panel with the PyPI package osdp 1.6 (Apache-2.0), run by its own environment's Python; nothing of ours is imported here.

Given as JSON on standard input: port (path) or tcp ([host, port]), address, master_key (hex, empty = no secure channel), seconds. It
polls, opens output 0 for 2.5 s at the first card, and prints as JSON what it saw.
"""

import json
import logging
import os
import sys
import time

from osdp import (
    ControlPanel,
    OutputControl,
    OutputControlCode,
    OutputControls,
    SerialPortOsdpConnection,
    TcpClientOsdpConnection,
)


class Panel(ControlPanel):
    def __init__(self, master_key):
        super().__init__(master_key)
        self.cards, self.naks = [], 0

    def on_raw_card_data_reply_received(self, address, raw_card_data):
        self.cards.append([raw_card_data.reader_number, raw_card_data.bit_count, bytes(raw_card_data.data).hex()])

    def on_nak_reply_received(self, address, nak):
        self.naks += 1


def main() -> None:
    given = json.load(sys.stdin)
    logging.disable(logging.CRITICAL)
    key = bytes.fromhex(given["master_key"])
    panel = Panel(key or None)
    serial = "port" in given
    connection = SerialPortOsdpConnection(given["port"], 9600) if serial else TcpClientOsdpConnection(*given["tcp"])
    bus = panel.start_connection(connection)
    panel.add_device(bus, given["address"], True, bool(key))
    device = panel._buses[bus]._configured_devices[given["address"]]
    found = {"secure": False, "default_key": False, "opened": False}
    end = time.monotonic() + given["seconds"]
    while time.monotonic() < end and not found["opened"]:
        time.sleep(0.05)
        if key:
            # the default key counts only as the way to our own
            found["default_key"] = found["default_key"] or device.is_scbkd
            found["secure"] = device.is_security_established and not device.is_scbkd
        if panel.cards:
            order = OutputControls([OutputControl(0, OutputControlCode.TemporaryStateOnResumePermanentState, 25)])
            found["opened"] = panel.output_control(bus, given["address"], order)
    print(json.dumps({**found, "cards": panel.cards, "naks": panel.naks}), flush=True)
    os._exit(0)  # the package's polling thread opens its port again for ever


if __name__ == "__main__":
    main()
