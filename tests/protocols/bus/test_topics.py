"""Topics: what is refused, and that writing and reading agree."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.bus import Kind, LocalProtocolError, ProtocolError, RemoteProtocolError, topics
from protocols.bus.topics import NAMES, Topic

NODE = "edge-251020-01"
nodes = st.from_regex(r"[a-z0-9-]{1,64}", fullmatch=True)


@pytest.mark.parametrize("node", ["", "A", "edge/1", "+", "#", "edge_1", "馆", "x" * 65, "a\n"])
def test_node_that_could_escape_its_level_is_refused(node: str) -> None:
    with pytest.raises(LocalProtocolError) as refusal:
        topics.evt(node)
    assert refusal.value.code == "BUS_NODE"


@pytest.mark.parametrize("name", ["", "leave", "enter/x", "+", "hello\x00"])
def test_name_that_a_kind_does_not_know_is_refused(name: str) -> None:
    with pytest.raises(LocalProtocolError) as refusal:
        topics.req(NODE, name)
    assert refusal.value.code == "BUS_TOPIC_NAME"


@pytest.mark.parametrize(
    ("topic", "code"),
    [
        ("", "BUS_TOPIC"),
        ("tongjie/v2/a/evt", "BUS_TOPIC"),
        ("tongjie/v1/a", "BUS_TOPIC"),
        ("tongjie/v1/a/loot", "BUS_TOPIC"),
        ("tongjie/v1/a/req/enter/x", "BUS_TOPIC"),
        ("/tongjie/v1/a/evt", "BUS_TOPIC"),
        ("tongjie/v1//evt", "BUS_NODE"),
        ("tongjie/v1/A/evt", "BUS_NODE"),
        ("tongjie/v1/a/evt/x", "BUS_TOPIC_NAME"),
        ("tongjie/v1/a/req", "BUS_TOPIC_NAME"),
        ("tongjie/v1/a/req/leave", "BUS_TOPIC_NAME"),
        ("tongjie/v1/a/evt/", "BUS_TOPIC_NAME"),
    ],
)
def test_topic_of_another_shape_is_the_peers_fault(topic: str, code: str) -> None:
    with pytest.raises(RemoteProtocolError) as refusal:
        topics.parse(topic)
    assert refusal.value.code == code


@given(st.text(max_size=80))
def test_garbage_is_refused_or_reads_back_as_itself(text: str) -> None:
    with contextlib.suppress(RemoteProtocolError):
        assert str(topics.parse(text)) == text


@given(nodes, st.data())
def test_every_topic_reads_back(node: str, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(Kind))
    name = data.draw(st.sampled_from(sorted(NAMES[kind]))) if kind in NAMES else None
    topic = Topic(node, kind, name)
    assert topics.parse(str(topic)) == topic


def test_topics_are_those_of_the_contract() -> None:
    assert topics.node_of_branch("251020-01") == NODE
    assert [
        topics.evt(NODE),
        topics.ack(NODE),
        topics.req(NODE, "hello"),
        topics.rep(NODE),
        topics.ask(NODE, "reader"),
        topics.ask_rep(NODE),
        topics.work(NODE),
        topics.work_rep(NODE),
        topics.state(NODE),
        topics.twin_desired(NODE),
        topics.twin_reported(NODE),
        topics.replica(NODE, "delta"),
        topics.cmd(NODE, "open-once"),
        topics.cmd_rep(NODE),
    ] == [
        f"tongjie/v1/{NODE}/{tail}"
        for tail in [
            "evt",
            "ack",
            "req/hello",
            "rep",
            "ask/reader",
            "ask-rep",
            "work",
            "work-rep",
            "state",
            "twin/desired",
            "twin/reported",
            "replica/delta",
            "cmd/open-once",
            "cmd-rep",
        ]
    ]
    assert topics.INGEST_FILTER == "$share/ingest/tongjie/v1/+/evt"
    assert topics.DECIDE_FILTER == "$share/decide/tongjie/v1/+/req/+"


def test_an_edge_subscribes_to_nothing_of_another_node() -> None:
    for wanted in topics.edge_filters(NODE):
        assert wanted.startswith(f"tongjie/v1/{NODE}/")


def test_the_base_error_does_not_let_itself_be_raised() -> None:
    with pytest.raises(TypeError):
        ProtocolError("X")
