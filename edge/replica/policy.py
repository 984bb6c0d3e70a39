"""Which policy this branch takes: one sealed by a key it was told to trust, and never one older than it has had.

The newest bundle ever taken is remembered in a file beside the replica's folder, so that neither a restart, nor a snapshot, nor a
replica file from a backup brings back rules that were replaced.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from consortium.bundle import BundleError, Policy
from consortium.seal import Held, Opened, Trust, unseal
from edge.replica.rows import ReplicaInvalid

_log = logging.getLogger(__name__)
_MAX_FILE = 1_024


class PolicyGuard:
    """The trusted keys and the newest bundle held. Used by one thread at a time; ``now`` tells ms UTC, corrected by the hub."""

    def __init__(self, trust: Trust, path: Path, now: Callable[[], int]) -> None:
        self._trust = trust
        self._path = path
        self._now = now
        self._held: Held | None = None

    def load(self) -> None:
        """Read what was held before. A damaged file is as good as none: what the replica holds counts from then on."""
        try:
            if self._path.stat().st_size > _MAX_FILE:
                raise ValueError("longer than a version and a digest")
            self._held = msgspec.json.decode(self._path.read_bytes(), type=Held)
        except FileNotFoundError:
            self._held = None
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            self._held = None
            _log.error("policy: what was held before cannot be read (%s)", type(error).__name__)

    def open(self, version: int, text: str) -> tuple[Policy, Held]:
        """The policy in a row of this version, and what to remember of it once it is in use.

        Raises ReplicaInvalid with the code of the seal or of the bundle.
        """
        try:
            opened: Opened = unseal(text, self._trust, self._held, self._now())
            if opened.bundle.version != version:
                raise ReplicaInvalid("REPLICA_ROW", "a policy row names another version than its bundle")
            return Policy(opened.bundle), opened.held
        except BundleError as error:
            raise ReplicaInvalid(error.code, str(error)) from error

    def without(self) -> None:
        """A replica comes without a policy. Raises ReplicaInvalid BUNDLE_MISSING where one was held: none is older than any."""
        if self._held is not None:
            raise ReplicaInvalid("BUNDLE_MISSING", "the snapshot holds no policy, but this branch has had one")

    def took(self, held: Held) -> None:
        """This bundle is in use: nothing older is taken from now on, nor after a restart."""
        if held == self._held:
            return
        self._held = held
        beside = self._path.with_suffix(".new")
        try:
            with beside.open("wb") as file:
                file.write(msgspec.json.encode(held))
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, self._path)
        except OSError as error:  # it holds until the next restart, and then by what the replica's own file has
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)
            _log.error("policy: version %d cannot be noted as held (%s)", held.version, error.strerror)
