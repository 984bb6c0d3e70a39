"""The checkout bench on a small scale: a real edge, broker and hub, kiosks in another process, nothing refused."""

from __future__ import annotations

from bench import checkout


def test_it_measures_what_the_design_names_and_nothing_is_refused() -> None:
    found = checkout.run(kiosks=4, seconds=0.5, runs=1)
    assert {"per_s_4", "p99_ms_4", "partner_per_s", "partner_p99_ms"} <= set(found["figures"])
    assert {"fsync_per_s_4", "echo_per_s_4", "hub_away_per_s_4"} <= set(found["beside"])
    assert all(value > 0 for value in (*found["figures"].values(), *found["beside"].values()))
    assert " 0 refused" in found["notes"][0]
