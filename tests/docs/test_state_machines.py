"""docs/state-machines.md: nothing of the tables is lost in the pictures, and the pictures are mermaid."""

from __future__ import annotations

import re

import pytest

from consortium.facts import ItemStatus
from consortium.machines import HOLD, ITEM, LOAN, TRANSIT, VISIT
from consortium.states import EndKind, HoldState, OutKind, TransitState
from tongjie.reference import machines, names

PAGE = machines.page()
PICTURES = re.findall(r"```mermaid\n(.*?)```", PAGE, re.DOTALL)
ARROW = re.compile(r"^ +(\[\*\]|\w+) --> (\w+) : ([^:;{}\[\]#%]+)$")
STATE = re.compile(r'^ +state "[^"]+" as (\w+)( \{)?$')


@pytest.mark.parametrize("picture", PICTURES)
def test_a_picture_has_only_lines_that_mermaid_reads(picture: str) -> None:
    lines = picture.splitlines()
    assert lines[0] == "stateDiagram-v2"
    for line in lines[1:]:
        assert ARROW.match(line) or STATE.match(line) or line.strip() in ("}", "direction LR"), line
    assert sum(line.endswith("{") for line in lines) == sum(line.strip() == "}" for line in lines)


@pytest.mark.parametrize("picture", PICTURES)
def test_every_arrow_joins_states_that_the_picture_names(picture: str) -> None:
    states = {found[1] for line in picture.splitlines() if (found := STATE.match(line))}
    arrows = [found for line in picture.splitlines() if (found := ARROW.match(line))]
    assert {end for arrow in arrows for end in (arrow[1], arrow[2])} - {"[*]"} <= states
    assert len({(arrow[1], arrow[2]) for arrow in arrows}) == len(arrows)


@pytest.mark.parametrize("picture", PICTURES)
def test_no_frame_has_an_arrow_to_what_stands_inside_it(picture: str) -> None:
    found = re.search(r"as (\w+) \{\n(.*?)\n    \}", picture, re.DOTALL)
    if found is None:
        return
    inside = {one[1] for line in found[2].splitlines() if (one := STATE.match(line))}
    for line in picture.splitlines():
        arrow = ARROW.match(line)
        assert arrow is None or arrow[1] != found[1] or arrow[2] not in inside


def test_there_is_a_picture_of_each_machine() -> None:
    assert len(PICTURES) == 6  # the item has two


def test_the_item_s_pictures_reach_every_state() -> None:
    targets = {found[2] for picture in PICTURES[:2] for line in picture.splitlines() if (found := ARROW.match(line))}
    assert {*ItemStatus} <= targets


def test_every_row_of_the_item_s_table_stands_on_the_page() -> None:
    table = PAGE.partition("### The whole table")[2].partition("## Loan")[0].splitlines()
    for row in ITEM:
        said = f"| {row.guard.value} | {row.effect.value} | {machines._target(row)} |"
        assert any(f"`{row.event}`" in line and said in line for line in table), row


def test_every_edge_of_the_other_machines_stands_on_the_page() -> None:
    for edge in (*LOAN, *TRANSIT, *VISIT, *HOLD):
        assert any(f"| {edge.label} |" in line and f"`{edge.target}`" in line for line in PAGE.splitlines()), edge


def test_routes_lead_where_the_fold_puts_the_item() -> None:
    assert machines.routes() == {
        "SHELVE": "SHELVED",
        "STAY": "SHELVED",
        "HOLD": "HOLD_SHELF",
        "HOLD_HERE": "RETURNED_AT",
        "TRANSIT": "IN_TRANSIT",
        "DESK": "EXCEPTION",
    }


def test_every_state_has_a_name_in_both_languages() -> None:
    assert {*names.ITEM_STATES} == {*ItemStatus}
    assert {*names.TRANSIT_STATES} == {*TransitState}
    assert {*names.HOLD_STATES} == {*HoldState}
    assert {*names.LOAN_STATES} == {"OPEN", *EndKind}
    assert {*names.VISIT_STATES} == {"INSIDE", *OutKind}
