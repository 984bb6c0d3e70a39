"""ATRs, the answer to Get Data, and vpcd's frames in any pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.pcsc import (
    GET_UID,
    Apdu,
    ApduError,
    AskAtr,
    AtrError,
    CardEnd,
    HostEnd,
    PowerOff,
    PowerOn,
    Request,
    Reset,
    VpcdError,
    parse_answer,
    parse_atr,
)

CLASSIC_1K = "3B8F8001804F0CA000000306030001000000006A"


@pytest.mark.parametrize(
    ("atr", "code"),
    [
        ("", "ATR_LENGTH"),
        ("3B", "ATR_LENGTH"),
        ("3B" * 34, "ATR_LENGTH"),
        ("6A82", "ATR_START"),
        ("3B8F", "ATR_CUT"),
        ("3B8F80", "ATR_CUT"),
        (CLASSIC_1K[:-2], "ATR_CUT"),
        (CLASSIC_1K + "00", "ATR_CUT"),
        (CLASSIC_1K[:-2] + "6B", "ATR_CHECK"),
        ("3B02144D", ""),
        ("3B0214", "ATR_CUT"),
    ],
)
def test_what_is_no_atr_is_refused(atr: str, code: str) -> None:
    if not code:
        assert parse_atr(bytes.fromhex(atr)).protocols == ()
        return
    with pytest.raises(AtrError) as refused:
        parse_atr(bytes.fromhex(atr))
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("atr", "chip", "medium"),
    [
        # The first four are printed in cardreader makers' manuals (Gemalto Prox-DU, SCM SCL01X) and in PC/SC part 3.
        (CLASSIC_1K, "MIFARE Classic 1K", "MF_CLASSIC"),
        ("3B8F8001804F0CA0000003060300020000000069", "MIFARE Classic 4K", "MF_CLASSIC"),
        ("3B8F8001804F0CA0000003060300030000000068", "MIFARE Ultralight", "MF_ULTRALIGHT"),
        ("3B8F8001804F0CA00000030603002600000000" + "4D", "MIFARE Mini", "MF_CLASSIC"),
        ("3B8F8001804F0CA000000306030037000000005C", "MIFARE Plus SL1 4K", "MF_PLUS"),
        ("3B8F8001804F0CA00000030611003B0000000042", "FeliCa", "FELICA"),
        ("3B8F8001804F0CA0000003060B00140000000077", "ICODE SLI", "ISO15693"),
        ("3B8F8001804F0CA0000003060B77770000000063", "", "ISO15693"),
        ("3B8F8001804F0CA0000003060377770000000" + "06B", "", ""),
        ("3B8180018080", "MIFARE DESFire", "DESFIRE"),
        ("3B80800101", "", "CPU"),
        ("3B858001108046018053", "", "CPU"),
        (
            "3BFC1300008131FE15597562696B65794E454F7233E1",
            "",
            "",
        ),  # a token with contacts tells nothing of a chip's number
    ],
)
def test_an_atr_tells_the_chip_as_far_as_it_can(atr: str, chip: str, medium: str) -> None:
    found = parse_atr(bytes.fromhex(atr))
    assert (found.chip, found.medium) == (chip, medium)
    assert found.contactless == atr.startswith("3B8") or not medium


@given(st.binary(max_size=40))
def test_any_bytes_are_an_atr_or_an_atr_error(raw: bytes) -> None:
    for attempt in (raw, b"\x3b" + raw):
        try:
            found = parse_atr(attempt)
        except AtrError:
            continue
        assert len(found.historical) <= 15


@pytest.mark.parametrize(
    ("raw", "code"), [(b"", "SHORT_ANSWER"), (b"\x90", "SHORT_ANSWER"), (bytes(65539), "LONG_ANSWER")]
)
def test_what_is_no_answer_is_refused(raw: bytes, code: str) -> None:
    with pytest.raises(ApduError) as refused:
        parse_answer(raw)
    assert refused.value.code == code


def test_an_answer_is_data_and_a_status_word() -> None:
    assert parse_answer(bytes.fromhex("6A81")).sw == 0x6A81
    assert not parse_answer(bytes.fromhex("6A81")).ok
    found = parse_answer(bytes.fromhex("04A1B2C39000"))
    assert (found.ok, found.data) == (True, bytes.fromhex("04A1B2C3"))
    assert "xa1" not in repr(found)


@pytest.mark.parametrize(("frame", "code"), [("0000", "EMPTY_FRAME"), ("000103", "UNKNOWN_CONTROL")])
def test_a_cardreader_that_breaks_the_protocol_is_told_apart(frame: str, code: str) -> None:
    card = CardEnd()
    card.receive(bytes.fromhex(frame))
    with pytest.raises(VpcdError) as refused:
        card.next_request()
    assert refused.value.code == code


def test_an_apdu_of_one_byte_would_be_a_control_and_is_refused() -> None:
    with pytest.raises(ValueError, match="2 to 65535"):
        Apdu(b"\x04")


def test_frames_are_as_the_project_vsmartcard_writes_them() -> None:
    host, card = HostEnd(), CardEnd()
    requests: list[Request] = [PowerOn(), Reset(), AskAtr(), Apdu(GET_UID), PowerOff()]
    assert b"".join(map(host.request, requests)).hex() == "0001010001020001040005ffca000000000100"
    assert card.answer(b"\x90\x00").hex() == "00029000"


requests = st.one_of(
    st.sampled_from([PowerOff(), PowerOn(), Reset(), AskAtr()]), st.builds(Apdu, st.binary(min_size=2, max_size=300))
)


@given(st.lists(requests, max_size=8), st.lists(st.binary(max_size=60), max_size=8), st.integers(1, 7))
def test_both_ends_understand_each_other_in_any_pieces(asked: list[Request], said: list[bytes], step: int) -> None:
    host, card = HostEnd(), CardEnd()
    there, back = b"".join(map(host.request, asked)), b"".join(map(card.answer, said))
    heard, told = [], []
    for at in range(0, len(there), step):
        card.receive(there[at : at + step])
        while (request := card.next_request()) is not None:
            heard.append(request)
    for at in range(0, len(back), step):
        host.receive(back[at : at + step])
        while (answer := host.next_answer()) is not None:
            told.append(answer)
    assert (heard, told) == (asked, said)
