"""docker-compose.yml and what it mounts: valid, closed to the outside, without a password anybody knows."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import yaml

from edge.config import load as load_edge
from hub.config import load as load_hub
from hub.config import master_key, policy_key, policy_trust
from tongjie.demo import compose

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]
    return found


# --- the file ----------------------------------------------------------------------------------------------------------


def test_the_file_is_valid_by_the_compose_specification() -> None:
    tool = Path(sys.executable).with_name("check-jsonschema")
    words = [str(tool), "--builtin-schema", "vendor.compose-spec", str(ROOT / "docker-compose.yml")]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(
    shutil.which("docker-compose") is None and os.environ.get("CI") != "true", reason="docker-compose is not installed"
)
def test_an_old_docker_compose_takes_it_too_and_wants_passwords(tmp_path: Path) -> None:
    words = [
        "docker-compose",
        "--env-file",
        str(tmp_path / "env"),
        "-f",
        str(ROOT / "docker-compose.yml"),
        "config",
        "-q",
    ]
    (tmp_path / "env").write_text("POSTGRES_PASSWORD=\nGRAFANA_PASSWORD=\n")
    refused = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"})
    assert refused.returncode != 0
    assert "set it in .env" in refused.stderr
    (tmp_path / "env").write_text("POSTGRES_PASSWORD=one\nGRAFANA_PASSWORD=two\n")
    taken = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"})
    assert taken.returncode == 0, taken.stderr


def test_the_stack_is_the_whole_one(services: dict[str, Any]) -> None:
    assert set(services) == {"broker", "database", "setup", "hub", "devices", "edge", "prometheus", "grafana"}


def test_ports_are_published_on_this_machine_alone(services: dict[str, Any]) -> None:
    published = [port for service in services.values() for port in service.get("ports", ())]
    assert published
    assert all(str(port).startswith("127.0.0.1:") for port in published)
    assert not any("network_mode" in service or service.get("privileged") for service in services.values())


def test_no_secret_has_a_default(services: dict[str, Any]) -> None:
    checked = 0
    for service in services.values():
        for name, value in service.get("environment", {}).items():
            for variable in re.findall(r"\$\{([^}]*)\}", value):
                assert variable.endswith("_PASSWORD:?set it in .env"), f"{name} can be had without being set"
                checked += 1
            if "PASSWORD" in name:
                assert value.startswith("${")
    assert checked == 4
    example = [
        line for line in (ROOT / "deploy" / "env.example").read_text().splitlines() if line and not line.startswith("#")
    ]
    assert sorted(example) == ["GRAFANA_PASSWORD=", "POSTGRES_PASSWORD="]


def test_what_is_mounted_is_there_and_read_only(services: dict[str, Any]) -> None:
    for service in services.values():
        for volume in service.get("volumes", ()):
            source, _, rest = volume.partition(":")
            if source.startswith("."):
                assert (ROOT / source).exists(), source
                assert rest.endswith(":ro")


def test_images_name_a_version(services: dict[str, Any]) -> None:
    for name, service in services.items():
        image = service.get("image")
        assert ("build" in service) != (image is not None), name
        assert image is None or re.search(r":[^:]*\d", image), image


def test_prometheus_asks_the_services_that_are_there(services: dict[str, Any]) -> None:
    config = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text("utf-8"))
    targets = {t for job in config["scrape_configs"] for group in job["static_configs"] for t in group["targets"]}
    assert targets == {"hub:8080", "edge:8101"}
    assert {target.split(":")[0] for target in targets} <= set(services)


# --- its set-up --------------------------------------------------------------------------------------------------------


def test_hub_and_edge_take_the_configuration_that_setup_writes(tmp_path: Path) -> None:
    data = compose.prepare(tmp_path, int(time.time() * 1000))
    url = "postgresql+asyncpg://tongjie:x@database/tongjie"
    hub = load_hub(tmp_path / "hub.toml", {"TONGJIE_HUB_DATABASE": url})
    edge = load_edge(tmp_path / f"edge-{compose.BRANCH}.toml", {})
    assert (hub.database, len(master_key(hub))) == (url, 32)
    assert (hub.http_host, edge.http_host, edge.hub_url) == ("0.0.0.0", "0.0.0.0", "http://hub:8080")
    assert hub.broker_url == edge.broker_url == "mqtt://broker:1883"
    assert edge.policy_trust == policy_trust(hub, policy_key(hub))
    assert [node["node"] for node in data["nodes"]] == [edge.node]
    assert data["nodes"][0]["token"] == edge.node_token
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_setup_gives_up_on_a_database_that_never_comes_and_may_be_repeated(tmp_path: Path) -> None:
    data = compose.prepare(tmp_path, int(time.time() * 1000))
    config = (tmp_path / "hub.toml").read_text()
    nobody = 'database = "postgresql+asyncpg://u:p@127.0.0.1:1/x"\n'
    (tmp_path / "hub.toml").write_text(nobody + config)
    with pytest.raises((OSError, asyncpg.PostgresError)):
        asyncio.run(compose.load_when_there(tmp_path / "hub.toml", data, 0.0))
    assert compose.prepare(tmp_path, int(time.time() * 1000))["nodes"] != data["nodes"]


def test_setup_runs_once(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "tongjie.demo.compose", "--folder", str(tmp_path)]
    first = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert first.returncode == 0, first.stderr
    assert json.loads(first.stdout)["ready"] == str(tmp_path)
    key = (tmp_path / "hub" / "master.key").read_text()
    again = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr == f"{tmp_path} is set up already; remove its volume to begin anew\n"
    assert (tmp_path / "hub" / "master.key").read_text() == key
