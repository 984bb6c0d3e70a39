"""Staff who reach the station by a name, through a proxy with TLS: with the token they may write, other sites may not."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from tests.edge.pads import Pads, edge_over

TOKEN = "a-token-of-more-than-24-characters"
FROM = {"Host": "edge.library.example", "Origin": "https://edge.library.example", "Sec-Fetch-Site": "same-origin"}


@pytest.mark.parametrize(
    ("token", "more", "status"),
    [
        (None, {}, 403),
        (TOKEN, {"Origin": "https://elsewhere.example"}, 403),
        (TOKEN, {"Sec-Fetch-Site": "cross-site"}, 403),
        (TOKEN, {}, 200),
    ],
)
async def test_a_write_from_the_page_as_it_was_opened(
    tmp_path: Path, token: str | None, more: dict[str, str], status: int
) -> None:
    pads = Pads(tmp_path)
    try:
        async with edge_over(tmp_path, pads, trace_token=token) as bed:
            headers = {**FROM, "Authorization": f"Bearer {TOKEN}", **more}
            async with httpx2.AsyncClient(base_url=await bed.serve(), timeout=10, headers=headers) as http:
                assert (await http.post("/station/api/repair", json={"pad": "pad1"})).status_code == status
    finally:
        pads.close()
