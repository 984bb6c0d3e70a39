"""The broker is unreachable, or the hub behind it does not answer."""

from __future__ import annotations

from edge.checks.base import Issue, Vitals


class HubLink:
    """Broker first: without it nothing can be said about the hub."""

    name = "hub_link"

    def find(self, vitals: Vitals) -> list[Issue]:
        """At most one issue."""
        if not vitals.broker_online:
            return [
                Issue(
                    "BROKER_UNREACHABLE",
                    "link",
                    "error",
                    {
                        "zh": "连不上消息代理：检查网络、地址与令牌",
                        "en": "The broker cannot be reached: check network, address and token.",
                    },
                )
            ]
        if vitals.hub_away:
            return [
                Issue(
                    "HUB_AWAY",
                    "link",
                    "warning",
                    {
                        "zh": "中心没有回应：本馆业务照常，外馆业务受限",
                        "en": "The hub does not answer: own circulation goes on, partners are limited.",
                    },
                )
            ]
        return []
