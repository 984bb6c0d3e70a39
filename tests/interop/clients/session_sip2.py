"""A whole session with the PyPI package Sip2 1.1 (MIT), run by its own environment's Python; nothing of ours is imported here.

What it is given comes as JSON on standard input; the last line it prints is JSON: what the client's own parser read.
"""

import json
import sys
import tempfile

from Sip2.wrapper import Sip2Wrapper


def main() -> None:
    given = json.load(sys.stdin)
    settings = {
        "hostName": given["host"],
        "hostPort": given["port"],
        "tlsEnable": given.get("tls", False),
        "hostEncoding": "utf-8",
        "institutionId": given["institution"],
        "scLocation": "hall",
        "patron": given["reader_no"],
        "patronpwd": given["pin"],
        "logfile_path": tempfile.mkdtemp(),
        "loglevel": "CRITICAL",
    }
    client = Sip2Wrapper(settings, True, "Sip2")
    found = {"login": bool(client.login_device(given["user"], given["password"], True))}
    found["status"] = client.return_sc_status()
    found["reader"] = client.login_patron(given["reader_no"], given["pin"])
    found["information"] = client.get_patron_status()
    found["item"] = client.sip_item_information(given["item_no"])
    # The wrapper's own sip_item_checkout sends nothing unless "charge privileges denied" is Y: it reads the flag the wrong way round.
    low = client.return_sip2()
    found["checkout"] = low.sip_checkout_response(low.get_response(low.sip_checkout_request(given["item_no"])))
    found["charged"] = client.sip_patron_information("charged")
    found["checkin"] = client.sip_item_checkin(given["item_no"])
    client.sip_patron_session_end()
    found["ended"] = True
    client.disconnect()
    print()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
