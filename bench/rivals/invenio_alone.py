"""invenio-sip2 without the hundred packages of its monitoring pages: one import of theirs is stood in for.

``invenio_access`` guards those pages and touches neither messages nor the server's sockets. Import this module first.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

__all__ = ["application"]


def _stand_in() -> None:
    package, permissions = ModuleType("invenio_access"), ModuleType("invenio_access.permissions")
    permissions.Permission = lambda *needs: None
    permissions.SystemRoleNeed = str
    sys.modules["invenio_access"], sys.modules["invenio_access.permissions"] = package, permissions


_stand_in()


def application(**config: Any) -> Any:
    """A Flask application with the extension on it, error detection on and logging off."""
    from flask import Flask
    from invenio_sip2 import InvenioSIP2

    app = Flask("rival")
    app.config.update(SIP2_ERROR_DETECTION=True, SIP2_LOGGING_CONSOLE=False, **config)
    InvenioSIP2(app)
    return app
