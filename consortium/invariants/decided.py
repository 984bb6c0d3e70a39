"""I8, I9, I10: recorded decisions (domain §3, §6, §7).

Deciding again is the claim of I8, so here, and only here, the checker calls the decision functions. What they get is the facts that
were recorded with the decision; the snapshot these came from is not retained, the record is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_type_hints

import msgspec

from consortium.agreement import Service, Staleness
from consortium.bundle import Bundle, BundleError, Policy
from consortium.decision import Decision
from consortium.decisions import OWN_STALENESS, accept_return, may_borrow, may_enter, may_renew
from consortium.facts import BorrowFacts, EnterFacts, Known, ReaderFacts, RenewFacts, ReturnFacts
from consortium.invariants.finding import Finding, Offences
from consortium.invariants.reading import Decided, Recorded
from consortium.mastership import BY_THE_ILS
from consortium.seal import PolicyKey, SealError, Trust, from_text, trusted_seals
from consortium.serving import find_agreement

_NO_RECORD = (msgspec.ValidationError, KeyError, TypeError, ValueError, AttributeError, IndexError)


def policies_of(bundles: Iterable[Bundle]) -> dict[int, Policy]:
    """The compiled policies by version; one that contradicts itself is left out, and whatever was decided by it is broken."""
    out: dict[int, Policy] = {}
    for bundle in bundles:
        try:
            out[bundle.version] = Policy(bundle)
        except BundleError:
            continue
    return out


class DecidedAgain:
    """I8: deciding again from the recorded facts under the recorded policy gives the recorded outcome, codes, due date and route."""

    def __init__(self, policies: Mapping[int, Policy]) -> None:
        self._out = Offences("I8")
        self._policies = policies

    def see(self, event: Decided) -> None:
        """Look at one event's decision, if it carries one."""
        recorded = event.decision
        if recorded is None:
            return
        self._out.checked += 1
        policy = self._policies.get(recorded.pv)
        if policy is None:
            self._out.add(event.id, f"was decided under policy {recorded.pv}, which is not on record")
            return
        try:
            again = _decide(policy, recorded)
        except _NO_RECORD:
            self._out.add(event.id, "carries a decision record that cannot be read")
            return
        if (again.outcome, list(again.codes), again.due_ms) != (recorded.o, recorded.c, recorded.due):
            said = _words(recorded.o, recorded.c, recorded.due)
            self._out.add(
                event.id, f"was decided {said}; its facts give {_words(again.outcome, again.codes, again.due_ms)}"
            )
        elif recorded.f == "return":
            if not _same_route(again, event):
                self._out.add(event.id, "goes another way than its decision found")
        elif again.due_ms is not None and event.data.get("due", again.due_ms) < again.due_ms:
            self._out.add(event.id, "promised the reader an earlier due instant than was decided")

    def result(self) -> Finding:
        """What was found."""
        return self._out.finding()


_MOST_REMEMBERED = 10_000


class _FactsReader:
    """Reads recorded facts of one kind. Most parts of them recur (the machine, a card's standing): these are read once."""

    def __init__(self, kind: type[Any], decide: Callable[..., Decision]) -> None:
        self._kind = kind
        self.decide = decide
        self._decoders = {
            name: msgspec.json.Decoder(hint, strict=False)
            for name, hint in get_type_hints(kind).items()
            if name != "known"
        }
        self._parts: dict[tuple[str, bytes], Any] = {}

    def read(self, plain: msgspec.Raw, known: Known) -> Any:
        """The facts, with the as-of times that stand beside them as ages. Raises what ``_NO_RECORD`` names."""
        parts = {
            name: self._part(name, bytes(raw)) for name, raw in _PARTS.decode(plain).items() if name in self._decoders
        }
        return self._kind(known=known, **parts)

    def _part(self, name: str, raw: bytes) -> Any:
        key = (name, raw)
        found = self._parts.get(key)
        if found is None:
            if len(self._parts) >= _MOST_REMEMBERED:
                self._parts.clear()
            found = self._parts[key] = self._decoders[name].decode(raw)
        return found


_PARTS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_READERS = {
    "enter": _FactsReader(EnterFacts, may_enter),
    "borrow": _FactsReader(BorrowFacts, may_borrow),
    "renew": _FactsReader(RenewFacts, may_renew),
    "return": _FactsReader(ReturnFacts, accept_return),
}


def _decide(policy: Policy, recorded: Recorded) -> Decision:
    reader, now = _READERS[recorded.f], recorded.t
    if now is None:
        raise ValueError("a decision without its instant")
    policy_age, cards, blocks, loans, items = recorded.k
    known = Known(now - policy_age, now - cards, now - blocks, now - loans, now - items)
    return reader.decide(policy, reader.read(recorded.facts, known), now, source=recorded.s)


def _same_route(again: Decision, event: Decided) -> bool:
    route = event.data.get("route")
    if route is None or again.route is None or event.data.get("override"):
        return True  # a refusal has none, and staff may send an item another way
    dest = route.get("dest")
    return route.get("action") == again.route.action and dest in (None, again.route.dest)


def _words(outcome: str, codes: Iterable[str], due: int | None) -> str:
    return f"{outcome} {'+'.join(codes)}" + (f" due {due}" if due is not None else "")


class _Reader(msgspec.Struct):
    home: str
    category: str


class _Whose(msgspec.Struct):
    """As much of recorded facts as tells which bounds they had to keep."""

    reader: _Reader


_WHOSE = msgspec.json.Decoder(_Whose)
_JUDGED = frozenset({"enter", "borrow", "renew"})
"""Decisions with facts that age; a return is taken whatever is known."""


class FreshEnough:
    """I9: an ALLOW calls itself ONLINE only on facts inside the fresh bound; beyond the refusing bound only own readers come in.

    The bounds are the strictest of the agreements that served the reader. That the offline cap held is part of I8: it is a code.
    """

    def __init__(self, policies: Mapping[int, Policy]) -> None:
        self._out = Offences("I9")
        self._policies = policies
        self._profiles: dict[int, dict[str, Staleness]] = {}

    def see(self, event: Decided) -> None:
        """Look at one event's decision, if it carries one."""
        recorded = event.decision
        if recorded is None or recorded.o != "ALLOW" or recorded.f not in _JUDGED:
            return
        self._out.checked += 1
        try:
            self._judge(event, recorded)
        except _NO_RECORD:
            self._out.add(event.id, "carries a decision record that cannot be read")

    def _judge(self, event: Decided, recorded: Recorded) -> None:
        if recorded.b == [BY_THE_ILS]:
            return  # the one in charge was asked at that moment: no age of ours was relied upon (that it is in charge is I8's)
        entering = recorded.f == "enter"
        reader = _WHOSE.decode(recorded.facts).reader
        bounds = self._bounds(event, recorded, reader)
        policy_age, *ages = recorded.k
        age = max(ages[:2] if entering else ages[:3])
        oldest = age if entering else max(ages)  # what is known of an item never refuses a loan, but it is said
        fresh = min(one.enter_cards_fresh_ms if entering else one.borrow_facts_fresh_ms for one in bounds)
        refuse = min(one.enter_cards_refuse_ms if entering else one.borrow_facts_refuse_ms for one in bounds)
        if recorded.m == "ONLINE" and (oldest > fresh or policy_age > min(one.policy_fresh_ms for one in bounds)):
            self._out.add(event.id, f"was allowed as ONLINE on facts {oldest} ms old (policy {policy_age} ms)")
        if age > refuse and not (entering and reader.home == event.org):
            self._out.add(event.id, f"was allowed on facts {age} ms old; the bound is {refuse} ms")

    def _bounds(self, event: Decided, recorded: Recorded, reader: _Reader) -> list[Staleness]:
        """The staleness profiles that the decision stood under: of every agreement it needed."""
        policy = self._policies.get(recorded.pv)
        if policy is None or (recorded.f == "enter" and reader.home == event.org):
            return [OWN_STALENESS]
        if recorded.f == "enter":
            facts = ReaderFacts(reader.home, reader.category)
            served, _ = find_agreement(policy, facts, event.org, Service.ENTER, recorded.t or event.t)
            return [served.staleness if served is not None else OWN_STALENESS]
        profiles = self._profiles.get(recorded.pv)
        if profiles is None:
            profiles = self._profiles[recorded.pv] = {one.key: one.staleness for one in policy.bundle.agreements}
        return [profiles[name] for name in recorded.b if name in profiles] or [OWN_STALENESS]

    def result(self) -> Finding:
        """What was found."""
        return self._out.finding()


class UnderSealedPolicy:
    """I10: every ALLOW stood under a policy that is on record, in force at that instant, and signed by a trusted key."""

    def __init__(
        self, bundles: Mapping[int, str], read: Mapping[int, Bundle], sealed: Mapping[int, str], keys: Mapping[str, str]
    ) -> None:
        self._out = Offences("I10")
        self._read = read
        self._unsealed = {version: why for version in bundles if (why := _seal_fault(version, bundles, sealed, keys))}
        if not keys:
            self._out.not_checked = "no policy key is known here, so nobody can say who signed the policies"
            self._unsealed = {}

    def see(self, event: Decided) -> None:
        """Look at one event's decision, if it carries one."""
        recorded = event.decision
        if recorded is None or recorded.o != "ALLOW" or recorded.f not in _JUDGED:
            return
        self._out.checked += 1
        version, at = recorded.pv, recorded.t if recorded.t is not None else event.t
        bundle = self._read.get(version)
        if bundle is None:
            self._out.add(event.id, f"was allowed under policy {version}, which is not on record")
        elif not bundle.valid_from_ms <= at < bundle.valid_to_ms:
            self._out.add(event.id, f"was allowed under policy {version}, which was not in force at that time")
        elif version in self._unsealed:
            self._out.add(event.id, f"was allowed under policy {version}: {self._unsealed[version]}")

    def result(self) -> Finding:
        """What was found."""
        return self._out.finding()


def _seal_fault(
    version: int, bundles: Mapping[int, str], sealed: Mapping[int, str], keys: Mapping[str, str]
) -> str | None:
    text = sealed.get(version)
    if text is None:
        return "it is not signed"
    try:
        trust = Trust(tuple(PolicyKey.from_hex(public) for public in keys.values()))
        opened = from_text(text)
        trusted_seals(opened, trust)
    except SealError as error:
        return str(error)
    return None if opened.body == bundles[version] else "what was signed is another text than what is on record"
