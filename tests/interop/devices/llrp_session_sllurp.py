"""Run in the environment of the foreign clients: sllurp lists tags for some seconds. Usage: HOST PORT SECONDS; one JSON line out."""

import json
import logging
import os
import sys
import time

from sllurp.llrp import LLRPReaderClient, LLRPReaderConfig

CONTENT = {
    name: name in ("EnableAntennaID", "EnablePeakRSSI", "EnableTagSeenCount")
    for name in (
        "EnableROSpecID", "EnableSpecIndex", "EnableInventoryParameterSpecID", "EnableAntennaID", "EnableChannelIndex",
        "EnablePeakRSSI", "EnableFirstSeenTimestamp", "EnableLastSeenTimestamp", "EnableTagSeenCount", "EnableAccessSpecID",
    )
}  # fmt: skip


def main() -> None:
    """List the EPCs seen and how often."""
    logging.basicConfig(level=logging.ERROR)
    seen: dict[str, int] = {}

    def take(_reader: object, tags: list[dict[str, bytes]]) -> None:
        for tag in tags:
            epc = tag["EPC"].decode().upper()
            seen[epc] = seen.get(epc, 0) + 1

    config = {"report_every_n_tags": 1, "antennas": [1], "start_inventory": True, "tag_content_selector": CONTENT}
    client = LLRPReaderClient(sys.argv[1], int(sys.argv[2]), LLRPReaderConfig(config))
    client.add_tag_report_callback(take)
    client.connect()
    time.sleep(float(sys.argv[3]))
    client.disconnect()
    print(json.dumps({"seen": seen}), flush=True)
    os._exit(0)  # a thread of the client sometimes outlives its disconnect, and then the process would never end


if __name__ == "__main__":
    main()
