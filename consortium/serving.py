"""Which agreement serves a reader at a host, or why none does (domain §3, stage 5 of may_enter)."""

from __future__ import annotations

from consortium.agreement import Agreement, AgreementStatus, Service
from consortium.bundle import Policy
from consortium.facts import ReaderFacts

_STATUS_CODE = {
    AgreementStatus.SUSPENDED: "AGR_SUSPENDED",
    AgreementStatus.ENDED: "AGR_ENDED",
    AgreementStatus.DRAFT: "AGR_NOT_YET",
}


def _agreement_standing(agreement: Agreement, now: int) -> list[str]:
    if agreement.status in _STATUS_CODE:
        return [_STATUS_CODE[agreement.status]]
    if now < agreement.valid_from_ms:
        return ["AGR_NOT_YET"]
    if now >= agreement.valid_to_ms:
        return ["AGR_ENDED"]
    return []


def find_agreement(
    policy: Policy, reader: ReaderFacts, host: str, service: Service, now: int
) -> tuple[Agreement | None, list[str]]:
    """The agreement under which the host serves this reader, or the codes of the one that came nearest.

    Agreements that name the reader's category speak first; among them one that serves beats one that refuses.
    """
    covering = policy.covering(reader.home, host)
    if not covering:
        return None, ["AGR_NONE"]
    if not (policy.is_active(reader.home) and policy.is_active(host)):
        return None, ["AGR_ENDED"]  # one of the two is leaving the consortium
    naming = [a for a in covering if a.shared_category(reader.home, reader.category) is not None]
    if not naming:
        standing = [_agreement_standing(a, now) for a in covering]
        return None, ["AGR_CATEGORY"] if [] in standing else standing[0]
    best: list[str] | None = None
    for agreement in naming:
        codes = _agreement_standing(agreement, now)
        if not codes:
            if service not in agreement.services:
                codes.append("AGR_SERVICE_OFF")
            if any(period.holds(now) for period in agreement.blackouts):
                codes.append("AGR_BLACKOUT")
        if not codes:
            return agreement, []
        if best is None:
            best = codes
    return None, best or ["AGR_NONE"]
