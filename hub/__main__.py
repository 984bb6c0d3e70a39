"""``python -m hub --config hub.toml``: one hub, until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from pathlib import Path

from hub.app import serve
from hub.config import ConfigError, load


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(arguments: list[str] | None = None) -> int:
    """Run the hub. Returns 0 when it was told to stop, 2 where its configuration cannot be used."""
    parser = argparse.ArgumentParser(
        prog="hub", description="The consortium hub.", epilog="example: hub --config hub.toml"
    )
    parser.add_argument("--config", required=True, type=Path, metavar="FILE", help="hub.toml")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    try:
        asyncio.run(serve(load(options.config), announce=_say))
    except ConfigError as error:
        sys.stderr.write(f"{error} [{error.code}]\n")
        return 2
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
