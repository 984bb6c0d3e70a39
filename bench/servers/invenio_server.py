"""invenio-sip2's server with the stub handlers, in the rivals' environment: ``python invenio_server.py --redis URL``.

Its own socket server, run as its command line runs it, its own actions, and its own records of clients in Redis, read
and written with every message. Its log, which by default has every message in it, is off.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import stub

sys.path.append(str(Path(__file__).resolve().parents[1] / "rivals"))
# The first import stands in for a package that the others ask for.
from invenio_alone import application
from invenio_sip2 import models
from invenio_sip2.server import SocketServer

HANDLERS, HOST = "stub", "127.0.0.1"


def _login(user, password, **asked):
    """93: what is in the answer is kept as the client's record."""
    right = (user, password) == (stub.USER, stub.PASSWORD)
    return {
        "authenticated": right, "terminal": user, "transaction_user_id": user, "institution_id": stub.INSTITUTION,
        "library_language": "chi",
    }  # fmt: skip


def _status(terminal, **asked):
    """99: they take flags and times from the configuration."""
    return {"institution_id": stub.INSTITUTION}


def _right_pin(reader_no, pin, **asked):
    """AD of 63 and of 23."""
    return True


def _reader_status(reader_no, **asked):
    """23."""
    return models.SelfcheckPatronStatus(
        patron_id=reader_no, institution_id=stub.INSTITUTION, patron_name=stub.NAME, language="chi",
        valid_patron=True, valid_patron_pwd=True, screen_messages=[stub.SCREEN],
    )  # fmt: skip


def _reader(reader_no, **asked):
    """63."""
    return models.SelfcheckPatronInformation(
        patron_id=reader_no, institution_id=stub.INSTITUTION, patron_name=stub.NAME, language="chi",
        valid_patron=True, charged_items=list(stub.CHARGED), screen_messages=[stub.SCREEN],
    )  # fmt: skip


def _item(item_no, **asked):
    """17."""
    return models.SelfcheckItemInformation(
        item_id=item_no, title_id=stub.TITLE, circulation_status="AVAILABLE",
        security_marker="TATTLE_TAPE_SECURITY_STRIP", permanent_location=stub.PLACE,
    )  # fmt: skip


def _checkout(user, item_no, reader_no, **asked):
    """11."""
    return models.SelfcheckCheckout(
        title_id=stub.TITLE, checkout=True, magnetic_media=False, desensitize=True, due_date=stub.DUE,
        screen_messages=[stub.SCREEN],
    )  # fmt: skip


def _checkin(user, item_no, **asked):
    """09."""
    return models.SelfcheckCheckin(
        permanent_location=stub.PLACE, checkin=True, magnetic_media=False, resensitize=True, title_id=stub.TITLE,
        sort_bin=stub.SORT_BIN, screen_messages=[stub.SCREEN],
    )  # fmt: skip


def _handlers():
    return {
        "login_handler": _login,
        "system_status_handler": _status,
        "patron_handlers": {"authorize_patron": _right_pin, "patron_status": _reader_status, "account": _reader},
        "item_handlers": {"item": _item},
        "circulation_handlers": {"checkout": _checkout, "checkin": _checkin},
    }


def _end_when_told():
    stub.until_told()
    os._exit(0)


def main():
    """Serve until standard input closes."""
    app = application(
        SIP2_DATASTORE_REDIS_URL=sys.argv[sys.argv.index("--redis") + 1],
        SIP2_REMOTE_ACTION_HANDLERS={HANDLERS: _handlers()},
        SIP2_SUPPORT_RENEWAL_POLICY=False, SIP2_TIMEOUT_PERIOD=100, SIP2_RETRIES_ALLOWED="003",
    )  # fmt: skip
    threading.Thread(target=_end_when_told, daemon=True).start()
    with app.app_context():
        # A name of its own: a server of the same name that was killed counts as running for ever.
        server = SocketServer(f"bench-{os.getpid()}", host=HOST, port=0, remote=HANDLERS, process_id=os.getpid())
        listening = next(iter(server.selector.get_map().values())).fileobj
        stub.ready(listening.getsockname()[1])
        server.run()


if __name__ == "__main__":
    main()
