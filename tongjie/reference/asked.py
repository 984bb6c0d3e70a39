"""One example's facts and its answer: a decision, a route, or the rules that speak.

Times are TOML instants, ages of facts are "30 s", "20 min" or "30 h". What an example does not name is known and in order.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from consortium.bundle import Policy
from consortium.decision import Decision, Route
from consortium.decisions import accept_return, may_borrow, may_enter, may_renew, next_destination
from consortium.facts import BorrowFacts, EnterFacts, RenewFacts, ReturnFacts
from consortium.plain import from_plain
from consortium.record import Facts
from consortium.rules import RESULTS, resolve
from consortium.rules import Case as RuleCase
from tongjie.reference.words import LABELS, amount, at, label

_SPAN = re.compile(r"(\d+) (s|min|h|d)")
_UNITS = {"s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_MS = frozenset({"to", "valid_to", "from", "placed"})
_KNOWN = ("policy", "cards", "blocks", "loans", "items")

DECIDE: dict[str, tuple[type[Facts], Callable[..., Decision]]] = {
    "may_enter": (EnterFacts, may_enter),
    "may_borrow": (BorrowFacts, may_borrow),
    "may_renew": (RenewFacts, may_renew),
    "accept_return": (ReturnFacts, accept_return),
}
"""Decisions by what an example asks for: the facts each is made from, and the function."""


def decided(data: dict[str, Any], policy: Policy) -> tuple[Decision, Facts, int]:
    """The decision an example asks for, with its facts and its instant."""
    kind, function = DECIDE[data["ask"]]
    facts, now = facts_of(data, kind)
    return function(policy, facts, now, explain=True), facts, now


def facts_of(data: dict[str, Any], kind: type[Any]) -> tuple[Any, int]:
    """The facts of an example, and its instant in ms UTC. What an example does not name is known and in order."""
    given = plain(data)
    now = int(given.pop("when"))
    given.pop("ask")
    ages = given.pop("age", "30 s")
    ages = dict.fromkeys(_KNOWN, "30 s") | (dict.fromkeys(_KNOWN, ages) if isinstance(ages, str) else ages)
    given["known"] = {name: now - span(ages[name]) for name in _KNOWN}
    given["device"] = {"id": "machine", "branch": given.pop("branch"), **given.get("device", {})}
    if kind in (EnterFacts, BorrowFacts):
        given.setdefault("card", {"status": "ACTIVE", "assurance": "HIGH"})
    if kind is not EnterFacts:
        given["item"] = {"item_no": "1001", **given["item"]}
    return from_plain(given, kind, strict=True), now


def span(text: str) -> int:
    """ "20 min" in milliseconds."""
    found = _SPAN.fullmatch(text)
    if found is None:
        raise TypeError(f"{text!r} is no span such as 20 min")
    return int(found[1]) * _UNITS[found[2]]


def plain(value: Any) -> Any:
    """TOML data with instants as ms UTC; ``to``, ``valid_to``, ``from`` and ``placed`` get the ``_ms`` that their fields carry."""
    if isinstance(value, dict):
        return {
            f"{key}_ms" if key in _MS and isinstance(one, datetime) else key: plain(one) for key, one in value.items()
        }
    if isinstance(value, list):
        return [plain(one) for one in value]
    return int(value.timestamp() * 1000) if isinstance(value, datetime) else value


def told(decision: Decision, policy: Policy, lang: str) -> list[str]:
    """The answer of a decision, below its trace."""
    words = LABELS[lang]
    lines = [
        "",
        label(words["answer"], f"{decision.outcome} {', '.join(decision.codes)}"),
        label(words["shown"], decision.display(lang)),
    ]
    if decision.due_ms is not None:
        lines.append(label(words["due"], at(decision.due_ms)))
    if decision.route is not None:
        lines.append(label(words["route"], route_text(decision.route)))
    if decision.obligations:
        lines.append(label(words["do"], ", ".join(decision.obligations)))
    if decision.basis:
        lines.append(label(words["basis"], ", ".join(decision.basis)))
    if decision.terms is not None:
        terms = decision.terms.to_plain()
        lines.append(label(words["terms"], ", ".join(f"{name} {amount(name, n)}" for name, n in terms.items())))
    if decision.notes:
        lines.append(label(words["notes"], ", ".join(decision.notes)))
    if decision.route is None:  # a return has no bound: it is taken however old the facts are
        lines.append(label(words["mode"], f"{decision.mode}, policy {policy.version}"))
    return lines


def route_text(route: Route) -> str:
    """A route in one line."""
    via = f" via {route.via}" if route.via else ""
    hold = f", hold {route.hold_id}" if route.hold_id else ""
    until = f", until {at(route.until)}" if route.until else ""
    return f"{route.action} {route.dest}{via} ({route.reason}{hold}{until})"


# --- routes and rules --------------------------------------------------------------------------------------------------


def route_lines(data: dict[str, Any], policy: Policy) -> list[str]:
    """Routes, one case a line: what the example says for all, with what each ``[[case]]`` says instead."""
    common = {key: value for key, value in data.items() if key != "case"}
    lines = []
    for case in data["case"]:
        changed = {key: value for key, value in case.items() if key != "label"}
        item = {**common["item"], **changed.pop("item", {})}
        facts, now = facts_of({**common, **changed, "item": item}, ReturnFacts)
        here = facts.device.branch
        rule = resolve(policy, RuleCase(frozenset(), "*", "*", facts.item.item_type, facts.item.owner, here, None, now))
        route = next_destination(policy, facts.item, facts, rule, here)
        lines.append(label(case["label"], route_text(route)))
    return lines


def rule_lines(data: dict[str, Any], policy: Policy, lang: str) -> list[str]:
    """The rules that speak to a case, in the order in which they are asked, and what each gives."""
    words = LABELS[lang]
    given = {"age": None, **plain(data)}
    now = int(given.pop("when"))
    given.pop("ask")
    case = RuleCase(frozenset(given.pop("agreements", ())), now=now, **given)
    found = resolve(policy, case)
    rules = {rule.id: rule for rule in policy.rules}
    taken: set[str] = set()
    lines = [label(words["order"], " > ".join(policy.bundle.match_order))]
    for name in found.basis:
        rule = rules[name]
        values = {key: getattr(rule, key) for key in RESULTS if getattr(rule, key) is not None and key not in taken}
        taken |= {*values}
        rank = " ".join(
            "=" if getattr(rule, one)[0] not in "*@" else getattr(rule, one)[0] for one in policy.bundle.match_order
        )
        lines.append(label(name, f"{rank}   " + ", ".join(f"{key} {amount(key, n)}" for key, n in values.items())))
    return lines
