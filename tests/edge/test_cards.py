"""A device's options become a card profile, and a read becomes the token that the hub gave the same card."""

from __future__ import annotations

from typing import Any

import pytest

from consortium.identity import TokenKind, canonical_uid, site_key, token
from drivers.base import CardRead
from edge.cards import CARD_OPTIONS, PROFILES, CardError, CardProfile, card_token, profile_of
from hub.identity.keys import Identity

MASTER = bytes(range(32))
HOME = "251020"
KEY = site_key(MASTER, HOME)


def read(raw: str, bits: int | None = None, form: str = "raw") -> CardRead:
    data = bytes.fromhex(raw)
    return CardRead("gate1", 0, "IN", form, len(data) * 8 if bits is None else bits, data, 0)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"card": "w27"}, "known: uid"),
        ({"card": 26}, "a name or a table"),
        ({"card": ["w26"]}, "a name or a table"),
        ({"card": {"byte_order": "reversed"}}, "no byte_order"),
        ({"card": {"reverse_bytes": 1}}, "reverse_bytes is true or false"),
        ({"card": {"wiegand": True}}, "wiegand is a whole number"),
        ({"card": {"facility": "7"}}, "facility is a whole number"),
        ({"card": {"radix": "oct"}}, "radix is"),
        ({"card": {"wiegand": 26, "whole": True}}, "never a whole"),
        ({"card": "w26", "reverse_bytes": True}, "not both"),
        ({"reverse_bytes": "yes"}, "reverse_bytes is true or false"),
    ],
)
def test_options_that_cannot_be_meant_are_refused_in_words(options: dict[str, Any], says: str) -> None:
    with pytest.raises(CardError) as refused:
        profile_of(options)
    assert refused.value.code == "CARD_PROFILE"
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("options", "profile"),
    [
        ({}, CardProfile()),
        ({"open_tenths": 30, "direction": "IN"}, CardProfile()),
        ({"reverse_bytes": False}, CardProfile()),
        ({"reverse_bytes": True}, CardProfile(reverse_bytes=True)),
        ({"card": "uid-reversed"}, CardProfile(reverse_bytes=True)),
        ({"card": "w26"}, CardProfile(wiegand=26)),
        ({"card": {}}, CardProfile()),
        ({"card": {"wiegand": 34, "whole": True}}, CardProfile(wiegand=34, whole=True)),
        ({"card": {"radix": "dec", "number_bytes": 4}}, CardProfile(radix="dec", number_bytes=4)),
    ],
)
def test_options_name_a_profile(options: dict[str, Any], profile: CardProfile) -> None:
    assert profile_of(options) == profile


def test_what_the_edge_reads_of_options_no_driver_is_given() -> None:
    assert {"card", "reverse_bytes"} == CARD_OPTIONS
    assert set(PROFILES) >= {"uid", "uid-reversed", "w26", "w34"}


def test_what_cannot_be_a_card_has_no_token() -> None:
    with pytest.raises(CardError) as refused:
        card_token(KEY, CardProfile(), read("00000000"))
    assert refused.value.code == "CARD_BLANK"


def test_one_card_is_one_token_at_a_straight_and_a_reversed_cardreader_and_at_the_hub() -> None:
    straight = card_token(KEY, profile_of({}), read("04A1B2C3D4E580"))
    reversed_ = card_token(KEY, profile_of({"reverse_bytes": True}), read("80E5D4C3B2A104"))
    assert straight == reversed_
    assert straight.kind is TokenKind.UID and not straight.truncated
    assert straight.token == Identity(MASTER).card(HOME, "04A1B2C3D4E580")
    assert straight.token == token(KEY, TokenKind.UID, canonical_uid("04A1B2C3D4E580"))
    assert straight.token not in repr(straight)


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({}, read("E580A1")),  # a raw line of three bytes: the last three of a longer number
        ({"reverse_bytes": True}, read("C3B2A1")),
        ({"card": {"end": "high"}}, read("A1B2C3")),
        ({"card": {"whole": False}}, read("C3D4E580")),
    ],
)
def test_a_cut_read_is_a_token_that_the_hub_gives_at_home_alone(options: dict[str, Any], sent: CardRead) -> None:
    uid = {"E580A1": "04B2E580A1", "C3B2A1": "A1B2C3D4E5", "A1B2C3": "A1B2C3D4E5", "C3D4E580": "04A1B2C3D4E580"}
    card = card_token(KEY, profile_of(options), sent)
    assert card.truncated and card.kind is TokenKind.CARD_NO
    hub = Identity(MASTER)
    number = uid[sent.raw.hex().upper()]
    assert card.token in hub.cut_card(HOME, number)
    assert card.token not in hub.cut_card("990001", number)
