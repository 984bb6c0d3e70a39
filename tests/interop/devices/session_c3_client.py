"""A host with the PyPI package zkaccess-c3 0.0.15 (GPL-3.0, so only ever a process of its own); nothing of ours is imported.

Given as JSON on standard input: host, tcp_port, password, polls. It asks for the log, opens door 1 for 5 s at the first card, and
prints as JSON what it read.
"""

import json
import sys
import time

from c3 import C3
from c3.consts import ControlOutputAddress
from c3.controldevice import ControlDeviceOutput
from c3.rtlog import EventRecord


def main() -> None:
    given = json.load(sys.stdin)
    panel = C3(given["host"], given["tcp_port"])
    found = {"connected": bool(panel.connect(given["password"] or None)), "events": [], "sensors": [], "opened": False}
    if found["connected"]:
        found["firmware"], found["locks"], found["session"] = (
            panel.firmware_version,
            panel.nr_of_locks,
            not panel._session_less,
        )
        for _ in range(given["polls"]):
            for record in panel.get_rt_log():
                if isinstance(record, EventRecord):
                    way = int(record.in_out_state)
                    found["events"].append([int(record.event_type), record.port_nr, record.card_no, way])
                else:
                    found["sensors"] = [int(record.door_sensor_status(door)) for door in (1, 2)]
            if found["events"] and not found["opened"]:
                # the package's own command, without its thread that counts the seconds after us
                panel._send_receive(5, ControlDeviceOutput(1, ControlOutputAddress.DOOR_OUTPUT, 5).to_bytes())
                found["opened"] = True
            time.sleep(0.05)
        panel.disconnect()
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
