"""``python -m tongjie.demo.compose --folder DIR``: keys, configuration and the demo consortium for docker-compose.yml.

Run once; it refuses to touch a folder that is set up already, because new keys would orphan what edges hold. A set-up that
failed halfway, for example because the database was not there yet, may be repeated.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import sys
import time
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # asyncpg ships no types

from consortium.identity import site_key
from consortium.seal import PolicyKey, public_key
from firmware_sim.consortium import LIBRARIES, build
from tongjie.demo.layout import secret_file
from tongjie.demo.load import load_file

BRANCH = "251020-01"
DATABASE_WAIT_S = 60.0
DONE = "set-up.json"


def _hub_toml() -> str:
    return """# The hub in docker-compose.yml; the database comes from TONGJIE_HUB_DATABASE.
data = "hub"
broker_url = "mqtt://broker:1883"
base_url = "http://hub:8080"

[http]
host = "0.0.0.0"
port = 8080
"""


def _edge_toml(token: str, password: str, policy: PolicyKey) -> str:
    return f"""# The branch in docker-compose.yml.
node = "edge-{BRANCH}"
branch = "{BRANCH}"
data = "edge"
hub_url = "http://hub:8080"
broker_url = "mqtt://broker:1883"
node_token = "{token}"
site_key_file = "edge/site.key"
policy_keys = ["{policy.public.hex()}"]

[http]
host = "0.0.0.0"
port = 8101

[sip2]
host = "0.0.0.0"
port = 6101

[[sip2.accounts]]
user = "kiosk1"
password = "{password}"
institution = "{LIBRARIES[0]}"
device = "{BRANCH}-kiosk1"
trusts_card = true

[[devices]]
id = "{BRANCH}-pad1"
kind = "feig"
url = "tcp:devices:7001"
"""


def prepare(folder: Path, now: int) -> dict[str, Any]:
    """Write keys and configuration into ``folder``; returns the consortium to load. Raises FileExistsError."""
    if (folder / DONE).exists():
        raise FileExistsError(f"{folder} is set up already; remove its volume to begin anew")
    master, policy, token, password, staff = (
        secrets.token_bytes(32),
        secrets.token_bytes(32),
        secrets.token_hex(32),
        secrets.token_urlsafe(12),
        secrets.token_urlsafe(9),
    )
    for name in ("hub", "edge"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    secret_file(folder / "hub" / "master.key", master.hex())
    secret_file(folder / "hub" / "policy.key", policy.hex())
    secret_file(folder / "edge" / "site.key", site_key(master, LIBRARIES[0]).hex())
    secret_file(folder / "hub.toml", _hub_toml())
    secret_file(folder / f"edge-{BRANCH}.toml", _edge_toml(token, password, public_key(policy)))
    secret_file(folder / "staff.txt", f"demo {staff}\n")
    data = build(1, now)
    data["nodes"] = [{"node": f"edge-{BRANCH}", "org": LIBRARIES[0], "branch": BRANCH, "token": token}]
    data["staff"] = [{"username": "demo", "password": staff, "role": "consortium_admin", "library": "*"}]
    data["api_tokens"] = []
    return data


async def load_when_there(config: Path, data: dict[str, Any], wait_s: float) -> None:
    """Load the consortium; a database that is still starting is waited for.

    Raises OSError or asyncpg's PostgresError where it does not come, ConfigError or LoadError where waiting does not help.
    """
    deadline = time.monotonic() + wait_s
    while True:
        try:
            return await load_file(config, data)
        except (OSError, asyncpg.CannotConnectNowError):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(1.0)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="compose", description="Set up the folder that docker-compose.yml uses.")
    parser.add_argument("--folder", type=Path, required=True)
    folder: Path = parser.parse_args().folder
    try:
        data = prepare(folder, int(time.time() * 1000))
        asyncio.run(load_when_there(folder / "hub.toml", data, DATABASE_WAIT_S))
        done = {"ready": str(folder), "sign_in": "see staff.txt there"}
        secret_file(folder / DONE, json.dumps(done) + "\n")
    except (OSError, ValueError, asyncpg.PostgresError) as error:
        print(str(error), file=sys.stderr)
        sys.exit(1)
    print(json.dumps(done))


if __name__ == "__main__":
    main()
