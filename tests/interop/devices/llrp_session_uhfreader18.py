"""Run in the environment of the foreign clients: uhfreader18 asks, sets, reads and writes. Usage: HOST PORT; one JSON line out."""

import json
import sys

from uhfreader18 import Command, RfidClient


def main() -> None:
    """Find the device, set its power, read a tag's TID by its EPC, and rewrite its PC."""
    with RfidClient(sys.argv[1], int(sys.argv[2])) as client:
        info, address = client.discover_address()
        client.set_power(address, 21)
        client.acousto_optic_control(address, 2, 2, 3)
        found = client._send_command(address, Command.INVENTORY).data
        epc = found[2 : 2 + found[1]]
        head = bytes((len(epc) // 2,)) + epc
        tid = client._send_command(address, Command.READ_DATA, head + bytes((2, 0, 6)) + bytes(4)).data
        write = bytes((1,)) + head + bytes((1, 1)) + bytes.fromhex(sys.argv[3]) + bytes(4)
        said = {
            "version": info.version,
            "address": address,
            "power": client.get_reader_info(address).power,
            "epc": epc.hex().upper(),
            "tid": tid.hex().upper(),
            "written": client._send_command(address, Command.WRITE_DATA, write).ok,
        }
    print(json.dumps(said))


if __name__ == "__main__":
    main()
