"""``python -m tongjie.demo.load --config HUB.TOML FILE``: puts a consortium file into a hub's store; prints one JSON line."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from hub.config import load, master_key, policy_trust, prepare
from hub.load import load as load_consortium
from hub.policy.keys import signing_key
from hub.store.engine import Store
from hub.store.migrate import upgrade


async def load_file(config_path: Path, data: dict[str, Any]) -> None:
    """Make the store of a hub's configuration ready and load a consortium into it. Raises ConfigError or LoadError."""
    config = load(config_path)
    prepare(config)
    await upgrade(config.database)
    store = Store(config.database)
    try:
        now = int(time.time() * 1000)
        key = await signing_key(config, store, now)
        trust = policy_trust(config, key)
        await load_consortium(store, data, master_key(config), now, policy_key=key, trust=trust, cost=config.pin)
    finally:
        await store.close()


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="load", description="Load a consortium file into a hub's store.")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("file", type=Path)
    words = parser.parse_args()
    try:
        data = json.loads(words.file.read_text("utf-8"))
        asyncio.run(load_file(words.config, data))
        print(json.dumps({"loaded": {"readers": len(data["readers"]), "items": len(data["items"])}}), flush=True)
    except (OSError, ValueError) as error:
        print(str(error), file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
