"""Rivals that are measured in the same run as ours: pysip2 (MIT) and invenio-sip2 (AGPL), never part of the product.

They live in their own environment and run as processes of it; ``codec_pysip2.py`` and ``codec_invenio.py`` print one
JSON object. What they are fed comes on standard input, so both work on the very bytes that ours works on.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from bench._environment import EnvironmentMissing
from bench._environment import environment as _made

__all__ = ["RIVALS", "EnvironmentMissing", "environment", "measured"]

RIVALS = {"pysip2": "codec_pysip2.py", "invenio": "codec_invenio.py"}
"""The codecs: name in figures, script of this folder."""

_HERE = Path(__file__).parent
_RUN_S = 120


def environment() -> Path:
    """The folder of the rivals' virtual environment, ``.tongjie/rivals``; made on the first call.

    Its Python is ``environment() / "bin" / "python"``; it holds pysip2, invenio-sip2 and uvloop. Raises
    EnvironmentMissing where the packages cannot be had.
    """
    return _made("rivals", _HERE / "requirements.lock")


def measured(script: str, given: dict[str, Any]) -> dict[str, Any]:
    """What a script of this folder prints in the rivals' environment for ``given``, both JSON objects.

    Raises EnvironmentMissing, or RuntimeError with the script's last line where it fails.
    """
    words = [str(environment() / "bin" / "python"), "-E", str(_HERE / script)]
    done = subprocess.run(words, input=json.dumps(given), capture_output=True, text=True, timeout=_RUN_S, check=False)
    if done.returncode:
        raise RuntimeError(f"{script} failed: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result
