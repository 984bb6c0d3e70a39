"""``python -m tongjie.demo.load --config HUB.TOML FILE``: puts a consortium file into a hub's store; prints one JSON line."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path

from hub.load import load as load_consortium

from hub.config import ConfigError, load, master_key, prepare
from hub.store.engine import Store
from hub.store.migrate import upgrade


async def _load(config_path: Path, file: Path) -> int:
    config = load(config_path)
    prepare(config)
    await asyncio.to_thread(upgrade, config.database)
    store = Store(config.database)
    data = json.loads(file.read_text("utf-8"))
    try:
        await load_consortium(store, data, master_key(config), int(time.time() * 1000), cost=config.pin)
    finally:
        await store.close()
    print(json.dumps({"loaded": {"readers": len(data["readers"]), "items": len(data["items"])}}), flush=True)
    return 0


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="load", description="Load a consortium file into a hub's store.")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("file", type=Path)
    words = parser.parse_args()
    try:
        sys.exit(asyncio.run(_load(words.config, words.file)))
    except (ConfigError, OSError, ValueError) as error:
        print(str(error), file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
