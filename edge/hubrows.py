"""The hub's answers to requests, read with the same types as the replica's rows; what does not fit is refused whole."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from consortium.decision import Outcome
from consortium.facts import CardFacts, ItemFacts, Relation
from edge.replica import ItemRow, ReaderRow, TokenRow


class HubAnswerInvalid(Exception):
    """The hub answered something that is no answer; treated as if it had not answered."""

    code = "HUB_ANSWER_INVALID"


def _row(value: Any, kind: type[Any]) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise HubAnswerInvalid(f"the hub's {kind.__name__} cannot be read") from error


def card_of(told: dict[str, Any]) -> CardFacts:
    """The card in an answer to ``reader``. Raises HubAnswerInvalid."""
    token = told.get("token")
    if not isinstance(token, dict):
        raise HubAnswerInvalid("the hub named no card")
    row: TokenRow = _row({"srid": told.get("srid"), **token}, TokenRow)
    return row.card()


def reader_of(told: dict[str, Any]) -> tuple[str, ReaderRow]:
    """Site id and row of the reader in an answer to ``reader`` or ``borrow``. Raises HubAnswerInvalid."""
    value, srid = told.get("reader"), told.get("srid")
    if not isinstance(value, dict) or not isinstance(srid, str) or not srid:
        raise HubAnswerInvalid("the hub named no reader")
    row: ReaderRow = _row({"home": told.get("home"), **value}, ReaderRow)
    return srid, row


def item_of(told: dict[str, Any]) -> tuple[str, ItemRow]:
    """Owner and row in an answer to ``item``. Raises HubAnswerInvalid."""
    owner = told.get("owner")
    if not isinstance(owner, str) or not owner:
        raise HubAnswerInvalid("the hub named no owner")
    row: ItemRow = _row(told.get("item"), ItemRow)
    return owner, row


def item_facts(owner: str, item_no: str, row: ItemRow, srid: str | None = None) -> ItemFacts:
    """An item's row as facts, seen from the reader in front of the machine."""

    def relation(who: str | None) -> Relation:
        return Relation.NOBODY if who is None else Relation.SELF if who == srid else Relation.OTHER

    return ItemFacts(
        owner=owner,
        item_no=item_no,
        item_type=row.type,
        owner_branch=row.owner_branch,
        status=row.status,
        loan=relation(row.loan_srid),
        hold=relation(row.hold_srid),
        value=row.value,
        shareable=row.shareable,
        reference=row.reference,
        transit_to=row.transit_to,
        collection=row.collection,
    )


class LoanAnswer(msgspec.Struct, frozen=True):
    """One item of the hub's answer to ``borrow`` or ``renew``."""

    item_no: str
    outcome: Outcome
    codes: list[str]
    record: dict[str, Any]
    owner: str | None = None
    type: str = ""
    title: str = ""
    due: int | None = None
    basis: list[str] = []
    terms: dict[str, int] = {}
    reservation: str | None = None


def loan_answers(told: dict[str, Any], asked: int) -> list[LoanAnswer]:
    """The hub's answers to a stack, one for each item asked, in order. Raises HubAnswerInvalid.

    With ``more`` the hub says that the rest did not fit into its message and is to be asked again.
    """
    answers: list[LoanAnswer] = _row(told.get("answers"), list[LoanAnswer])
    fits = len(answers) == asked or (told.get("more") is True and 0 < len(answers) < asked)
    if not fits or any(a.outcome is Outcome.ALLOW and (a.due is None or not a.owner) for a in answers):
        raise HubAnswerInvalid("the hub's answers do not fit the stack")
    return answers


class HoldAnswer(msgspec.Struct, frozen=True):
    """The hub's answer to ``hold``: ``queue`` is the place in the queue, ``available`` whether the item is free now."""

    outcome: Outcome
    codes: list[str] = []
    hold: str | None = None
    queue: int | None = None
    available: bool = False
    title: str = ""
    owner: str | None = None
    item_no: str = ""


def hold_answer(told: dict[str, Any]) -> HoldAnswer:
    """Raises HubAnswerInvalid."""
    answer: HoldAnswer = _row(told, HoldAnswer)
    return answer


class Charge(msgspec.Struct, frozen=True):
    """One charge of a reader; ``amount`` in the currency's minor unit, ``type`` SIP2's two digits."""

    loan: str
    amount: Annotated[int, Meta(ge=0, lt=1 << 53)]
    item_no: str = ""
    owner: str | None = None
    title: str = ""
    type: str = "04"


class FeeList(msgspec.Struct, frozen=True):
    """The hub's answer to ``fee`` with ``list``: what a reader owes, oldest first; ``currency`` ISO 4217."""

    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")]
    charges: list[Charge]
    total: Annotated[int, Meta(ge=0, lt=1 << 53)]


class FeeAnswer(msgspec.Struct, frozen=True):
    """The hub's answer to a payment; ``left`` is what is still owed, in the minor unit."""

    accepted: bool
    codes: list[str] = []
    left: int | None = None


class BlockAnswer(msgspec.Struct, frozen=True):
    """The hub's answer to ``block``."""

    ok: bool
    codes: list[str] = []


def fee_list(told: dict[str, Any]) -> FeeList:
    """Raises HubAnswerInvalid."""
    answer: FeeList = _row(told, FeeList)
    return answer


def fee_answer(told: dict[str, Any]) -> FeeAnswer:
    """Raises HubAnswerInvalid."""
    answer: FeeAnswer = _row(told, FeeAnswer)
    return answer


def block_answer(told: dict[str, Any]) -> BlockAnswer:
    """Raises HubAnswerInvalid."""
    answer: BlockAnswer = _row(told, BlockAnswer)
    return answer
