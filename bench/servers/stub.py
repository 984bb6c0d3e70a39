"""The library behind every server that is measured: what it answers, as plain values. Imports nothing of anybody's."""

from __future__ import annotations

import json
import sys

USER, PASSWORD, INSTITUTION = "kiosk1", "secret", "251020"
NAME, TITLE, DUE = "张三", "红楼梦 / 曹雪芹著", "2026-12-22"
PLACE, SORT_BIN, SCREEN = "理工分馆", "1", "办理成功 OK"
CHARGED = ("0012345678", "0012345679", "0012345680")
SUPPORTED = "YYYNYYYYNNYNNNNN"
CLOCK = "20261122    193711"


def ready(port: int) -> None:
    """Tell the bench where the server is."""
    print(json.dumps({"port": port}), flush=True)


def until_told() -> None:
    """Wait until the bench has gone."""
    sys.stdin.read()
