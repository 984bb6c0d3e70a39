"""Questions to the hub: one answer or none, counted. Whoever asks has a local answer ready for none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bus import RequestRefused
from edge.link import Away, Link
from edge.metrics import Metrics


class Asking:
    """Asks over the link."""

    def __init__(self, link: Link, metrics: Metrics) -> None:
        self._link = link
        self._metrics = metrics

    @property
    def away(self) -> bool:
        """Whether a question would fail at once."""
        return self._link.away

    async def ask(self, name: str, data: Mapping[str, Any], timeout_s: float) -> dict[str, Any] | None:
        """The hub's answer, None where it is away, does not answer in ``timeout_s`` or refuses the question."""
        try:
            answer = await self._link.ask(name, data, timeout_s=timeout_s)
        except Away:
            self._count(name, "AWAY")
            return None
        except RequestRefused:
            self._count(name, "REFUSED")
            return None
        self._count(name, "OK")
        return answer

    def _count(self, name: str, result: str) -> None:
        self._metrics.asked.labels(self._metrics.library, name, result).inc()
