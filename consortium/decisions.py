"""may_enter, may_borrow, accept_return: the same pure functions at gate, kiosk, bin, desk and hub (domain §3).

Every check inside a stage runs; the first stage that denies ends the evaluation. Order and codes are fixed.
"""

from __future__ import annotations

from consortium.agreement import Agreement, Service, Staleness
from consortium.bundle import Policy
from consortium.decision import Decision, Mode, Outcome, Route
from consortium.facts import (
    Assurance,
    BlockFacts,
    BorrowFacts,
    CardFacts,
    CardStatus,
    Device,
    EnterFacts,
    ItemFacts,
    ItemStatus,
    Known,
    ReaderFacts,
    Relation,
    ReturnFacts,
)
from consortium.identity import org_of_branch
from consortium.lending import due_date, limit_codes
from consortium.routing import next_destination
from consortium.rules import Case, Resolved, resolve
from consortium.serving import find_agreement

OWN_STALENESS = Staleness()
"""Bounds for a library's own readers, where no agreement speaks."""

REFER_CODES = frozenset(
    {"CARD_CLONE_SUSPECT", "NOT_DECIDABLE_OFFLINE", "STALE_POLICY", "CLOCK_UNTRUSTED", "DEVICE_UNAUTHORISED"}
)
"""Codes that send the reader to the desk instead of refusing."""

_CARD_CODE = {
    CardStatus.LOST: "CARD_LOST",
    CardStatus.REPLACED: "CARD_REPLACED",
    CardStatus.EXPIRED: "CARD_EXPIRED",
}


class _Case:
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
    ) -> Decision:
        return Decision(
            self.function, Outcome.ALLOW, (code,), self.policy.version, self.known, self.source, self.mode,
            obligations=obligations, due_ms=due_ms, basis=basis, route=route, notes=self.notes, trace=tuple(self.trace or ()),
        )  # fmt: skip


def _device_codes(policy: Policy, device: Device) -> list[str]:
    return [] if device.authorised and device.branch in policy.branches else ["DEVICE_UNAUTHORISED"]


def _card_codes(card: CardFacts | None, reader: ReaderFacts | None, now: int) -> list[str]:
    if card is None or reader is None:
        return ["CARD_UNKNOWN"]
    if card.status is not CardStatus.ACTIVE:
        return [_CARD_CODE[card.status]]
    if card.to_ms is not None and now >= card.to_ms:
        return ["CARD_EXPIRED"]
    return []


def _reader_codes(reader: ReaderFacts, now: int) -> list[str]:
    codes = []
    if reader.status != "ACTIVE":
        codes.append("READER_INACTIVE")
    if reader.valid_to_ms is not None and now >= reader.valid_to_ms:
        codes.append("READER_EXPIRED")
    return codes


def _block_codes(blocks: tuple[BlockFacts, ...], action: str, home: str, here: str, now: int) -> list[str]:
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


def may_enter(policy: Policy, facts: EnterFacts, now: int, *, source: str = "edge", explain: bool = False) -> Decision:
    """Whether the gate opens for the card presented, inwards. ``now`` in ms UTC."""
    case = _Case("enter", policy, facts.known, source, explain)
    codes = _device_codes(policy, facts.device)
    if case.stage("device", codes):
        return case.refuse(codes)
    codes = _card_codes(facts.card, facts.reader, now)
    if case.stage("card", codes):
        return case.refuse(codes)
    reader = facts.reader
    assert reader is not None
    codes = _reader_codes(reader, now)
    if case.stage("reader", codes):
        return case.refuse(codes)
    here = org_of_branch(facts.device.branch)
    own = reader.home == here
    staleness = OWN_STALENESS
    if not own:
        if not reader.shared:
            case.stage("sharing", ["READER_NOT_SHARED"])
            return case.refuse(["READER_NOT_SHARED"])
        agreement, codes = find_agreement(policy, reader, here, Service.ENTER, now)
        if agreement is not None:
            quota = agreement.quotas
            if (quota.visitors_now and facts.partner_visitors >= quota.visitors_now) or (
                quota.visits_per_day and facts.visits_today >= quota.visits_per_day
            ):
                codes = ["AGR_QUOTA"]
            staleness = agreement.staleness
        if case.stage("agreement", codes):
            return case.refuse(codes)
    codes = _stale_enter(case, staleness, facts, own, now)
    if case.stage("freshness", codes):
        return case.refuse(codes)
    codes = [] if policy.calendar_of(facts.device.branch).is_open(now) else ["BRANCH_CLOSED"]
    if case.stage("open", codes):
        return case.refuse(codes)
    codes = _block_codes(reader.blocks, "ENTER", reader.home, here, now)
    if case.stage("blocks", codes):
        return case.refuse(codes)
    branch = policy.branches[facts.device.branch]
    if facts.inside:
        if branch.anti_pass_back:
            case.stage("inside", ["ALREADY_INSIDE"])
            return case.refuse(["ALREADY_INSIDE"])
        case.notes = ("ALREADY_INSIDE",)
    codes = ["BRANCH_FULL"] if branch.capacity and facts.occupancy >= branch.capacity else []
    if case.stage("capacity", codes):
        return case.refuse(codes)
    return case.allow(("OPEN", "LOG_VISIT"))


def _stale_enter(case: _Case, bounds: Staleness, facts: EnterFacts, own: bool, now: int) -> list[str]:
    policy_age = now - facts.known.policy
    facts_age = now - min(facts.known.cards, facts.known.blocks)
    if policy_age > bounds.policy_fresh_ms or facts_age > bounds.enter_cards_fresh_ms or not facts.device.clock_trusted:
        case.mode = Mode.STALE
    fail_open = own and bounds.own_readers_fail_open
    codes = []
    if not fail_open:
        if not facts.device.clock_trusted:
            codes.append("CLOCK_UNTRUSTED")
        if policy_age > bounds.policy_refuse_ms:
            codes.append("STALE_POLICY")
        if facts_age > bounds.enter_cards_refuse_ms:
            codes.append("NOT_DECIDABLE_OFFLINE")
    return codes


def may_borrow(
    policy: Policy, facts: BorrowFacts, now: int, *, source: str = "edge", explain: bool = False
) -> Decision:
    """Whether the reader may take the item at this branch, and until when. ``now`` in ms UTC."""
    case = _Case("borrow", policy, facts.known, source, explain)
    codes = _device_codes(policy, facts.device)
    if case.stage("device", codes):
        return case.refuse(codes)
    place = facts.device.branch
    here = org_of_branch(place)
    codes = _card_codes(facts.card, facts.reader, now)
    if case.stage("card", codes):
        return case.refuse(codes)
    card, reader, item = facts.card, facts.reader, facts.item
    assert card is not None
    assert reader is not None
    own = reader.home == here
    codes = ["CARD_ASSURANCE_LOW"] if card.assurance is Assurance.LOW and not own and not facts.pin else []
    if case.stage("assurance", codes):
        return case.refuse(codes)
    codes = _reader_codes(reader, now)
    if not own and not reader.shared:
        codes.append("READER_NOT_SHARED")
    if case.stage("reader", codes):
        return case.refuse(codes)
    codes = _item_codes(policy, facts, reader, here)
    if case.stage("item", codes):
        return case.refuse(codes)
    assert item is not None
    agreements, codes = _borrow_agreements(policy, reader, item, here, now)
    if case.stage("agreement", codes):
        return case.refuse(codes)
    shared = next((a.shared_category(reader.home, reader.category) for a in agreements), None)
    rule = resolve(
        policy,
        Case(
            frozenset(a.id for a in agreements), reader.home, shared or reader.category, item.item_type, item.owner, place,
            reader.age, now,
        ),
    )  # fmt: skip
    codes = _rule_codes(rule)
    if case.stage(f"rule {'+'.join(rule.basis)}", codes):
        return case.refuse(codes)
    bounds = agreements[0].staleness if agreements else OWN_STALENESS
    partner = bool(agreements)
    codes = _stale_borrow(case, bounds, rule, facts, reader, partner, now)
    if case.stage("freshness", codes):
        return case.refuse(codes)
    codes = _block_codes(reader.blocks, "BORROW", reader.home, here, now)
    if case.stage("blocks", codes):
        return case.refuse(codes)
    codes = limit_codes(policy, reader, item, here, shared or reader.category)
    if case.stage("limits", codes):
        return case.refuse(codes)
    due = due_date(policy, rule, place, now, [card.to_ms, reader.valid_to_ms, *(a.valid_to_ms for a in agreements)])
    basis = (*(f"{a.id}@{a.version}" for a in agreements), *rule.basis)
    return case.allow(("UNSECURE", "RECEIPT"), due_ms=due, basis=basis)


def _item_codes(policy: Policy, facts: BorrowFacts, reader: ReaderFacts, here: str) -> list[str]:
    item = facts.item
    if item is None or item.owner not in policy.libraries:
        return ["ITEM_UNKNOWN"]
    if not facts.tag_agrees:
        return ["ITEM_MISMATCH"]
    codes = []
    if item.loan is Relation.SELF:
        codes.append("ITEM_ON_LOAN_SELF")
    elif item.loan is Relation.OTHER:
        codes.append("ITEM_ON_LOAN")
    if item.hold is Relation.OTHER:
        codes.append("ITEM_HELD")
    if item.reference:
        codes.append("ITEM_REFERENCE")
    if not item.shareable and (reader.home != item.owner or here != item.owner):
        codes.append("ITEM_NOT_SHARED")
    if item.status is ItemStatus.WITHDRAWN:
        codes.append("ITEM_UNKNOWN")
    return codes


def _borrow_agreements(
    policy: Policy, reader: ReaderFacts, item: ItemFacts, here: str, now: int
) -> tuple[list[Agreement], list[str]]:
    """Agreements needed with the place and with the owner, where these are not the reader's home."""
    found: list[Agreement] = []
    for other in dict.fromkeys((here, item.owner)):
        if other == reader.home:
            continue
        agreement, codes = find_agreement(policy, reader, other, Service.BORROW, now)
        if agreement is None:
            return [], codes
        if item.item_type in agreement.excluded_item_types:
            return [], ["ITEM_NOT_SHARED"]
        found.append(agreement)
    return found, []


def _rule_codes(rule: Resolved) -> list[str]:
    if rule.age_excluded:
        return ["READER_AGE"]
    if rule.lend is None or rule.period_days is None:
        return ["RULE_NONE"]
    return [] if rule.lend else ["ITEM_REFERENCE"]


def _stale_borrow(
    case: _Case, bounds: Staleness, rule: Resolved, facts: BorrowFacts, reader: ReaderFacts, partner: bool, now: int
) -> list[str]:
    known = facts.known
    policy_age = now - known.policy
    facts_age = now - min(known.cards, known.blocks, known.loans)
    items_age = now - known.items
    degraded = facts_age > bounds.borrow_facts_fresh_ms or items_age > bounds.borrow_facts_fresh_ms
    if degraded or policy_age > bounds.policy_fresh_ms or not facts.device.clock_trusted:
        case.mode = Mode.STALE
    if facts.away:
        case.mode = Mode.OFFLINE
    codes = []
    if partner and not facts.device.clock_trusted:
        codes.append("CLOCK_UNTRUSTED")
    if partner and policy_age > bounds.policy_fresh_ms:
        codes.append("STALE_POLICY")
    if facts_age > bounds.borrow_facts_refuse_ms or (
        rule.offline_lend is False and items_age > bounds.borrow_facts_fresh_ms
    ):
        codes.append("NOT_DECIDABLE_OFFLINE")
    elif facts.away or facts_age > bounds.borrow_facts_fresh_ms:
        cap = 2 if rule.offline_cap is None else rule.offline_cap
        if reader.unsynced >= cap:
            codes.append("LIMIT_OFFLINE")
    return codes


def accept_return(
    policy: Policy, facts: ReturnFacts, now: int, *, source: str = "edge", explain: bool = False
) -> Decision:
    """What happens to an item handed in: almost never refused, always routed. ``now`` in ms UTC."""
    case = _Case("return", policy, facts.known, source, explain)
    codes = _device_codes(policy, facts.device)
    if case.stage("device", codes):
        return case.refuse(codes)
    here = facts.device.branch
    item = facts.item
    if item is None or item.owner not in policy.libraries:
        case.stage("item", [])
        return case.allow(("SECURE",), code="RETURN_SET_ASIDE", route=Route("DESK", here, reason="UNKNOWN"))
    rule = resolve(policy, Case(frozenset(), "*", "*", item.item_type, item.owner, here, None, now))
    if rule.returnable_at == "owner" and org_of_branch(here) != item.owner:
        case.stage("returnable", ["RETURN_OWNER_ONLY"])
        if facts.can_hand_back:
            return case.refuse(["RETURN_OWNER_ONLY"])
        return case.allow(
            ("SECURE",), code="RETURN_SET_ASIDE", route=Route("DESK", here, reason="OWNER_ONLY"), basis=rule.basis
        )
    route = next_destination(policy, item, facts, rule, here)
    if item.loan is Relation.NOBODY and item.status is not ItemStatus.IN_TRANSIT:
        case.notes = ("RETURN_NO_LOAN",)
    code = {"SHELVE": "RETURN_HOME", "STAY": "RETURN_STAY", "HOLD": "RETURN_HOLD", "TRANSIT": "RETURN_TRANSIT"}.get(
        route.action, "RETURN_SET_ASIDE"
    )
    if code == "RETURN_HOME" and case.notes:
        code = "RETURN_NO_LOAN"
    if case.trace is not None:
        case.trace.append(f"route: {route.action} {route.dest}")
    return case.allow(("SECURE", "RECEIPT"), code=code, route=route, basis=rule.basis)
