"""The codec's bench: what it says where rivals are there, and where they cannot be had."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bench import codec
from bench.rivals import EnvironmentMissing
from protocols.sip2 import parse


def test_without_rivals_ours_is_measured_and_the_reason_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(script: str, given: dict[str, Any]) -> dict[str, Any]:
        raise EnvironmentMissing("no network")

    monkeypatch.setattr(codec, "measured", missing)
    found = codec.run(seconds=0.05, rounds=1)
    assert found["notes"] == ["pysip2 is missing: no network", "invenio is missing: no network"]
    assert found["figures"]["parse_per_s"] > 0 and found["figures"]["build_per_s"] > 0
    assert "ratio_parse" not in found["figures"]


def test_rivals_get_our_bytes_and_the_best_of_them_is_the_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def rival(script: str, given: dict[str, Any]) -> dict[str, Any]:
        asked.append(given)
        speed = 1 if "pysip2" in script else 2
        return {"parse_per_s": speed, "build_per_s": speed}

    monkeypatch.setattr(codec, "measured", rival)
    found = json.loads(json.dumps(codec.run(seconds=0.05, rounds=2)))
    assert len(asked) == 4
    codes = [parse(bytes.fromhex(frame)).code for frame in asked[0]["frames"]]
    assert codes == ["99", "98", "23", "24", "63", "64", "17", "18", "11", "12", "09", "10"]
    assert found["beside"]["invenio_parse_per_s"] == 2
    assert found["figures"]["ratio_parse"] == pytest.approx(found["figures"]["parse_per_s"] / 2, abs=0.01)
