"""Checks that several decisions share: device, card, reader, blocks, clone, and the case that collects their codes (domain §3)."""

from __future__ import annotations

from collections.abc import Sequence

from consortium.agreement import Agreement, Service, Staleness
from consortium.bundle import Policy
from consortium.decision import Decision, Mode, Outcome, Route
from consortium.facts import BlockFacts, CardFacts, CardStatus, Device, ItemFacts, Known, ReaderFacts, Sighting
from consortium.places import travel_ms
from consortium.rules import Case as RuleCase
from consortium.rules import Resolved, resolve
from consortium.serving import find_agreement
from consortium.terms import Terms

OWN_STALENESS = Staleness()
"""Bounds for a library's own readers, where no agreement speaks."""

REFER_CODES = frozenset(
    {
        "CARD_CLONE_SUSPECT",
        "NOT_DECIDABLE_OFFLINE",
        "STALE_POLICY",
        "CLOCK_UNTRUSTED",
        "DEVICE_UNAUTHORISED",
        "ILS_REFUSED",
    }
)
"""Codes that send the reader to the desk instead of refusing."""

_CARD_CODE = {
    CardStatus.LOST: "CARD_LOST",
    CardStatus.REPLACED: "CARD_REPLACED",
    CardStatus.EXPIRED: "CARD_EXPIRED",
}


class Case:
    """Collects codes, notes and trace of one evaluation."""

    __slots__ = ("function", "known", "mode", "notes", "policy", "source", "trace")

    def __init__(self, function: str, policy: Policy, known: Known, source: str, explain: bool) -> None:
        self.function = function
        self.policy = policy
        self.known = known
        self.source = source
        self.mode = Mode.ONLINE
        self.notes: tuple[str, ...] = ()
        self.trace: list[str] | None = [] if explain else None

    def stage(self, name: str, codes: list[str]) -> bool:
        """Whether the stage denies."""
        if self.trace is not None:
            self.trace.append(f"{name}: {', '.join(codes) or 'ok'}")
        return bool(codes)

    def refuse(self, codes: list[str]) -> Decision:
        """DENY, or REFER where the first code sends the reader to the desk."""
        outcome = Outcome.REFER if codes[0] in REFER_CODES else Outcome.DENY
        return Decision(
            self.function, outcome, tuple(codes), self.policy.version, self.known, self.source, self.mode,
            notes=self.notes, trace=tuple(self.trace or ()),
        )  # fmt: skip

    def allow(
        self,
        obligations: tuple[str, ...],
        *,
        code: str = "OK",
        due_ms: int | None = None,
        basis: tuple[str, ...] = (),
        route: Route | None = None,
        terms: Terms | None = None,
    ) -> Decision:
        """ALLOW, with what has to be done about it."""
        return Decision(
            self.function, Outcome.ALLOW, (code,), self.policy.version, self.known, self.source, self.mode,
            obligations=obligations, due_ms=due_ms, basis=basis, route=route, notes=self.notes, terms=terms,
            trace=tuple(self.trace or ()),
        )  # fmt: skip


def device_codes(policy: Policy, device: Device, *, flooded: bool = False) -> list[str]:
    """Whether the machine may ask at all, and is not being flooded."""
    codes = [] if device.authorised and device.branch in policy.branches else ["DEVICE_UNAUTHORISED"]
    if flooded:
        codes.append("RATE_LIMITED")
    return codes


def card_codes(card: CardFacts | None, reader: ReaderFacts | None, now: int) -> list[str]:
    """Whether the card is known and valid."""
    if card is None or reader is None:
        return ["CARD_UNKNOWN"]
    if card.status is not CardStatus.ACTIVE:
        return [_CARD_CODE[card.status]]
    if card.to_ms is not None and now >= card.to_ms:
        return ["CARD_EXPIRED"]
    return []


def clone_codes(policy: Policy, elsewhere: Sighting | None, here: str, now: int) -> list[str]:
    """Whether the card was somewhere else too recently to be here."""
    if elsewhere is None or elsewhere.branch not in policy.branches:
        return []
    needed = travel_ms(policy.branches[elsewhere.branch], policy.branches[here])
    # Where the way is not known nobody is suspected, also not when the other branch's clock is ahead of ours.
    return ["CARD_CLONE_SUSPECT"] if needed and now - elsewhere.t < needed else []


def reader_codes(reader: ReaderFacts, now: int, *, partner: bool) -> list[str]:
    """Whether the reader's account is valid, and shared where a partner's."""
    codes = []
    if reader.status != "ACTIVE":
        codes.append("READER_INACTIVE")
    if reader.valid_to_ms is not None and now >= reader.valid_to_ms:
        codes.append("READER_EXPIRED")
    if partner and not reader.shared:
        codes.append("READER_NOT_SHARED")
    return codes


def block_codes(blocks: tuple[BlockFacts, ...], action: str, home: str, here: str, now: int) -> list[str]:
    """Codes of the blocks in force that stop this action here."""
    codes: list[str] = []
    for block in blocks:
        if action not in block.actions or now < block.from_ms or (block.to_ms is not None and now >= block.to_ms):
            continue
        if block.scope == "consortium":
            code = "BLOCK_CONSORTIUM"
        elif block.issuer == here:
            # Only the issuer's own machines say what it is about; elsewhere the reason stays private (M12).
            code = {"OVERDUE": "BLOCK_OVERDUE", "FEES": "BLOCK_FEES"}.get(block.kind, "BLOCK_HERE")
        elif block.issuer == home:
            code = "BLOCK_HOME"
        else:
            continue
        if code not in codes:
            codes.append(code)
    return codes


def lending_agreements(
    policy: Policy, reader: ReaderFacts, item: ItemFacts, here: str, service: Service, now: int
) -> tuple[list[Agreement], list[str]]:
    """Agreements needed with the place and with the owner, where these are not the reader's home."""
    found: list[Agreement] = []
    for other in dict.fromkeys((here, item.owner)):
        if other == reader.home:
            continue
        agreement, codes = find_agreement(policy, reader, other, service, now)
        if agreement is None:
            return [], codes
        found.append(agreement)
    return found, []


def lending_rule(
    policy: Policy, reader: ReaderFacts, item: ItemFacts, place: str, agreements: Sequence[Agreement], now: int
) -> tuple[Resolved, str]:
    """What the rules say of this reader, item and place, and the category they were asked with."""
    shared = next((a.shared_category(reader.home, reader.category) for a in agreements), None)
    category = shared or reader.category
    names = frozenset(a.id for a in agreements)
    rule = resolve(policy, RuleCase(names, reader.home, category, item.item_type, item.owner, place, reader.age, now))
    return rule, category


def strictest(agreements: Sequence[Agreement]) -> Staleness:
    """The bounds that satisfy every agreement concerned; those for own readers where there is none."""
    if len(agreements) < 2:
        return agreements[0].staleness if agreements else OWN_STALENESS
    bounds = [agreement.staleness for agreement in agreements]
    values = [one.offline_max_value for one in bounds if one.offline_max_value]
    return Staleness(
        policy_fresh_ms=min(one.policy_fresh_ms for one in bounds),
        policy_refuse_ms=min(one.policy_refuse_ms for one in bounds),
        enter_cards_fresh_ms=min(one.enter_cards_fresh_ms for one in bounds),
        enter_cards_refuse_ms=min(one.enter_cards_refuse_ms for one in bounds),
        borrow_facts_fresh_ms=min(one.borrow_facts_fresh_ms for one in bounds),
        borrow_facts_refuse_ms=min(one.borrow_facts_refuse_ms for one in bounds),
        own_readers_fail_open=all(one.own_readers_fail_open for one in bounds),
        offline_cap=min(one.offline_cap for one in bounds),
        offline_max_value=min(values, default=0),
    )
