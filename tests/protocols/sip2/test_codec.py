"""What the codec refuses, what it tolerates, and that it reads what it writes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.sip2 import LAYOUTS, LocalProtocolError, ProtocolError, RemoteProtocolError, build, mask, parse
from protocols.sip2.checksum import az_of, byte_sum
from protocols.sip2.codec import seal, shown
from protocols.sip2.dates import BLANK_DATE, ZERO_DATE, format_date, is_date, parse_date
from protocols.sip2.fields import clean_value, count
from protocols.sip2.messages import RESENDS

DATE = "20261122    193711"
CHINA = timezone(timedelta(hours=8))


class TestRefused:
    def test_protocol_error_itself_cannot_be_raised(self) -> None:
        with pytest.raises(TypeError):
            raise ProtocolError("x", "who was wrong?")

    @pytest.mark.parametrize(
        ("frame", "code"),
        [
            (b"", "empty"),
            (b"GET / HTTP/1.1", "not_a_message"),
            (b"7", "not_a_message"),
            (b"55" + DATE.encode(), "unknown_message"),
            (b"17", "fixed_part"),
            (b"1720261122   193711AOx|", "fixed_part"),
            (b"94", "fixed_part"),
            (b"64" + b" " * 14 + b"019" + DATE.encode() + b"00000001AOx|AAy|AEz|", "fixed_part"),
            (b"9300CNuser|4secret|", "field"),
            (b"17" + DATE.encode() + b"-!|", "field"),
            ("17２０261122    193711AOx|".encode(), "fixed_part"),
        ],
    )
    def test_what_is_no_message(self, frame: bytes, code: str) -> None:
        with pytest.raises(RemoteProtocolError) as caught:
            parse(frame)
        assert caught.value.code == code

    def test_the_error_text_holds_nothing_of_the_message(self) -> None:
        with pytest.raises(RemoteProtocolError) as caught:
            parse(b"9300CNuser|4topsecret|")
        assert "secret" not in str(caught.value)

    @pytest.mark.parametrize(
        ("code", "fixed", "fields", "error"),
        [
            ("55", {}, [], "unknown_message"),
            ("17", {}, [], "fixed_part"),
            ("17", {"transaction_date": DATE + " "}, [], "fixed_part"),
            ("12", {"ok": "11", "renewal_ok": "", "magnetic_media": "N", "desensitize": "N", "transaction_date": DATE},
             [], "fixed_part"),
            ("17", {"transaction_date": DATE}, [("AB", "1|ADx")], "field"),
            ("17", {"transaction_date": DATE}, [("AB", "1\r94")], "field"),
            ("17", {"transaction_date": DATE}, [("AB", "1\n")], "field"),
            ("17", {"transaction_date": DATE}, [("AB", "1\0")], "field"),
            ("17", {"transaction_date": DATE}, [("AB", "x" * 256)], "field"),
        ],
    )  # fmt: skip
    def test_what_we_must_not_write(
        self, code: str, fixed: dict[str, str], fields: list[tuple[str, str]], error: str
    ) -> None:
        with pytest.raises(LocalProtocolError) as caught:
            build(code, fixed, fields)
        assert caught.value.code == error


class TestTolerated:
    def test_a_blank_padded_width(self) -> None:
        message = parse(b"990 802.00")
        assert message.fixed["max_print_width"] == " 80"
        assert message.number("max_print_width") == 80

    def test_a_language_before_the_date_of_17(self) -> None:
        message = parse(f"17001{DATE}AOx|AB1|".encode())
        assert message.fixed == {"transaction_date": DATE}
        assert message.fields == (("AO", "x"), ("AB", "1"))

    @pytest.mark.parametrize("stray", ["|", "||", "7", "7|", "  "])
    def test_stray_characters_after_the_fixed_part(self, stray: str) -> None:
        assert parse(f"17{DATE}{stray}AOx|AB1|".encode()).fields == (("AO", "x"), ("AB", "1"))

    @pytest.mark.parametrize("tail", ["", "AOx|AAy|"])
    def test_65_without_its_date(self, tail: str) -> None:
        assert parse(f"65{tail}".encode()).fixed == {}

    def test_blank_dates(self) -> None:
        message = parse(f"11YN{DATE}{BLANK_DATE}AA1|AB2|".encode())
        assert message.fixed["nb_due_date"] == BLANK_DATE
        assert parse_date(message.fixed["nb_due_date"], CHINA) is None

    def test_no_ao_no_ac_and_no_last_delimiter(self) -> None:
        message = parse(f"23019{DATE}AA1|AD2".encode())
        assert message.fields == (("AA", "1"), ("AD", "2"))
        assert not message.has("AC")
        assert message.get("AC", "none") == "none"

    def test_unknown_fields_keep_place_and_repeats(self) -> None:
        message = parse(f"17{DATE}ZQ1|AB2|ZQ3|Q44|".encode())
        assert message.fields == (("ZQ", "1"), ("AB", "2"), ("ZQ", "3"), ("Q4", "4"))
        assert message.all("ZQ") == ("1", "3")

    def test_150_blanks_before_ay(self) -> None:
        frame = seal(f"17{DATE}AOx|AB1|".encode() + b" " * 150, "4")
        message = parse(frame)
        assert (message.fields, message.checksum) == ((("AO", "x"), ("AB", "1")), "ok")

    def test_a_long_value(self) -> None:
        assert parse(f"17{DATE}AB{'x' * 5000}|".encode()).get("AB") == "x" * 5000

    @pytest.mark.parametrize("after", [b"|", b"  ", b"|  "])
    def test_blanks_or_a_delimiter_after_az(self, after: bytes) -> None:
        message = parse(seal(f"17{DATE}AB1|".encode(), "4") + after)
        assert (message.sequence, message.checksum) == ("4", "ok")

    def test_az_in_lower_case_and_ay_alone(self) -> None:
        assert parse(b"9900802.00AY0AZfca1").checksum == "ok"
        message = parse(f"17{DATE}AB1|AY7".encode())
        assert (message.sequence, message.checksum, message.fields) == ("7", "none", (("AB", "1"),))

    def test_a_value_that_looks_like_az_at_the_end(self) -> None:
        message = parse(f"17{DATE}AB00AZ1234".encode())
        assert (message.fields, message.checksum) == ((("AB", "00AZ1234"),), "none")

    def test_bytes_that_are_no_text_are_replaced_and_told(self) -> None:
        message = parse(f"17{DATE}AB1".encode() + b"\xff\xfe|AOx|")
        assert (message.fields, message.replaced) == ((("AB", "1��"), ("AO", "x")), True)

    @pytest.mark.parametrize("text", ["東", "質", "遼", "觸", "億"])
    def test_a_gbk_character_that_ends_in_the_delimiter(self, text: str) -> None:
        frame = seal(f"17{DATE}AJ{text}|AB1|".encode("gbk"), "1")
        assert frame.count(b"|") == 3
        message = parse(frame, "gbk")
        assert (message.fields, message.checksum) == ((("AJ", text), ("AB", "1")), "ok")


def fixed_parts(code: str) -> st.SearchStrategy[dict[str, str]]:
    layout = LAYOUTS[code]
    parts = {}
    for name, start, end in layout.parts:
        if (start, end) in layout.dates:
            parts[name] = st.sampled_from([DATE, "19990101   Z000000", BLANK_DATE, ZERO_DATE])
        elif (start, end) in layout.versions:
            parts[name] = st.sampled_from(["2.00", "1.00"])
        elif any(first <= start and end <= last for first, last in layout.numbers):
            parts[name] = st.integers(0, 10 ** (end - start) - 1).map(lambda n, w=end - start: f"{n:0{w}d}")
        else:
            parts[name] = st.text("YNU 01", min_size=end - start, max_size=end - start)
    return st.fixed_dictionaries(parts)


VALUES = st.text(st.characters(codec="gb18030", exclude_characters="|\r\n\0", exclude_categories=("Cs",)), max_size=30)
NAMES = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=2, max_size=2)
CODES = sorted(set(LAYOUTS) - RESENDS)


@given(st.data(), st.sampled_from(CODES), st.sampled_from(["utf-8", "gb18030"]), st.sampled_from([None, "0", "9"]))
def test_what_is_written_is_read(data: st.DataObject, code: str, encoding: str, sequence: str | None) -> None:
    fixed = data.draw(fixed_parts(code))
    fields = data.draw(st.lists(st.tuples(NAMES, VALUES), max_size=6))
    frame = build(code, fixed, fields, sequence=sequence, encoding=encoding)
    message = parse(frame, encoding)
    assert (message.code, message.fixed, message.fields) == (code, fixed, tuple(fields))
    assert (message.sequence, message.checksum) == (sequence, "none" if sequence is None else "ok")


@given(st.binary(max_size=200), st.sampled_from(["utf-8", "gb18030", "ascii", "latin-1"]))
def test_garbage_is_refused_or_read_but_never_raises_anything_else(data: bytes, encoding: str) -> None:
    for frame in (data, b"17" + data, b"98YYYYYN180180" + DATE.encode() + b"2.00" + data):
        assert outcome(frame, encoding) in {"read", "empty", "not_a_message", "unknown_message", "fixed_part", "field"}


def outcome(frame: bytes, encoding: str) -> str:
    """`read`, or the code of the refusal."""
    try:
        parse(frame, encoding)
    except RemoteProtocolError as error:
        return error.code
    return "read"


def checksum_of(frame: bytes) -> str:
    """The checksum as told by the message or by the refusal."""
    try:
        return parse(frame, "latin-1").checksum
    except RemoteProtocolError as error:
        return error.checksum


@given(st.binary(max_size=2000))
def test_the_fast_sum_is_the_sum(data: bytes) -> None:
    assert byte_sum(data) == sum(data)
    frame = data + b"AZ"
    assert (sum(frame) + int(az_of(frame), 16)) % 65536 == 0


@given(st.integers(0, 120), st.integers(0, 7))
def test_one_flipped_bit_never_passes_the_checksum(at: int, bit: int) -> None:
    frame = bytearray(build("17", {"transaction_date": DATE}, [("AO", "251020"), ("AB", "0012345678")], sequence="3"))
    at %= len(frame) - 9
    frame[at] ^= 1 << bit
    assert checksum_of(bytes(frame)) == "bad"


class TestDates:
    def test_a_date_that_is_not_in_the_calendar(self) -> None:
        with pytest.raises(RemoteProtocolError):
            parse_date("20260231    000000", CHINA)

    @pytest.mark.parametrize("text", ["20261122   1193711", "2026112     193711", "", "20261122 19371100", "x" * 18])
    def test_what_is_no_date(self, text: str) -> None:
        assert not is_date(text)

    @pytest.mark.parametrize("text", [DATE, ZERO_DATE, BLANK_DATE, "20261122   Z193711", "20261122 EST193711"])
    def test_what_is_a_date(self, text: str) -> None:
        assert is_date(text)

    def test_zones(self) -> None:
        at = datetime(2026, 11, 22, 19, 37, 11, tzinfo=CHINA)
        assert format_date(at) == DATE
        assert format_date(at, utc=True) == "20261122   Z113711"
        assert parse_date(DATE, CHINA) == at == parse_date("20261122   Z113711", CHINA)
        assert parse_date(ZERO_DATE, UTC) is None


class TestValues:
    def test_a_value_is_made_fit_for_the_wire(self) -> None:
        assert clean_value("a|b\rc\n") == "a｜b c "
        assert clean_value("书" * 300) == "书" * 255

    def test_counts_have_leading_zeros_and_a_cap(self) -> None:
        assert (count(7), count(12345), count(None), count(-1), count(7, 3)) == ("0007", "9999", "    ", "0000", "007")


class TestMasking:
    def test_passwords_are_masked_even_when_empty(self) -> None:
        text = f"11YN{DATE}{BLANK_DATE}AA23|AB39|AC|AD1234|BON"
        assert mask(text) == f"11YN{DATE}{BLANK_DATE}AA23|AB39|AC***|AD***|BON"
        assert mask("9300CNuser|COsecret|") == "9300CNuser|CO***|"

    def test_passwords_behind_a_message_that_has_no_fields_are_masked_too(self) -> None:
        assert mask("97YK|AD1234|COsecret") == "97YK|AD***|CO***"
        assert mask("97AZFEF5") == "97AZFEF5"

    def test_what_is_no_message_is_not_shown_at_all(self) -> None:
        with pytest.raises(RemoteProtocolError):
            mask("GET /?pin=1234")

    def test_a_log_shows_no_person(self) -> None:
        line = shown(parse(f"23019{DATE}AOx|AA2026001|AC|AD1234|".encode()))
        assert "2026001" not in line and "1234" not in line
        assert "AOx" in line
