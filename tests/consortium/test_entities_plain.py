"""Entities as plain data and JSON: round trips, one sentence for what is wrong, and schemas that stay as published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from consortium.agreement import Agreement
from consortium.bundle import Bundle
from consortium.bundle import from_json as bundle_from_json
from consortium.bundle import to_json as bundle_to_json
from consortium.calendar import Calendar
from consortium.entities import (
    Action,
    Block,
    BlockKind,
    BlockScope,
    Card,
    DeviceKind,
    DeviceRecord,
    HoldWish,
    Item,
    Medium,
    Reader,
    ReaderStatus,
    ShareNotice,
    Tag,
)
from consortium.events import SCHEMAS
from consortium.facts import Assurance, CardStatus
from consortium.plain import (
    ENTITIES,
    PlainError,
    all_schemas,
    from_json,
    from_plain,
    join,
    schema,
    schema_text,
    to_json,
    to_plain,
    unknown_key,
)
from tests.make import HOME, Make

SCHEMA_FOLDER = Path(__file__).parents[2] / "docs" / "schema"

orgs = st.from_regex(r"[0-9A-Za-z]{1,16}", fullmatch=True)
local = st.from_regex(r"[0-9A-Za-z]{1,8}", fullmatch=True)
branches = st.builds("{}-{}".format, orgs, local)
numbers = st.text(min_size=1, max_size=64)
lines = st.text(max_size=64)
instants = st.integers(0, (1 << 53) - 1)
ends = st.none() | st.just((1 << 53) - 1)
starts = st.integers(0, 1 << 50)
uids = st.binary(min_size=4, max_size=16).map(bytes.hex)
notices = st.builds(ShareNotice, st.integers(1, 99), starts, st.just(True), st.none())
readers = st.builds(
    Reader, orgs, numbers, st.text(min_size=1, max_size=24), st.sampled_from(ReaderStatus), st.none() | instants, st.booleans(),
    st.none() | notices, st.sampled_from(["zh", "en", "zh-CN"]), st.none() | st.integers(1850, 2200), st.none() | st.integers(0, 150),
    st.booleans(),
)  # fmt: skip
cards = st.builds(
    Card, uids, st.sampled_from(Medium), st.none() | st.sampled_from(Assurance), st.sampled_from(CardStatus), starts, ends,
)  # fmt: skip
blocks = st.builds(
    Block, orgs, st.frozensets(st.sampled_from(Action), min_size=1), st.sampled_from(BlockScope), st.sampled_from(BlockKind), starts,
    ends, st.text(max_size=200), lines,
)  # fmt: skip
tags = st.none() | st.builds(Tag, st.none() | uids, lines, lines)
items = orgs.flatmap(
    lambda org: st.builds(
        Item, st.just(org), numbers, st.text(min_size=1, max_size=24), lines, local.map(lambda code: f"{org}-{code}"),
        st.none() | branches, st.integers(0, 99), st.booleans(), st.booleans(), lines, st.none() | lines, tags,
    )
)  # fmt: skip
wishes = st.builds(HoldWish, orgs, numbers, orgs, numbers, branches, starts, ends)
devices = st.builds(
    DeviceRecord, numbers, branches, st.sampled_from(DeviceKind), st.sampled_from(["", "ab" * 32]), st.text(max_size=32),
    st.integers(0, 99), instants, st.integers(0, 99), st.integers(-9, 9), st.text(max_size=24),
)  # fmt: skip

TEXT: dict[str, Any] = to_plain(Make.bundle())


# --- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "PLAIN_NOT_JSON"), ("{", "PLAIN_NOT_JSON"), (b"\xff{}", "PLAIN_NOT_JSON"), ("[" * 100_000, "PLAIN_TYPE"),
        ("null", "PLAIN_TYPE"), ("{" + '"a":{' * 100_000, "PLAIN_NOT_JSON"),
        ("{}", "PLAIN_TYPE"), ('{"uid":3}', "PLAIN_TYPE"), ('{"uid":"xx"}', "PLAIN_TYPE"), ('{"uid":"04A1B2C3D"}', "UID_INVALID"),
        ('"' + "x" * (1 << 20) + '"', "PLAIN_TOO_LONG"), ("\ud800", "PLAIN_NOT_JSON"),
    ],
)  # fmt: skip
def test_json_that_is_no_card_has_a_code(text: str | bytes, code: str) -> None:
    with pytest.raises(PlainError) as wrong:
        from_json(text, Card)
    assert wrong.value.code == code


@given(st.binary(max_size=200))
def test_no_bytes_are_more_than_refused(raw: bytes) -> None:
    for kind in ENTITIES:
        try:
            from_json(raw, kind)
        except PlainError:
            continue


def test_a_limit_counts_bytes_and_can_be_set() -> None:
    with pytest.raises(PlainError) as wrong:
        from_json('{"uid": "馆馆馆馆"}', Card, limit=20)
    assert wrong.value.code == "PLAIN_TOO_LONG"


@pytest.mark.parametrize(
    ("data", "place"),
    [
        ({**TEXT, "rules": [{"id": "r", "lent": True}]}, "rules[0].lent"),
        (
            {**TEXT, "agreements": [{**TEXT["agreements"][0], "quotas": {"visitors": 3}}]},
            "agreements[0].quotas.visitors",
        ),
        ({**TEXT, "branches": [{**TEXT["branches"][0], "name": "x"}]}, "branches[0].name"),
        ({**TEXT, "notes": 1}, "notes"),
        (TEXT, None),
        (3, None),
    ],
)
def test_a_key_that_a_value_does_not_have_is_found(data: Any, place: str | None) -> None:
    assert unknown_key(data, Bundle) == place
    if place is not None:
        with pytest.raises(PlainError) as wrong:
            from_plain(data, Bundle, place="policy", strict=True)
        assert (wrong.value.code, wrong.value.place) == ("PLAIN_KEY", f"policy.{place}")
        assert from_plain(data, Bundle).version == 1


def test_a_stray_key_in_an_optional_value_is_found() -> None:
    assert unknown_key({"owner": "1", "tag": {"chip": "04"}}, Item) == "tag.chip"


def test_the_code_of_an_inner_value_is_kept() -> None:
    calendar = {"id": "c", "tz": "Nowhere/Never", "weekly": [[]] * 7}
    with pytest.raises(PlainError) as wrong:
        from_plain(calendar, Calendar, place="calendars[3]")
    assert (wrong.value.code, str(wrong.value)) == (
        "CALENDAR_ZONE",
        "calendars[3]: no time zone is called 'Nowhere/Never'",
    )


def test_a_refusal_of_the_value_itself_names_its_field() -> None:
    with pytest.raises(PlainError) as wrong:
        from_plain({"uid": "04A1B2C3D"}, Card, place="readers[3].cards[0]")
    assert (wrong.value.code, wrong.value.place) == ("UID_INVALID", "readers[3].cards[0].uid")


def test_a_place_inside_a_place() -> None:
    assert join("readers[3]", "category") == "readers[3].category"
    assert join("rules", "[0]") == "rules[0]"
    assert join("", "a") == "a" and join("a", "") == "a"


# --- round trips -------------------------------------------------------------------------------------------------------


@given(st.one_of(readers, cards, blocks, items, wishes, devices))
def test_what_is_written_reads_back_the_same_and_keeps_to_its_schema(value: Any) -> None:
    text = to_json(value)
    again = from_json(text, type(value))
    assert again == value
    assert to_json(again) == text
    assert from_plain(to_plain(value), type(value), strict=True) == value
    assert text == json.dumps(to_plain(value), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    Draft202012Validator(schema(type(value))).validate(json.loads(text))


def test_a_bundle_is_written_as_its_own_module_does() -> None:
    bundle = Make.bundle()
    assert to_json(bundle) == bundle_to_json(bundle)
    assert from_json(to_json(bundle), Bundle) == bundle_from_json(to_json(bundle)) == bundle
    assert from_plain(TEXT["agreements"][0], Agreement, strict=True) == bundle.agreements[0]


# --- schemas -----------------------------------------------------------------------------------------------------------


def test_the_published_schemas_are_those_of_the_code() -> None:
    """Where a value was meant to change: python docs/schema/write.py, and tell who reads these files."""
    wanted = {name: schema_text(data) for name, data in all_schemas().items()}
    assert sorted(path.name for path in SCHEMA_FOLDER.glob("*.json")) == sorted(wanted)
    stale = [name for name, text in wanted.items() if (SCHEMA_FOLDER / name).read_text("utf-8") != text]
    assert stale == []


def test_every_entity_and_every_type_of_event_has_a_schema_that_is_one() -> None:
    found = all_schemas()
    assert len(found) == len(ENTITIES) + len(SCHEMAS)
    assert "event-checkout.json" in found and "bundle.json" in found
    for data in found.values():
        Draft202012Validator.check_schema(data)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (Reader, {"home": "a b", "reader_no": "1", "category": "UG"}),
        (Reader, {"home": HOME, "reader_no": "", "category": "UG"}),
        (Card, {"uid": "04A1B2C3", "medium": "PAPER"}),
        (Block, {"issuer": HOME, "actions": ["EAT"]}),
        (DeviceRecord, {"id": "1", "branch": HOME, "kind": "GATE"}),
    ],
)
def test_what_the_code_refuses_by_its_bounds_the_schema_refuses(kind: type[Any], data: dict[str, Any]) -> None:
    assert not Draft202012Validator(schema(kind)).is_valid(data)
    with pytest.raises(PlainError):
        from_plain(data, kind)
