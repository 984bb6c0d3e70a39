"""A relay board made of modbus-tk 1.1.5 (LGPL), run by its own environment's Python; nothing of ours is imported here.

Given as a line of JSON on standard input: port (path, RTU) or tcp_port (Modbus TCP on 127.0.0.1). It says a line when it listens.
When coil 0 goes on, discrete input 0 closes 0.3 s later for 0.2 s: somebody goes through. On end of input it prints what its coil 0
did, as JSON.
"""

import json
import os
import sys
import threading
import time

import modbus_tk.defines as cst
import serial
from modbus_tk import modbus_rtu, modbus_tcp


def main() -> None:
    given = json.loads(sys.stdin.readline())
    if "port" in given:
        server = modbus_rtu.RtuServer(serial.Serial(given["port"], 9600))
    else:
        server = modbus_tcp.TcpServer(port=given["tcp_port"], address="127.0.0.1")
    server.start()
    slave = server.add_slave(1)
    slave.add_block("coils", cst.COILS, 0, 8)
    slave.add_block("inputs", cst.DISCRETE_INPUTS, 0, 8)
    end = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), end.set()), daemon=True).start()
    print("{}", flush=True)
    log, was, passing = [], 0, None
    while not end.wait(0.01):
        on = slave.get_values("coils", 0, 1)[0]
        now = time.monotonic()
        if on != was:
            log.append([on, now])
            was = on
            if on:
                passing = now + 0.3
        if passing is not None:
            slave.set_values("inputs", 0, 1 if passing <= now < passing + 0.2 else 0)
    print(json.dumps({"log": log}), flush=True)
    os._exit(0)  # the package's thread waits for bytes without an end


if __name__ == "__main__":
    main()
