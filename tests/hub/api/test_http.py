"""HTTP itself: errors, bounds, health, metrics, OpenAPI, the snapshot."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import logging
import time
from urllib.parse import urlsplit

import pytest

from hub.__main__ import main
from tests.hub.api import hubside, world
from tests.hub.api.hubside import Hub
from tests.hub.api.test_access import is_problem

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def raw(hub: Hub, request: bytes, seconds: float = 5) -> bytes:
    parts = urlsplit(hub.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(request)
    try:
        return await asyncio.wait_for(reader.read(65_536), seconds)
    finally:
        writer.close()


async def test_an_address_or_method_that_is_none_is_a_problem(hub: Hub) -> None:
    is_problem(await hub.get("/api/v1/patrons"), 404, "NOT_FOUND")
    answer = await hub.client.put("/api/v1/loans")
    is_problem(answer, 405, "METHOD_NOT_ALLOWED")
    assert answer.headers["allow"] == "GET"


async def test_a_body_too_large_is_refused_by_its_length_and_by_its_bytes(hub: Hub) -> None:
    is_problem(await hub.post("/api/v1/blocks", {"reason": "x" * 300_000}), 413, "BODY_TOO_LARGE")

    async def chunks():
        for _ in range(80):
            yield b"x" * 4096

    is_problem(await hub.client.post("/api/v1/blocks", content=chunks()), 413, "BODY_TOO_LARGE")


async def test_a_body_that_never_comes_is_given_up(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.api.bounds.BODY_SECONDS", 0.2)
    got = await raw(hub, b"POST /api/v1/blocks HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
    assert got.startswith(b"HTTP/1.1 408")
    assert b"BODY_TOO_SLOW" in got


async def test_a_body_that_is_no_json_is_refused(hub: Hub) -> None:
    answer = await hub.client.post(
        "/api/v1/blocks", content=b"{", headers=hubside.bearer("all", {"content-type": "application/json"})
    )
    is_problem(answer, 422, "FIELDS_INVALID")


async def test_a_crash_is_a_problem_without_its_inside(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("secret inside")

    monkeypatch.setattr("hub.api.reads.one", broken)
    with caplog.at_level(logging.ERROR, "tongjie.hub.api"):
        answer = await hub.get("/api/v1/items/a/b", headers={"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"})
    is_problem(answer, 500, "INTERNAL")
    assert answer.json()["trace_id"] == "ab" * 16
    assert "secret inside" not in answer.text
    assert "ab" * 16 in caplog.text


async def test_every_answer_keeps_a_browser_honest(hub: Hub) -> None:
    for path in ("/login", "/healthz", "/api/v1/loans", "/static/console.css"):
        headers = (await hub.client.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "script-src 'self'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]


async def test_health_readiness_and_metrics_need_no_token(hub: Hub) -> None:
    assert (await hub.client.get("/healthz")).json() == {"status": "alive"}
    ready = (await hub.client.get("/readyz")).json()
    assert ready == {"ready": True, "database": True, "broker": True, "lag_events": 0, "policy_version": 3}
    metrics = await hub.client.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    assert "tongjie_hub_broker_up 1.0" in metrics.text


async def test_the_document_tells_filters_problems_and_schemes(hub: Hub) -> None:
    document = (await hub.client.get("/api/openapi.json")).json()
    loans = document["paths"]["/api/v1/loans"]["get"]
    assert {"open", "home", "since", "limit", "cursor"} <= {row["name"] for row in loans["parameters"]}
    assert "application/problem+json" in loans["responses"]["422"]["content"]
    assert set(document["components"]["securitySchemes"]) == {"token", "session"}
    assert "code" in document["components"]["schemas"]["ProblemOut"]["properties"]
    references = json.dumps(document).split("#/components/schemas/")[1:]
    assert {text.split('"')[0] for text in references} <= document["components"]["schemas"].keys()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation.get("description") or operation.get("summary"), (method, path)


async def test_every_documented_list_answers(hub: Hub) -> None:
    document = (await hub.client.get("/api/openapi.json")).json()
    lists = [
        path
        for path in document["paths"]
        if path.startswith("/api/v1/") and "{" not in path and "get" in document["paths"][path]
    ]
    assert len(lists) >= 17
    for path in lists:
        if not path.endswith("/stream"):
            assert (await hub.get(path)).status_code == 200, path


async def test_an_answer_does_not_wait_for_the_networks_acknowledgement(hub: Hub) -> None:
    took = []
    for _ in range(21):
        began = time.perf_counter()
        await hub.client.get("/healthz")
        took.append(time.perf_counter() - began)
    assert sorted(took)[10] < 0.03  # a delayed ACK alone is 40 ms


# --- the snapshot --------------------------------------------------------------------------------------------------


async def test_a_snapshot_is_refused_to_everybody_but_the_librarys_nodes(hub: Hub) -> None:
    path = f"/replica/{world.CQU}/snapshot"
    is_problem(await hub.get(path, token=None), 401, "NODE_TOKEN_INVALID")
    is_problem(await hub.get(path, token="all"), 401, "NODE_TOKEN_INVALID")
    is_problem(await hub.get(path, token=world.NODE_TOKENS[world.YLG]), 404, "NOT_FOUND")


async def test_a_snapshot_comes_whole_and_in_parts_and_is_what_the_manifest_says(hub: Hub) -> None:
    path, token = f"/replica/{world.CQU}/snapshot", world.NODE_TOKENS[world.CQU]
    whole = await hub.get(path, token=token)
    assert whole.status_code == 200
    assert hashlib.sha256(whole.content).hexdigest() == whole.headers["x-replica-sha256"]
    head = json.loads(gzip.decompress(whole.content).split(b"\n")[0])
    assert (head["org"], str(head["version"])) == (world.CQU, whole.headers["x-replica-version"])
    half = len(whole.content) // 2
    first = await hub.get(path, token=token, headers={"range": f"bytes=0-{half - 1}"})
    rest = await hub.get(path, token=token, headers={"range": f"bytes={half}-", "if-range": whole.headers["etag"]})
    assert (first.status_code, rest.status_code) == (206, 206)
    assert first.content + rest.content == whole.content
    assert (await hub.get(path, token=token, headers={"range": "bytes=99999999-"})).status_code == 416


# --- the process ---------------------------------------------------------------------------------------------------


async def test_a_configuration_that_cannot_be_used_is_one_sentence_and_exit_2(
    tmp_path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "hub.toml"
    broken.write_text("data = [", encoding="utf-8")
    assert await asyncio.to_thread(main, ["--config", str(broken)]) == 2
    error = capsys.readouterr().err.strip()
    assert "\n" not in error
    assert "CONFIG_NOT_TOML" in error


async def test_a_port_in_use_is_one_sentence_and_exit_2(hub: Hub, tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    taken = tmp_path / "hub.toml"
    config = f'data = "d"\nbroker_url = "mqtt://127.0.0.1:1"\n[http]\nport = {urlsplit(hub.url).port}\n'
    taken.write_text(config, encoding="utf-8")
    assert await asyncio.to_thread(main, ["--config", str(taken)]) == 2
    assert "PORT_TAKEN" in capsys.readouterr().err
