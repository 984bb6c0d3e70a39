"""What a SIP2 kiosk is answered: its messages mapped onto the desk, the desk's answers onto SIP2 replies.

The server below has done framing, login, resends and the repeat on one run of the program; a transaction that comes again
after a restart of the edge is known by its memo in the outbox and answered as the first time (SIP2 2.00 §"same transaction").
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from consortium.facts import ItemStatus
from consortium.reasons import text
from drivers.selfcheck import (
    CheckinResult,
    CheckoutResult,
    EndResult,
    ItemResult,
    KioskSession,
    ReaderResult,
    Reply,
    StatusResult,
    refusal,
)
from edge.answers import Answer, ItemRef, Transaction
from edge.config import AccountConfig
from edge.desk import Desk
from edge.kiosk.texts import own_text
from edge.lookup import ItemView, is_number
from edge.metrics import Metrics
from edge.outbox import OutboxError
from edge.selfservice.account import Account, account_of, summary_of
from edge.selfservice.identify import Identifier, Presented, Unidentified
from edge.selfservice.pin import PinAnswer, SessionPin
from edge.selfservice.tags import PadTags
from protocols.sip2 import Message

PAD_TIMEOUT_S = 2.0
"""How long a reply waits for the tag; the loan is durable already, and the tag is repaired later."""

SUPPORTED = frozenset(("23", "11", "09", "99", "97", "93", "63", "35", "17"))

_CHINESE = frozenset(("019", "027", "000"))
_CIRCULATION = {
    ItemStatus.SHELVED: "03",
    ItemStatus.ON_LOAN: "04",
    ItemStatus.RETURNED_AT: "09",
    ItemStatus.IN_TRANSIT: "10",
    ItemStatus.HOLD_SHELF: "08",
    ItemStatus.MISSING: "13",
    ItemStatus.LOST: "12",
    ItemStatus.CLAIMED_RETURNED: "11",
}
_CARD_CODES = frozenset(("CARD_LOST", "CARD_REPLACED"))
_LIMIT_CODES = frozenset(("LIMIT_LENDER", "LIMIT_TYPE", "LIMIT_CONSORTIUM", "LIMIT_VALUE", "LIMIT_OFFLINE"))
_BINS = {"SHELVE": "1", "STAY": "1", "HOLD": "2", "TRANSIT": "3", "HOLD_HERE": "3"}
_EXCEPTION_BIN = "9"


@dataclass(frozen=True, slots=True)
class Site:
    """Where the kiosks stand: ``orgs`` are the members' codes, ``wall`` the branch's wall time, ``key`` the library's."""

    branch: str
    orgs: Callable[[], frozenset[str]]
    wall: Callable[[], datetime]
    due_text: Callable[[int], str]
    now: Callable[[], int]
    key: bytes


def lang_of(session: KioskSession) -> str:
    """The language of texts for a session: what the kiosk last asked for, else its account's."""
    return "zh" if session.language in _CHINESE else "en"


def line(code: str, lang: str) -> str:
    """A screen line: the sentence, then its stable code for staff and programs."""
    return f"{text(code, lang)} ({code})"


class Sip2Desk:
    """The handler of the SIP2 server. ``pads`` are the pads beside kiosks, by device id."""

    def __init__(
        self,
        site: Site,
        desk: Desk,
        identifier: Identifier,
        accounts: Mapping[str, AccountConfig],
        pads: Mapping[str, PadTags],
        metrics: Metrics,
    ) -> None:
        self._site = site
        self._desk = desk
        self._identifier = identifier
        self._accounts = accounts
        self._pads = pads
        self._metrics = metrics
        self._writes: set[asyncio.Task[Reply]] = set()
        self._messages: dict[str, Callable[[KioskSession, Message], Awaitable[Reply]]] = {
            "99": self._status,
            "23": self._reader,
            "63": self._reader,
            "17": self._item,
            "35": self._end,
            "11": self._checkout,
            "09": self._checkin,
        }

    async def handle(self, session: KioskSession, request: Message) -> Reply:
        """Answer one request; loans and returns go on to their end even where the server stops waiting."""
        started = time.perf_counter()
        act = self._messages.get(request.code)
        if act is None:
            return refusal(session, request, self._site.wall(), [line("OUT_OF_SERVICE", lang_of(session))])
        if request.code in ("11", "09"):
            task = asyncio.ensure_future(act(session, request))
            self._writes.add(task)
            task.add_done_callback(self._writes.discard)
            reply = await asyncio.shield(task)
        else:
            reply = await act(session, request)
        took = time.perf_counter() - started
        self._metrics.sip2_seconds.labels(self._metrics.library, request.code).observe(took)
        if request.code == "11":
            self._metrics.latency["kiosk_checkout"].add(took * 1000)
        return reply

    def on_timeout(self, session: KioskSession, request: Message) -> Reply:
        """The refusal where no answer came in time."""
        return refusal(session, request, self._site.wall(), [line("OUT_OF_SERVICE", lang_of(session))])

    async def close(self) -> None:
        """Let loans and returns under way end."""
        if self._writes:
            await asyncio.wait(self._writes, timeout=2.0)

    def _account(self, session: KioskSession) -> AccountConfig:
        return self._accounts[session.account.user]

    def device(self, session: KioskSession) -> str:
        """The kiosk's device id in events."""
        return self._account(session).device

    def _pin_of(self, session: KioskSession) -> SessionPin:
        kept = session.state.get("pin")
        if not isinstance(kept, SessionPin):
            kept = session.state["pin"] = SessionPin()
        return kept

    async def _identify(self, session: KioskSession, request: Message) -> Presented | Unidentified:
        account = self._account(session)
        pin = request.get("AD") if request.has("AD") else ""
        return await self._identifier.identify(
            request.get("AA").strip(),
            pin,
            device=account.device,
            trusts_card=account.trusts_card,
            session=self._pin_of(session),
        )

    # --- 99, 35 ---

    async def _status(self, session: KioskSession, request: Message) -> Reply:
        ready = self._desk.policy is not None
        writes = not self._desk.full
        return StatusResult(
            online=ready and writes,
            checkin_ok=writes,
            checkout_ok=ready and writes,
            renewal_ok=False,
            status_update_ok=False,
            offline_ok=False,
            supported=SUPPORTED,
            library_name=self._desk.library_name(lang_of(session)) or None,
        ).reply(session, request, self._site.wall())

    async def _end(self, session: KioskSession, request: Message) -> Reply:
        self._pin_of(session).forget()
        return EndResult().reply(session, request, self._site.wall())

    # --- 23, 63 ---

    async def _reader(self, session: KioskSession, request: Message) -> Reply:
        lang, wall = lang_of(session), self._site.wall()
        who = await self._identify(session, request)
        if isinstance(who, Unidentified):
            denied = frozenset(("charge_denied", "renewal_denied", "recall_denied", "hold_denied"))
            return ReaderResult(valid=False, status=denied, screen=[line(who.code, lang)]).reply(session, request, wall)
        summed = account_of if request.code == "63" else summary_of
        account = summed(self._desk, who.reader)
        codes = list(account.standing)
        if who.pin in (PinAnswer.WRONG, PinAnswer.LOCKED):
            codes.insert(0, who.pin.value)
        # The PIN was asked for and not answered right: a kiosk must not show whose loans these are.
        shown = account if who.pin not in (PinAnswer.WRONG, PinAnswer.LOCKED) else Account(standing=account.standing)
        return ReaderResult(
            valid=account.valid,
            valid_password=None if who.pin in (None, PinAnswer.UNCHECKED) else who.pin is PinAnswer.RIGHT,
            status=_flags(account.standing),
            hold_count=len(shown.holds),
            overdue_count=len(shown.overdue),
            charged_count=shown.charged_count,
            holds=shown.holds,
            overdues=shown.overdue,
            charged=shown.charged,
            charged_limit=account.charged_limit,
            home_library=who.reader.home,
            screen=[line(code, lang) for code in codes[:1]],
        ).reply(session, request, wall)

    # --- 17 ---

    async def _item(self, session: KioskSession, request: Message) -> Reply:
        lang, wall = lang_of(session), self._site.wall()
        found = await self._desk.look(ItemRef.typed(request.get("AB").strip(), self._site.orgs()))
        if not isinstance(found, ItemView):
            return ItemResult(circulation_status="01", screen=[line(found, lang)]).reply(session, request, wall)
        return ItemResult(
            circulation_status=_CIRCULATION.get(found.facts.status, "01"),
            title=found.title,
            due=self._site.due_text(found.due) if found.due is not None else None,
            owner=found.facts.owner,
            permanent_location=found.facts.owner_branch,
            current_location=found.branch,
            hold_queue=1 if found.held else None,
        ).reply(session, request, wall)

    # --- 11 ---

    def _transaction(self, session: KioskSession, request: Message) -> Transaction | None:
        """What makes the request known again; None for one without a date, which is always answered afresh."""
        date = request.fixed.get("transaction_date", "")
        if not date.strip():
            return None
        intent = (request.fixed.get("no_block", ""), request.get("BI"))
        same = "\x1f".join((session.account.user, request.code, request.get("AA"), request.get("AB"), date, *intent))
        return Transaction(f"sip2/{self._keyed(request.get('AB'))}", self._keyed(same))

    def _keyed(self, value: str) -> str:
        # Keyed: the outbox's file must not be a list of numbers that can be tried out.
        return hmac.new(self._site.key, value.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()

    async def _checkout(self, session: KioskSession, request: Message) -> Reply:
        lang = lang_of(session)
        memo = self._transaction(session, request)
        account = self._account(session)
        before = self._desk.answered(memo)
        if before is not None:
            return await self._lent(session, request, account, before, memo)
        if request.get("BI") == "Y":  # cancels a return that failed: only a person can tell what is true
            return self.on_timeout(session, request)
        who = await self._identify(session, request)
        codes = who.code if isinstance(who, Unidentified) else None
        if isinstance(who, Presented) and who.pin in (PinAnswer.WRONG, PinAnswer.LOCKED):
            codes = who.pin.value
        if codes is not None or isinstance(who, Unidentified):
            return CheckoutResult(ok=False, screen=[line(codes or "CARD_UNKNOWN", lang)]).reply(
                session, request, self._site.wall()
            )
        item = ItemRef.typed(request.get("AB").strip(), self._site.orgs())
        (answer,) = await self._desk.borrow(who.reader, [item], account.device, memos=[memo])
        self._count(account.device, "borrow", answer)
        return await self._lent(session, request, account, answer, memo)

    async def _lent(
        self, session: KioskSession, request: Message, account: AccountConfig, answer: Answer, memo: Transaction | None
    ) -> Reply:
        """The reply to a loan, and its tag; a repeat finishes a tag that the first time did not come to."""
        reply = self._loan(session, request, answer, memo)
        if not answer.ok or not self._desk.on_loan(answer.key) or await self._tag(account.pad, answer, secured=False):
            return reply
        return _with_line(reply, own_text("PUT_BACK", lang_of(session)) or "")

    def _loan(self, session: KioskSession, request: Message, answer: Answer, memo: Transaction | None) -> Reply:
        """12. ``desensitize`` stays Y though the pad may have written the AFI: the kiosk may have a strip to treat as well."""
        lang = lang_of(session)
        return CheckoutResult(
            ok=answer.ok,
            renewal_ok=answer.code == "ITEM_ON_LOAN_SELF",
            desensitize=answer.ok,
            title=answer.title,
            due=self._site.due_text(answer.due_ms) if answer.ok and answer.due_ms is not None else "",
            transaction_id=memo.identity[-16:] if answer.ok and memo is not None else None,
            screen=[line(answer.code, lang)],
        ).reply(session, request, self._site.wall())

    # --- 09 ---

    async def _checkin(self, session: KioskSession, request: Message) -> Reply:
        memo = self._transaction(session, request)
        before = self._desk.answered(memo)
        if before is not None:
            if not self._desk.on_loan(before.key):
                await self._tag(self._account(session).pad, before, secured=True)
            return self._returned(session, request, before)
        account = self._account(session)
        item = ItemRef.typed(request.get("AB").strip(), self._site.orgs())
        if not is_number(item.item_no):
            return refusal(session, request, self._site.wall(), [line("ITEM_UNKNOWN", lang_of(session))])
        answer = await self._desk.give_back(item, account.device, memo=memo)
        self._count(account.device, "return", answer)
        if answer.ok:
            await self._tag(account.pad, answer, secured=True)
        return self._returned(session, request, answer)

    def _returned(self, session: KioskSession, request: Message, answer: Answer) -> Reply:
        """10 with its routing: what the kiosk or a sorter does with the item."""
        lang = lang_of(session)
        route = answer.route
        alert_type = destination = None
        sort_bin = _BINS.get(route.action, _EXCEPTION_BIN) if route is not None else _EXCEPTION_BIN
        if route is not None and route.action == "TRANSIT":
            alert_type, destination = "02" if route.reason == "HOLD" else "04", route.dest
        elif route is not None and route.action == "HOLD":
            alert_type = "01"
        elif route is None or route.action == "DESK":
            alert_type = "99"
        return CheckinResult(
            ok=answer.ok,
            resensitize=answer.ok,
            alert=alert_type is not None,
            title=answer.title,
            permanent_location=answer.owner_branch,
            sort_bin=sort_bin if answer.ok else None,
            destination=destination,
            alert_type=alert_type if answer.ok else None,
            screen=[line(answer.code, lang)],
        ).reply(session, request, self._site.wall())

    # --- the pad beside the kiosk ---

    async def _tag(self, pad: str | None, answer: Answer, *, secured: bool) -> bool:
        """Set the tag right where it lies on the kiosk's pad; False where it lies there and did not take it in time.

        Other tags on the pad prove nothing: readers put whole stacks down.
        """
        tags = self._pads.get(pad) if pad else None
        if tags is None or answer.key is None or answer.key not in tags.on_pad():
            return True
        writing = asyncio.ensure_future(tags.set_secured(answer.key, secured))
        try:
            async with asyncio.timeout(PAD_TIMEOUT_S):
                return await asyncio.shield(writing)
        except (TimeoutError, OutboxError):
            return False

    def _count(self, device: str, operation: str, answer: Answer) -> None:
        self._metrics.transactions.labels(self._metrics.library, device, operation, answer.code).inc()


def _flags(standing: tuple[str, ...]) -> frozenset[str]:
    """Places of patron status that a standing raises."""
    if not standing:
        return frozenset()
    flags = {"charge_denied", "renewal_denied", "hold_denied", "recall_denied"}
    if _CARD_CODES & set(standing):
        flags.add("card_lost")
    if _LIMIT_CODES & set(standing):
        flags.add("too_many_charged")
    if "BLOCK_OVERDUE" in standing:
        flags.add("too_many_overdue")
    if "BLOCK_FEES" in standing:
        flags.add("excessive_fees")
    return frozenset(flags)


def _with_line(reply: Reply, screen: str) -> Reply:
    return Reply(reply.fixed, (*reply.fields, ("AF", screen)), reply.code)


__all__ = ["SUPPORTED", "Sip2Desk", "Site", "lang_of", "line"]
