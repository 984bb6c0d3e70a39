"""Each deviation of the field: read all the same, and named. And that the short way of reading is the long way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.sip2 import LAYOUTS, Message, RemoteProtocolError, build, codec, parse, seal
from protocols.sip2.checksum import az_of
from protocols.sip2.dates import BLANK_DATE, ZERO_DATE
from protocols.sip2.fields import FIELDS
from protocols.sip2.tolerant import read

DATE = "20261122    193711"
STATUS = "98YYYYYN180180" + DATE + "2.00"

QUIRKS = [
    ("no_ay", f"25{DATE}AOx|AA1|", None),
    ("no_ay", f"25{DATE}AOx|AA1|AZEF40", None),
    ("no_az", f"25{DATE}AOx|AA1|AY1", None),
    ("az_lower_case", "9900802.00AY0AZfca1", None),
    ("after_az", "9900802.00AY0AZFCA1|", None),
    ("blank_dates", f"11YN{DATE}{BLANK_DATE}AOx|AA1|AB2|AC|", "1"),
    ("blank_dates", f"09N{DATE}{BLANK_DATE}APx|AOx|AB2|AC|", "1"),
    ("blank_date", f"17{BLANK_DATE}AOx|AB2|", "1"),
    ("zone_named", "1720261122 EST193711AOx|AB2|", "1"),
    ("date_missing_65", "65AOx|AAy|", "1"),
    ("stray_001", f"17001{DATE}AOx|AB1|", "1"),
    ("stray_digit", f"17{DATE}7AOx|AB1|", "1"),
    ("stray_bar", f"17{DATE}|AOx|AB1|", "1"),
    ("stray_blank", f"17{DATE}  AOx|AB1|", "1"),
    ("padded_width", "990 802.00", "1"),
    ("version_1_00", "9900801.00", "1"),
    ("odd_version", "9900802.0E", "1"),
    ("no_final_bar", f"17{DATE}AOx|AB1", "1"),
    ("blanks_before_ay", f"17{DATE}AOx|AB1|{' ' * 150}", "1"),
    ("space_padded_am", f"{STATUS}AOx|AMlibrary{' ' * 30}|BXYYYY|", "1"),
    ("long_value", f"17{DATE}AOx|AB{'1' * 256}|", "1"),
    ("unknown_fields", f"17{DATE}AOx|AB1|ZQx|", "1"),
    ("no_ao", f"17{DATE}AB1|", "1"),
    ("no_ac", f"23019{DATE}AOx|AA1|AD|", "1"),
    ("no_ad", f"23019{DATE}AOx|AA1|AC|", "1"),
    ("no_bx", f"{STATUS}AOx|", "1"),
]


@pytest.mark.parametrize(("quirk", "text", "sequence"), QUIRKS, ids=[f"{q}-{t[:8]}" for q, t, _ in QUIRKS])
def test_a_deviation_is_read_and_named(quirk: str, text: str, sequence: str | None) -> None:
    message = parse(text.encode() if sequence is None else seal(text.encode(), sequence))
    assert quirk in message.quirks
    assert set(message.quirks) <= {quirk, "no_ay", "no_az", "no_ac"}
    assert message.checksum != "bad" or "AZEF40" in text


def test_every_field_behind_a_deviation_is_kept() -> None:
    for _, text, sequence in QUIRKS:
        if "AB" in text and sequence is not None:
            assert parse(seal(text.encode(), sequence)).get("AB")[:1] in {"1", "2"}


@pytest.mark.parametrize(
    "text",
    [
        "9900802.00",
        f"11YN{DATE}{DATE}AOx|AA1|AB2|AC|",
        f"24              019{DATE}AOx|AA1|AE|",
        f"64              019{DATE}" + "0001" * 5 + "    AOx|AA1|AE|",
        "1720261122   Z193711AOx|AB1|",
        f"{STATUS}AOx|BXYYYYYYYYYYYYYYYY|",
        f"98YYYYYN180180{ZERO_DATE}2.00AOx|BXYYYYYYYYYYYYYYYY|",
        f"65{DATE}AOx|AA1|",
    ],
)
def test_what_the_standard_writes_has_no_quirk(text: str) -> None:
    assert parse(seal(text.encode(), "3")).quirks == ()


@pytest.mark.parametrize("code", ["01", "09", "11", "23", "99"])
def test_requests_of_the_first_version_are_read_by_the_same_table(code: str) -> None:
    """1.00 had these, with the same fixed parts and without the fields that 2.00 added."""
    layout = LAYOUTS[code]
    values = {name: "0" * width for name, width in zip(layout.names, layout.widths, strict=True)}
    values |= {name: DATE for name in layout.names if name.endswith("_date")}
    values |= {name: "1.00" for name in layout.names if name == "protocol_version"}
    fields = [(name, "x") for name in layout.required]
    message = parse(build(code, values, fields, sequence="0"))
    assert (message.fixed, message.fields) == (values, tuple(fields))


@pytest.mark.parametrize("text", ["9900801.0", "11Y" + DATE + "AOx|AA1|AB2|", f"23{DATE}AOx|AA1|"])
def test_a_fixed_part_that_no_version_has_is_never_guessed_at(text: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse(seal(text.encode(), "1"))
    assert (caught.value.code, caught.value.checksum) == ("fixed_part", "ok")


class TestDelimiter:
    def test_another_delimiter_ends_a_field_and_the_bar_does_not(self) -> None:
        message = parse(seal(f"17{DATE}AOa|b^AB1^".encode(), "1"), delimiter="^")
        assert message.fields == (("AO", "a|b"), ("AB", "1"))

    @pytest.mark.parametrize("stray", ["^", "7^", "  "])
    def test_deviations_are_known_with_it_too(self, stray: str) -> None:
        assert parse(f"17{DATE}{stray}AOx^AB1".encode(), delimiter="^").fields == (("AO", "x"), ("AB", "1"))

    def test_a_bar_at_the_very_end_is_text(self) -> None:
        assert parse(seal(f"17{DATE}AOa^ABb|".encode(), "1"), delimiter="^").fields == (("AO", "a"), ("AB", "b|"))

    def test_az_without_ay_stands_after_it(self) -> None:
        body = f"17{DATE}AOx^AB1^AZ".encode()
        message = parse(body + b"%04X" % (-sum(body) & 0xFFFF), delimiter="^")
        assert (message.checksum, message.get("AB")) == ("ok", "1")


def outcome(frame: bytes, encoding: str, *, short: bool) -> Message | tuple[str, object]:
    """The message, or the refusal with what it tells."""
    try:
        return parse(frame, encoding) if short else read(frame, encoding, "|")
    except RemoteProtocolError as error:
        return error.code, error.details()


HEADS = [b"17" + DATE.encode(), b"9900802.00", b"11YN" + DATE.encode() * 2, STATUS.encode(), b"93", b"9300", b"55", b""]
PIECES = st.sampled_from(
    [*map(str.encode, sorted(FIELDS)), b"|", b"||", b" ", b"1", b"x" * 256, "红楼梦".encode(), b"\xff", b"zz"]
)


@given(st.sampled_from(HEADS), st.lists(PIECES, max_size=12), st.sampled_from(["utf-8", "gb18030", "latin-1"]))
def test_the_short_way_reads_what_the_long_way_reads(head: bytes, pieces: list[bytes], encoding: str) -> None:
    frame = seal(head + b"".join(pieces), "1")
    assert outcome(frame, encoding, short=True) == outcome(frame, encoding, short=False)


@pytest.mark.parametrize("part", ["4secret", "A", "-!", "é1"])
def test_a_part_that_is_no_field_is_refused_with_a_good_checksum_too(part: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse(seal(f"17{DATE}AOx|{part}|AB1|".encode(), "1"))
    assert (caught.value.code, caught.value.checksum) == ("field", "ok")


def test_right_digits_without_az_are_no_checksum() -> None:
    body = f"17{DATE}AOx|AB1|AY1BZ".encode()
    message = parse(body + b"%04X" % (-sum(body) & 0xFFFF))
    assert (message.checksum, message.sequence) == ("none", None)


@pytest.mark.parametrize("size", [150, 256, 257, 300, 5000])
def test_frames_of_any_length_are_read_the_short_way(size: int) -> None:
    fields = "".join(f"AU{number:010d}|" for number in range(size // 13))
    frame = seal(f"64              019{DATE}{'0001' * 6}AOx|AA1|AE张三|{fields}".encode(), "1")
    assert codec._plain(frame, "utf-8") == read(frame, "utf-8", "|")


def test_the_sum_of_a_long_frame_of_high_bytes() -> None:
    data = b"\xff" * 300 + b"AZ"
    assert (sum(data) + int(az_of(data), 16)) % 65536 == 0


def test_what_is_remembered_of_rows_of_fields_is_bounded() -> None:
    for number in range(3000):
        name = f"{chr(65 + number // 260 % 26)}{number // 10 % 26 % 10}"
        parse(seal(f"17{DATE}AOx|AB1|{name}1|{'ZQ1|' * (number % 50)}".encode(), "1"))
    assert len(codec._judged) <= 1024
    assert max(len(names) for _, names in codec._judged) <= 48
