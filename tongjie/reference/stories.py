"""Examples that are more than one decision: a late event, a what-if, an agreement that ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from consortium.bundle import Policy
from consortium.conflicts import assign
from consortium.corrections import Correction
from consortium.effects import Logged
from consortium.ending import TEXTS, Placed, StillOpen, when_agreement_ends, when_library_leaves
from consortium.events import Event, Kind, decode, encode
from consortium.facts import EnterFacts
from consortium.plain import from_plain
from consortium.record import record
from consortium.source.toml import dump
from consortium.states import Hold, Loan, Transit
from consortium.timeline import Timeline
from consortium.whatif import Step, replay
from consortium.whatif.draft import read_draft
from tongjie.reference.asked import decided, plain
from tongjie.reference.words import LABELS, at, label

Examples = Mapping[str, dict[str, Any]]

_LOAN = {"item_type": "BOOK", "who": "reader", "device": "kiosk"}
_DONE = {"may_enter": Kind.ENTRY, "may_borrow": Kind.CHECKOUT, "may_renew": Kind.RENEW, "accept_return": Kind.RETURN}
_WITHIN = frozenset({"end_event", "end_place"})  # what the ledger keeps beside an end, and nobody reads aloud
_FROM_2001_MS = 1_000_000_000_000  # smaller integers are counts, not instants


def _refold(name: str, examples: Examples, policy: Policy, lang: str) -> list[str]:
    """Events in the order in which they arrived; after each, what it corrected of what had been said."""
    words = LABELS[lang]
    data = plain(examples[name])
    owner, item_no = data["item"]
    timeline = Timeline(owner, item_no, data["owner_branch"])
    lines: list[str] = []
    for number, given in enumerate(data["event"], 1):
        event = _event(number, given, (owner, item_no))
        corrections = timeline.insert(Logged(event, given.get("reader")))
        lines.append(label(words["arrived"], f"{event.kind} {event.branch} {at(event.t_eff)}"))
        lines += [label(f"  {words['changed']}", _correction(one)) for one in corrections]
    history = timeline.history
    used = f", {words['used']} {history.uses}" if history.uses else ""
    lines += ["", label(words["state"], f"{history.status} {history.branch}{used}")]
    for loan in history.loans:
        end = f"{loan.end_kind} {at(loan.t_end)}" if loan.t_end is not None else "open"
        lines.append(label(words["loan"], f"{loan.who}: {at(loan.t_out)}, due {at(loan.due)}, {end}"))
    for one in history.conflicts:
        given_to = assign(one, history.loans)
        by = f", {at(given_to.deadline)}" if given_to.deadline else ""
        lines.append(label(words["conflict"], f"{one.kind}: {given_to.library}, {given_to.default}{by}"))
    return lines


def _event(number: int, given: dict[str, Any], item: tuple[str, str]) -> Event:
    """An event of an example, through the same door as one from a wire."""
    branch, when = given["branch"], int(given["when"])
    return decode(
        encode(
            Event(
                node=f"edge-{branch}",
                epoch="e1",
                seq=number,
                kind=Kind(given["kind"]),
                branch=branch,
                device=given.get("device", "machine"),
                t_dev=when,
                t_eff=when,
                t_unc=50,
                mono=number,
                boot="b1",
                data={"item": list(item), **given.get("data", {})},
                subject="s" if "reader" in given else None,
            )
        )
    )


def _correction(one: Correction) -> str:
    """What changed: both values of what was and is there, else what tells most of what is new or gone."""
    if one.before and one.after:
        pairs = {name: (one.before[name], one.after[name]) for name in one.after if name not in _WITHIN}
        said = [f"{name} {_value(was)} → {_value(now)}" for name, (was, now) in pairs.items() if was != now]
    else:
        found = one.after or one.before
        said = [f"{name} {_value(found[name])}" for name in ("who", "due", "kind", "to") if found.get(name) is not None]
    return f"{one.change}: {', '.join(said)}"


def _value(value: Any) -> str:
    if isinstance(value, int) and value > _FROM_2001_MS:
        return at(value)
    return "-" if value is None else str(value)


def _whatif(name: str, examples: Examples, policy: Policy, lang: str) -> list[str]:
    """The decisions of other examples of the page, decided again with a draft in place."""
    words = LABELS[lang]
    data = examples[name]
    steps = sorted((_step(one, examples[one], policy) for one in data["replay"]), key=lambda step: step.t)
    draft = read_draft(dump(data["draft"]), policy.bundle)
    found = replay({policy.version: policy}, draft, steps)
    lines = [
        label(words["decisions"], str(found.decisions)),
        label(words["same"], str(found.same)),
        label(words["allowed"], str(found.total.newly_allowed)),
        label(words["refused"], str(found.total.newly_refused)),
        label(words["otherwise"], str(found.total.otherwise)),
    ]
    changed = sorted((pair, n) for pair, n in found.by_code.items() if pair[0] != pair[1])
    return lines + [label(words["code"], f"{before} → {after}: {n}") for (before, after), n in changed]


def _step(name: str, data: dict[str, Any], policy: Policy) -> Step:
    decision, facts, now = decided(data, policy)
    kind = _DONE[data["ask"]] if decision.allowed else Kind.REFUSED
    item = None if isinstance(facts, EnterFacts) or facts.item is None else (facts.item.owner, facts.item.item_no)
    return Step(
        id=name,
        kind=kind,
        t=now,
        branch=data["branch"],
        who=f"reader of {name}",
        home=data.get("reader", {}).get("home"),
        item=item,
        decision=record(decision, facts, now),
    )


def _ends(name: str, examples: Examples, policy: Policy, lang: str) -> list[str]:
    """What is still open, and what is done about each, when an agreement ends or a library leaves."""
    data = plain(examples[name])
    now = int(data["when"])
    things = StillOpen(
        loans=tuple(from_plain({**_LOAN, **one}, Loan, strict=True) for one in data.get("loan", ())),
        holds=tuple(_hold(one) for one in data.get("hold", ())),
        transits=tuple(from_plain(one, Transit, strict=True) for one in data.get("transit", ())),
        floating=tuple(from_plain(one, Placed, strict=True) for one in data.get("floating", ())),
    )
    if data["ask"] == "library_leaves":
        found = when_library_leaves(policy, data["library"], now, things)
    else:
        agreement = next(one for one in policy.bundle.agreements if one.id == data["agreement"])
        found = when_agreement_ends(policy, agreement, now, things)
    zh = lang == "zh"
    return [
        label(f"{one.kind} {one.subject}", f"  {TEXTS[one.action][0 if zh else 1]} ({at(one.by)})") for one in found
    ]


def _hold(given: dict[str, Any]) -> tuple[Hold, str]:
    """A hold of an example, with its reader's home."""
    fields = {"who": "reader", **{key: value for key, value in given.items() if key != "home"}}
    return from_plain(fields, Hold, strict=True), given["home"]


TOLD: dict[str, Callable[[str, Examples, Policy, str], list[str]]] = {
    "refold": _refold,
    "whatif": _whatif,
    "agreement_ends": _ends,
    "library_leaves": _ends,
}
"""What may be asked for besides decisions, and who answers."""
