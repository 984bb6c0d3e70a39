"""``python -m edge --config edge.toml``: one branch's edge, until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from pathlib import Path

from edge.config import ConfigError, load
from edge.outbox import OutboxError
from edge.serve import serve


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(arguments: list[str] | None = None) -> int:
    """Run the edge. Returns 0 when it was told to stop, 1 where its outbox cannot be used, 2 where its configuration cannot."""
    parser = argparse.ArgumentParser(
        prog="edge", description="The agent of one branch.", epilog="example: edge --config edge.toml"
    )
    parser.add_argument("--config", required=True, type=Path, metavar="FILE", help="edge.toml")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    try:
        asyncio.run(serve(load(options.config), _say))
    except ConfigError as error:
        sys.stderr.write(f"{error} [{error.code}]\n")
        return 2
    except OSError as error:
        sys.stderr.write(
            f"the data folder cannot be used ({error.strerror}); set `data` to a folder that can be written\n"
        )
        return 2
    except OutboxError as error:
        sys.stderr.write(f"{error} [{error.code}]\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
