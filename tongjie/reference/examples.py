"""Worked examples of docs/: what stands in a page as facts is decided by the program, and the page shows its answer.

An example is a block of TOML marked ``example=NAME``; the block marked ``answer=NAME`` after it is what ``answered`` writes there.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any

from consortium.bundle import Policy
from consortium.plain import PlainError
from tongjie.reference import asked, stories
from tongjie.reference.words import AnswerError

_LINES = r"(?:(?!```).*\n)*"  # up to the next fence
_BLOCKS = re.compile(
    rf"^(?P<asked>```toml example=(?P<name>[a-z-]+)\n(?P<body>{_LINES})```\n{_LINES})"
    rf"```text answer=(?P=name)\n(?P<answer>{_LINES})```$",
    re.MULTILINE,
)


def read_examples(page: str) -> dict[str, dict[str, Any]]:
    """The examples of a page by name, as plain data. Raises AnswerError EXAMPLE_TOML, EXAMPLE_TWICE."""
    found: dict[str, dict[str, Any]] = {}
    for block in _BLOCKS.finditer(page):
        name = block["name"]
        if name in found:
            raise AnswerError("EXAMPLE_TWICE", name, "there are two examples of that name")
        try:
            found[name] = tomllib.loads(block["body"])
        except tomllib.TOMLDecodeError as error:
            raise AnswerError("EXAMPLE_TOML", name, f"this is no TOML: {error}") from error
    return found


def answered(page: str, policy: Policy, lang: str) -> str:
    """The page with the answer that the program gives now to each of its examples; ``lang`` is "en" or "zh". Raises AnswerError."""
    examples = read_examples(page)

    def written(block: re.Match[str]) -> str:
        name = block["name"]
        lines = answer(name, examples, policy, lang)
        return f"{block['asked']}```text answer={name}\n" + "\n".join(lines) + "\n```"

    return _BLOCKS.sub(written, page)


def answer(name: str, examples: Mapping[str, dict[str, Any]], policy: Policy, lang: str) -> list[str]:
    """The lines of one example's answer. Raises AnswerError EXAMPLE_ASK, EXAMPLE_VALUE."""
    data = examples[name]
    ask = data.get("ask")
    try:
        if ask in asked.DECIDE:
            decision, _, _ = asked.decided(data, policy)
            return [*decision.trace, *asked.told(decision, policy, lang)]
        if ask == "next_destination":
            return asked.route_lines(data, policy)
        if ask == "rules":
            return asked.rule_lines(data, policy, lang)
        if ask in stories.TOLD:
            return stories.TOLD[ask](name, examples, policy, lang)
    except (PlainError, KeyError, TypeError) as error:
        raise AnswerError("EXAMPLE_VALUE", name, str(error)) from error
    raise AnswerError("EXAMPLE_ASK", name, f"nothing can be asked for as {ask!r}")
