"""How console pages are made: templates, words, local time, versioned static files."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from consortium.bundle import Policy
from consortium.reasons import REASONS
from consortium.reasons import text as reason_text
from hub.console.words import browser_words, words

__all__ = ["STATIC", "View", "render"]

HERE: Final = Path(__file__).parent
STATIC: Final = HERE / "static"

SHAPES: Final[Mapping[str, str]] = {
    "online": "●", "degraded": "▲", "offline": "■", "unknown": "◌", "silent": "◌", "never": "○",
}  # fmt: skip
"""A shape for every state, so that colour never says anything alone."""


_environment = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def _name_pair(code: str, view: View) -> tuple[str, str]:
    return code, view.name(code)


def _codes(lang: str) -> list[tuple[str, str]]:
    """Every code a refusal can carry, with its sentence, for a filter."""
    return [(code, f"{reason_text(code, lang)} ({code})") for code in REASONS if not code.startswith(("OK", "RETURN_"))]


_environment.filters["name_pair"] = _name_pair
_environment.globals["codes"] = _codes


class View:
    """What a page needs to speak: a language, a time zone, and names from the policy in force."""

    def __init__(self, lang: str, policy: Policy | None, library: str) -> None:
        self.lang = lang
        self.words = words(lang)
        self._policy = policy
        tz = "Asia/Shanghai"
        if policy is not None and policy.libraries:
            own = policy.libraries.get(library) or next(iter(policy.libraries.values()))
            tz = own.tz
        self.zone_name = tz
        self._zone = ZoneInfo(tz)

    def say(self, key: str, **values: object) -> str:
        """The sentence of ``key``; a word of a vocabulary that has none shows itself."""
        text = self.words.get(key)
        if text is None:
            return key.split(".", 1)[-1]
        return text.format(**values) if values else text

    def name(self, code: str) -> str:
        """The name of a branch or library, its code where the policy does not know it."""
        known = None
        if self._policy is not None:
            known = self._policy.branches.get(code) or self._policy.libraries.get(code)
        if known is None:
            return code
        return known.name_en if self.lang == "en" else known.name_zh

    def reason(self, code: str) -> str:
        """What a reader saw for the code."""
        return reason_text(code, self.lang)

    def local(self, stamp: str, now: str) -> str:
        """A time of the API as people at the library read it: the date only where it is not today's."""
        moment = datetime.fromisoformat(stamp).astimezone(self._zone)
        today = datetime.fromisoformat(now).astimezone(self._zone)
        if moment.date() == today.date():
            return moment.strftime("%H:%M:%S")
        form = "%m-%d %H:%M" if moment.year == today.year else "%Y-%m-%d"
        return moment.strftime(form)

    @staticmethod
    def shape(state: str) -> str:
        """The shape that stands beside a state's word."""
        return SHAPES.get(state, "◌")

    @staticmethod
    def query(values: Mapping[str, str], **changes: str | None) -> str:
        """A query string of ``values`` with ``changes``; None takes a name out."""
        merged = {**values, **changes}
        return "?" + urlencode({name: value for name, value in merged.items() if value})

    @staticmethod
    def static(name: str) -> str:
        """The address of a static file."""
        return f"/static/{name}"


def render(template: str, view: View, status: int = 200, **values: Any) -> HTMLResponse:
    """The page as an answer. Pages hold what only their viewer may see, so nothing on the way keeps them."""
    text = _environment.get_template(template).render(
        v=view, say=view.say, browser_words=browser_words(view.lang), **values
    )
    headers = {"cache-control": "no-store"}
    if "now" in values:
        headers |= {"x-now": values["now"], "x-now-local": view.local(values["now"], values["now"])}
    return HTMLResponse(text, status, headers=headers)
