"""docs/asyncapi.yaml says what the code does: every topic, every name, every message, both ways."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from protocols.bus import (
    TYPES,
    Ack,
    Envelope,
    EventBatch,
    EventRow,
    Kind,
    Rejected,
    State,
    encode,
    message_type,
    rfc3339,
    topics,
)
from protocols.bus.topics import NAMES

DOCUMENT: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parents[3] / "docs" / "asyncapi.yaml").read_text(encoding="utf-8")
)
NODE = "edge-251020-01"
NOT_TOPICS = {"check_node", "node_of_branch", "edge_filters", "parse"}


def topic_functions() -> dict[str, Any]:
    """Every function of topics.py that writes a topic."""
    return {
        name: function
        for name, function in vars(topics).items()
        if inspect.isfunction(function) and name in topics.__all__ and name not in NOT_TOPICS
    }


def resolve(node: Any) -> Any:
    """The document's part that a $ref names."""
    while isinstance(node, dict) and "$ref" in node:
        target: Any = DOCUMENT
        for level in node["$ref"].removeprefix("#/").split("/"):
            target = target[level]
        node = target
    return node


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def check(message: str, payload: bytes) -> None:
    """Hold these bytes against a message of the document."""
    schema = resolve(resolve(DOCUMENT["components"]["messages"][message])["payload"])
    jsonschema.Draft202012Validator(DOCUMENT | schema).validate(json.loads(payload))


def wrap(data: dict[str, Any], kind: Kind, name: str | None = None) -> bytes:
    return encode(Envelope(id="1", source=NODE, type=message_type(kind, name), time=rfc3339(1), data=data))


def test_document_and_code_have_the_same_topics() -> None:
    assert set(DOCUMENT["channels"]) == set(topic_functions())


def test_addresses_and_names_are_those_the_code_writes() -> None:
    for name, function in topic_functions().items():
        channel = DOCUMENT["channels"][name]
        parameters = list(inspect.signature(function).parameters)
        assert re.findall(r"\{(\w+)\}", channel["address"]) == parameters == list(channel["parameters"])
        if len(parameters) == 1:
            assert function(NODE) == channel["address"].format(node=NODE)
            continue
        allowed = channel["parameters"][parameters[1]]["enum"]
        kind = topics.parse(function(NODE, allowed[0])).kind
        assert set(allowed) == NAMES[kind]
        for value in allowed:
            assert function(NODE, value) == channel["address"].format(node=NODE, **{parameters[1]: value})


def test_shared_filters_of_the_hub_are_in_the_document() -> None:
    text = json.dumps(DOCUMENT)
    assert topics.INGEST_FILTER in text
    assert topics.DECIDE_FILTER in text


def test_every_reference_leads_somewhere_and_every_message_is_used() -> None:
    for reference in references(DOCUMENT):
        assert resolve({"$ref": reference}) is not None, reference
    used = {
        reference.rsplit("/", 1)[1]
        for channel in DOCUMENT["channels"].values()
        for reference in references(channel["messages"])
    }
    assert used == set(DOCUMENT["components"]["messages"])


def test_every_channel_has_one_operation_and_its_right_direction() -> None:
    told = {}
    for operation in DOCUMENT["operations"].values():
        told[operation["channel"]["$ref"].rsplit("/", 1)[1]] = operation["action"]
        if "reply" in operation:
            other = "receive" if operation["action"] == "send" else "send"
            told[operation["reply"]["channel"]["$ref"].rsplit("/", 1)[1]] = other
    assert set(told) == set(DOCUMENT["channels"])
    tails = {wanted.split("/")[3] for wanted in topics.edge_filters(NODE)}
    for name, action in told.items():
        channel = DOCUMENT["channels"][name]["address"].split("/")
        tail = channel[3] if channel[3] != "twin" or name == "twin_desired" else "-"
        assert (action == "receive") == (tail in tails), name


@pytest.mark.parametrize("kind", Kind)
def test_types_of_the_code_are_those_of_the_document(kind: Kind) -> None:
    names: list[str | None] = [None]
    if "{name}" in TYPES[kind]:
        of = {Kind.REP: Kind.REQ, Kind.ASK_REP: Kind.ASK, Kind.CMD_REP: Kind.CMD}.get(kind, kind)
        names = sorted(NAMES[of])  # type: ignore[assignment]
    for name in names:
        wanted = message_type(kind, name)
        matching = [
            key
            for key, schema in DOCUMENT["components"]["schemas"].items()
            if (said := schema.get("properties", {}).get("type", {}))
            != {"type": "string", "minLength": 1, "maxLength": 512}
            and isinstance(said, dict)
            and (said.get("const") == wanted or re.fullmatch(said.get("pattern", "^$"), wanted))
        ]
        assert len(matching) == 1, wanted


def test_messages_made_by_the_code_fit_the_document() -> None:
    row = EventRow(1, '{"kind":"CHECKOUT"}', "ab" * 32, "00ff", None)
    check("events", wrap(EventBatch("1740816000123-a", (row,)).to_data(), Kind.EVT))
    check("ack", wrap(Ack("1740816000123-a", 7, (Rejected(3, "BAD_HASH"),)).to_data(), Kind.ACK))
    check("state", wrap(State(online=False).to_data(), Kind.STATE))
    check("state", wrap(State(True, "e-1", "0.1.0", {"gate-1": {}}).to_data(), Kind.STATE))
    check("request", wrap({"deadline_at": 1}, Kind.REQ, "enter"))
    check("reply", wrap({"error": {"code": "AGR_NONE", "message": ""}}, Kind.REP, "enter"))


@pytest.mark.parametrize(
    ("message", "payload"),
    [
        ("events", wrap({"epoch": "e", "events": []}, Kind.EVT)),
        ("events", wrap({"epoch": "e", "events": [{"seq": 0, "body": "{}", "hash": "ab" * 32}]}, Kind.EVT)),
        ("ack", wrap({"epoch": "e"}, Kind.ACK)),
        ("ack", wrap({"epoch": "e", "upto": 1}, Kind.EVT)),
        ("request", wrap({}, Kind.REQ, "enter")),
        ("request", wrap({"deadline_at": 1}, Kind.REQ, "leave")),
        ("state", wrap({}, Kind.STATE)),
    ],
)
def test_what_the_code_refuses_the_document_refuses(message: str, payload: bytes) -> None:
    with pytest.raises(jsonschema.ValidationError):
        check(message, payload)
