"""What this branch knows, looked up: policy, items, names, and answers given before. Nothing here decides or writes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from consortium.bundle import Policy
from consortium.facts import Device, ItemFacts, ItemStatus, Known, ReaderFacts
from consortium.identity import MAX_NUMBER, ItemKey
from edge.answers import Answer, Done, Identified, ItemRef, Transaction
from edge.asking import Asking
from edge.facts import Facts
from edge.hubrows import HubAnswerInvalid, item_facts, item_of
from edge.outbox import Outbox, OutboxError
from edge.replica import Replica

ITEM_TIMEOUT_S = 0.4


@dataclass(frozen=True, slots=True)
class ItemView:
    """An item as a kiosk may show it; ``due`` ms UTC where it is on loan, ``held`` where somebody waits for it.

    ``holds``: how many wait, as far as is known; ``recalled`` ms UTC since when its owner wants it back.
    """

    facts: ItemFacts
    title: str
    branch: str
    due: int | None
    held: bool
    holds: int = 0
    recalled: int | None = None


@dataclass(frozen=True, slots=True)
class LoanId:
    """One loan of an item: whose, and since when (ms UTC). It stays the same while the loan goes on, whatever the hub knows of it."""

    srid: str
    t_out: int


def is_number(text: str) -> bool:
    """Whether a text can be an item's number at all."""
    return 0 < len(text) <= MAX_NUMBER


class Lookup:
    """Looks things up for one branch. ``now`` ms UTC by the edge's clock."""

    def __init__(self, facts: Facts, replica: Replica, outbox: Outbox, hub: Asking, *, now: Callable[[], int]) -> None:
        self.branch = facts.branch
        self.org = facts.org
        self.now = now
        self._facts = facts
        self._replica = replica
        self._outbox = outbox
        self._hub = hub

    @property
    def policy(self) -> Policy | None:
        """The policy decisions are made by; None before the first replica."""
        return self._replica.policy

    def known(self) -> Known:
        """As-of times of the facts."""
        return self._replica.known(self.now())

    def device(self, device_id: str) -> Device:
        """A machine of this branch."""
        return self._facts.device(device_id)

    def reader_facts(self, reader: Identified) -> ReaderFacts:
        """The reader as known now, own later events included."""
        return (self._facts.reader(reader.srid) if reader.local else None) or reader.person.reader

    def key_of(self, ref: ItemRef) -> ItemKey | None:
        """The item a machine named, None where a bare number is nobody's as far as this edge can say."""
        if not is_number(ref.item_no):
            return None
        owner = ref.owner or self._facts.owner_of_number(ref.item_no)
        return ItemKey(owner, ref.item_no) if owner else None

    def known_item(self, key: ItemKey) -> ItemView | None:
        """What this edge knows of an item; None where nothing."""
        facts = self._facts.item(key)
        if facts is None:
            return None
        row = self._replica.item(key.owner, key.item_no)
        branch = row.branch if row is not None and row.branch else self.branch
        return ItemView(
            facts,
            row.title if row is not None else "",
            branch,
            self._facts.due(key),
            row is not None and row.hold_srid is not None,
            row.holds if row is not None else 0,
            row.recalled if row is not None else None,
        )

    async def look(self, ref: ItemRef) -> ItemView | str:
        """An item from the replica or the hub, or the code of why it cannot be shown."""
        key = self.key_of(ref)
        found = self.known_item(key) if key is not None else None
        if found is not None:
            return found
        asked = await self.ask_item(ref)
        if asked is None:
            return "NOT_DECIDABLE_OFFLINE" if self._hub.away else "ITEM_UNKNOWN"
        return asked

    def title_of(self, key: ItemKey) -> str:
        """What an item is called; empty where it is not known here."""
        return self._facts.title(key)

    def loans_of(self, srid: str) -> list[tuple[ItemKey, int | None]]:
        """Items on loan to a reader as far as this branch knows, with their due instants, first due first."""
        loans = [(key, self._facts.due(key)) for key in self._facts.loans_of(srid)]
        return sorted(loans, key=lambda loan: (loan[1] or 0, loan[0]))

    def due_of(self, key: ItemKey, srid: str) -> int | None:
        """Until when the item is on loan to this reader, as far as this edge knows; None where it is not."""
        loan = self._facts.loan(key)
        return loan.due if loan is not None and loan.srid == srid else None

    def titled(self, keys: Iterable[ItemKey], title: str) -> ItemRef | None:
        """The one of some items that is called so; None where none or several are."""
        wanted = title.strip()
        found = [key for key in keys if wanted and self._facts.title(key) == wanted]
        return ItemRef(found[0].owner, found[0].item_no) if len(found) == 1 else None

    def holds_of(self, srid: str) -> list[ItemKey]:
        """Items on hold for a reader as far as this branch knows."""
        return self._facts.holds_of(srid)

    def on_hold_shelf(self, key: ItemKey) -> bool:
        """Whether an item that is on hold lies ready, as far as this edge knows."""
        facts = self._facts.item(key)
        return facts is not None and facts.status is ItemStatus.HOLD_SHELF

    def should_be_secured(self, key: ItemKey) -> bool | None:
        """What the ledger says of an item's security; None where it knows nothing, or its last word is not durable yet."""
        return self._facts.should_be_secured(key)

    def loan_of(self, key: ItemKey) -> LoanId | None:
        """Which loan of the item is open, as far as this edge knows; None where none is, or nobody here knows whose."""
        loan = self._facts.loan(key)
        return LoanId(loan.srid, loan.t_out) if loan is not None and loan.srid is not None else None

    def on_loan(self, key: ItemKey | None) -> bool:
        """Whether the item is on loan as far as this edge knows."""
        facts = self._facts.item(key) if key is not None else None
        return facts is not None and facts.status is ItemStatus.ON_LOAN

    def shown(self, key: ItemKey) -> str:
        """An item's number as a kiosk prints it: bare for own items."""
        return key.item_no if key.owner == self.org else f"{key.owner}:{key.item_no}"

    def library_name(self, lang: str) -> str:
        """This library's name; empty before the first replica."""
        names = self.org_names(self.org)
        return "" if names is None else names[lang]

    def org_names(self, org: str) -> dict[str, str] | None:
        """A member's names {zh, en}."""
        library = self.policy.libraries.get(org) if self.policy is not None else None
        return None if library is None else {"zh": library.name_zh, "en": library.name_en}

    def branch_names(self, branch: str) -> dict[str, str] | None:
        """A branch's names {zh, en}."""
        found = self.policy.branches.get(branch) if self.policy is not None else None
        return None if found is None else {"zh": found.name_zh, "en": found.name_en}

    def answered(self, memo: Transaction | None) -> Answer | None:
        """The answer given before to the same transaction, unless another has been done with the item since."""
        kept = self._outbox.memo(memo.slot) if memo is not None else None
        return memo.kept(kept) if memo is not None and kept is not None else None

    def done_before(self, memo: Transaction | None) -> Done | None:
        """What was done before for the same transaction about a reader."""
        kept = self._outbox.memo(memo.slot) if memo is not None else None
        return memo.done(kept) if memo is not None and kept is not None else None

    async def remember(self, memo: Transaction | None, done: Done) -> None:
        """Keep what was done, so that its repeat is answered alike; where it cannot be kept the hub still knows the transaction."""
        if memo is not None and done.ok:
            with contextlib.suppress(OutboxError):
                await self._outbox.remember(memo.slot, memo.keep(done))

    def stranger(self, number: str) -> str:
        """A site id for a reader whom nobody can name yet: the number's token at the length of one (domain §6, CF_UNKNOWN_CARD)."""
        tokens = self._facts.tokens_of_number(number)
        return tokens[0][:32] if tokens else ""

    async def ask_item(self, ref: ItemRef) -> ItemView | None:
        """An item as the hub knows it; None where it does not or cannot be asked."""
        if not is_number(ref.item_no):
            return None
        question = {"owner": ref.owner, "item_no": ref.item_no, "branch": self.branch}
        told = await self._hub.ask("item", question, timeout_s=ITEM_TIMEOUT_S)
        if told is None or told.get("found") is not True:
            return None
        try:
            owner, row = item_of(told)
        except HubAnswerInvalid:
            return None
        facts = item_facts(owner, ref.item_no, row)
        return ItemView(facts, row.title, row.branch, row.due, row.hold_srid is not None, row.holds, row.recalled)
