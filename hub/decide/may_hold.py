"""may_hold: whether a reader may wait for an item, to be picked up at a branch. Only the hub decides it (domain §6)."""

from __future__ import annotations

from collections.abc import Sequence

from consortium.agreement import Agreement, BranchKind, Service
from consortium.bundle import Policy
from consortium.decision import Decision
from consortium.facts import Device, ItemFacts, ItemStatus, Known, ReaderFacts, Relation
from consortium.identity import org_of_branch
from consortium.rules import Resolved
from consortium.stages import Case, block_codes, device_codes, lending_agreements, lending_rule, reader_codes

_NOT_TO_BE_HAD = frozenset({ItemStatus.WITHDRAWN, ItemStatus.LOST, ItemStatus.MISSING})


def may_hold(
    policy: Policy,
    device: Device,
    known: Known,
    reader: ReaderFacts | None,
    item: ItemFacts | None,
    pickup: str,
    holds: int,
    most: int,
    now: int,
    *,
    explain: bool = False,
) -> Decision:
    """Whether the reader may wait for the item. ``holds``: how many of theirs are open, of ``most``; ``now`` ms UTC.

    Order: device, reader, item, pickup branch, agreements with the pickup's library and the owner (HOLD), rule (lend and holdable),
    blocks, limit. Pickup decides as the lending place does in may_borrow: there the loan will be made.
    """
    case = Case("hold", policy, known, "hub", explain)
    codes = device_codes(policy, device)
    if case.stage("device", codes):
        return case.refuse(codes)
    there = org_of_branch(pickup if pickup in policy.branches else device.branch)
    codes = _reader_codes(reader, item, there, now)
    if case.stage("reader", codes):
        return case.refuse(codes)
    assert reader is not None
    codes = _item_codes(policy, reader, item, there)
    if case.stage("item", codes):
        return case.refuse(codes)
    assert item is not None
    codes = _pickup_codes(policy, pickup)
    if case.stage("pickup", codes):
        return case.refuse(codes)
    agreements, codes = lending_agreements(policy, reader, item, there, Service.HOLD, now)
    codes = codes or _excluded(agreements, item)
    if case.stage("agreement", codes):
        return case.refuse(codes)
    rule, _ = lending_rule(policy, reader, item, pickup, agreements, now)
    codes = _rule_codes(rule)
    if case.stage(f"rule {'+'.join(rule.basis)}", codes):
        return case.refuse(codes)
    codes = block_codes(reader.blocks, "HOLD", reader.home, org_of_branch(device.branch), now)
    if case.stage("blocks", codes):
        return case.refuse(codes)
    codes = ["LIMIT_CONSORTIUM"] if holds >= most else []
    if case.stage("limits", codes):
        return case.refuse(codes)
    return case.allow(("RECEIPT",), basis=(*(agreement.key for agreement in agreements), *rule.basis))


def _reader_codes(reader: ReaderFacts | None, item: ItemFacts | None, there: str, now: int) -> list[str]:
    if reader is None:
        return ["CARD_UNKNOWN"]
    others = {there, item.owner if item is not None else there} - {reader.home}
    return reader_codes(reader, now, partner=bool(others))


def _item_codes(policy: Policy, reader: ReaderFacts, item: ItemFacts | None, there: str) -> list[str]:
    if item is None or item.owner not in policy.libraries or item.status in _NOT_TO_BE_HAD:
        return ["ITEM_UNKNOWN"]
    codes = []
    if item.loan is Relation.SELF:
        codes.append("ITEM_ON_LOAN_SELF")
    if item.reference:
        codes.append("ITEM_REFERENCE")
    if not item.shareable and {reader.home, there} != {item.owner}:
        codes.append("ITEM_NOT_SHARED")
    return codes


def _pickup_codes(policy: Policy, pickup: str) -> list[str]:
    branch = policy.branches.get(pickup)
    served = branch is not None and branch.kind is not BranchKind.DROP and policy.is_active(branch.org)
    return [] if served else ["AGR_SERVICE_OFF"]  # a return box hands nothing out


def _excluded(agreements: Sequence[Agreement], item: ItemFacts) -> list[str]:
    out = any(
        item.item_type in agreement.excluded_item_types
        or (item.collection and item.collection in agreement.excluded_collections)
        for agreement in agreements
    )
    return ["ITEM_NOT_SHARED"] if out else []


def _rule_codes(rule: Resolved) -> list[str]:
    """A rule must say that such items may be requested; one that says nothing does not."""
    if rule.age_excluded:
        return ["READER_AGE"]
    if rule.lend is False:
        return ["ITEM_REFERENCE"]
    return [] if rule.lend and rule.holdable else ["RULE_NONE"]
