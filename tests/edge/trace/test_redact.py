"""What may be seen of a frame: no password, no PIN, no reader's number or name, whatever the kiosk gets wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.trace.redact import MOST, redacted
from protocols.sip2 import seal

AT = "20261122    193711"
NUMBER, PIN, PASSWORD = "R2026000042", "246813", "kiosk-secret"
CHECKOUT = f"11NN{AT}{' ' * 18}AO251020|AA{NUMBER}|AB0012345678|AC{PASSWORD}|AD{PIN}|"
SECRETS = (NUMBER, PIN, PASSWORD)


def sealed(text: str, encoding: str = "utf-8") -> bytes:
    return seal(text.encode(encoding), "3")


def free_of_secrets(text: str) -> bool:
    return not any(secret in text for secret in SECRETS)


@pytest.mark.parametrize(
    "frame",
    [
        b"hello, my PIN is 246813",
        f"AD{PIN}|AA{NUMBER}|".encode(),
        CHECKOUT[3:].encode(),
        CHECKOUT[:20].encode() + b"|" + CHECKOUT[60:].encode(),
        f"12{PIN}".encode(),
        PASSWORD.encode(),
        f"77{AT}AA{NUMBER}|AD{PIN}|".encode(),
        b"",
    ],
)
def test_of_what_is_no_message_only_the_length_is_shown(frame: bytes) -> None:
    shown = redacted(frame, "utf-8")
    assert shown.text == f"({len(frame)} bytes, not shown)"
    assert shown.remark
    assert free_of_secrets(shown.text + shown.remark)


def test_a_frame_with_a_bad_checksum_shows_its_fields_and_no_value() -> None:
    shown = redacted(sealed(CHECKOUT)[:-4] + b"0000", "utf-8")
    assert shown.text == "11***AO***|AA***|AB***|AC***|AD***|"
    assert shown.remark.startswith("bad_checksum right=")
    assert "251020" not in shown.text


def test_passwords_numbers_and_names_are_masked_and_item_numbers_stay() -> None:
    shown = redacted(sealed(CHECKOUT), "utf-8")
    assert shown.text == f"11NN{AT}{' ' * 18}AO251020|AA***|AB0012345678|AC***|AD***|AY3"
    assert (shown.code, shown.remark) == ("11", "")
    login = redacted(f"9300CNkiosk1|CO{PASSWORD}|CPhall|".encode(), "ascii")
    assert login.text == "9300CN***|CO***|CPhall|"


@pytest.mark.parametrize("name", ["AE", "BD", "BE", "BF", "CY", "DA", "PB", "AL", "ZZ", "Q9"])
def test_all_that_names_a_person_and_all_that_is_unknown_is_masked(name: str) -> None:
    shown = redacted(sealed(f"{CHECKOUT}{name}张三|"), "utf-8")
    assert "张三" not in shown.text


def test_a_number_that_stands_in_another_field_too_is_masked_there() -> None:
    text = f"24              019{AT}AO251020|AA{NUMBER}|AE张三丰读者|AF证号 {NUMBER} 有超期|AG{NUMBER}|"
    shown = redacted(sealed(text), "utf-8")
    assert NUMBER not in shown.text
    assert "有超期" in shown.text


def test_a_forgotten_delimiter_shows_nothing_of_the_next_field() -> None:
    shown = redacted(f"11NN{AT}{' ' * 18}AO251020 AA{NUMBER} AD{PIN}|AB1|".encode(), "utf-8")
    assert free_of_secrets(shown.text)


@pytest.mark.parametrize("delimiter", ["^", "~", ";"])
def test_another_delimiter_is_understood_where_it_is_known_and_hides_all_where_it_is_not(delimiter: str) -> None:
    frame = CHECKOUT.replace("|", delimiter).encode()
    assert redacted(frame, "utf-8", delimiter).text.endswith("AO251020|AA***|AB0012345678|AC***|AD***|")
    assert free_of_secrets(redacted(frame, "utf-8").text)


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "gbk", "cp850", "latin-1"])
def test_text_is_read_in_the_kiosks_own_encoding(encoding: str) -> None:
    title = "東方質量" if encoding.startswith(("utf", "gb")) else "Überfluß"
    shown = redacted(sealed(f"18030001{AT}AB0012345678|AJ{title}|", encoding), encoding)
    assert f"AJ{title}|" in shown.text


def test_an_encoding_that_does_not_exist_is_said() -> None:
    with pytest.raises(ValueError, match="klingon"):
        redacted(CHECKOUT.encode(), "klingon")


@given(st.binary(max_size=3000), st.sampled_from(["utf-8", "gb18030", "ascii", "cp850"]), st.sampled_from("|^~"))
def test_nothing_a_kiosk_sends_raises_or_grows(data: bytes, encoding: str, delimiter: str) -> None:
    assert len(redacted(data, encoding, delimiter).text) <= MOST


@given(st.integers(0, len(CHECKOUT) - 1), st.integers(0, 255))
def test_no_single_spoilt_byte_of_a_sealed_frame_shows_a_secret(at: int, byte: int) -> None:
    frame = bytearray(sealed(CHECKOUT))
    frame[at] = byte
    assert free_of_secrets(redacted(bytes(frame), "utf-8").text)


def test_a_pin_leaves_no_hole_in_an_item_number_that_holds_the_same_digits() -> None:
    text = f"11NN{AT}{' ' * 18}AO251020|AA{NUMBER}|AB0012345678|AC|AD1234|"
    assert "AB0012345678|" in redacted(sealed(text), "utf-8").text


def test_a_card_laid_where_an_item_belongs_is_masked() -> None:
    text = f"11NN{AT}{' ' * 18}AO251020|AA{NUMBER}|AB{NUMBER}|AC|AD1234|"
    assert NUMBER not in redacted(sealed(text), "utf-8").text


def test_a_sentence_that_swallowed_the_rest_of_the_message_is_not_shown() -> None:
    shown = redacted(f"98YYYYNN100003{AT}2.00AM图书馆^AO251020^AA{NUMBER}^AD{PIN}^".encode(), "utf-8")
    assert free_of_secrets(shown.text)


def test_a_pin_leaves_no_hole_in_a_sentence_either() -> None:
    text = f"11NN{AT}{' ' * 18}AO251020|AA{NUMBER}|AB1|AD2026|AF应还 2026-12-22|"
    assert "AF应还 2026-12-22|" in redacted(sealed(text), "utf-8").text
