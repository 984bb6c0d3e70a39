"""What is learned of a peer, what configuration fixes, what a page is shown."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.sip2 import Dialect, RemoteProtocolError, parse, seal
from protocols.sip2.encodings import guess, guess_encoding, known_encoding

DATE = "20261122    193711"
LOGIN = seal(b"9300CNkiosk1|COsecret|", "0")


def item(title: str, encoding: str, sequence: str = "1") -> bytes:
    return seal(f"17{DATE}AO251020|AB0012345678|AJ".encode() + title.encode(encoding) + b"|AC|", sequence)


class TestTold:
    @pytest.mark.parametrize(
        "wrong",
        [
            {"encoding": "klingon"}, {"encoding": "utf-16"}, {"terminator": "TAB"}, {"terminator": "\r"},
            {"delimiter": ""}, {"delimiter": "||"}, {"delimiter": "A"}, {"delimiter": " "}, {"delimiter": "｜"},
        ],
    )  # fmt: skip
    def test_what_cannot_be_told(self, wrong: dict[str, str]) -> None:
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Dialect().configure(**wrong)  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("name", "known"),
        [("UTF-8", "utf-8"), ("ISO_8859-1", "latin-1"), ("GB2312", "gbk"), ("IBM850", "cp850"), ("auto", "auto")],
    )
    def test_names_of_encodings(self, name: str, known: str) -> None:
        assert known_encoding(name) == known

    def test_an_encoding_that_was_told_is_not_unlearned(self) -> None:
        dialect = Dialect()
        dialect.configure(encoding="gbk")
        message = dialect.read(item("é", "utf-8"))
        assert (message.get("AJ"), dialect.encoding) == ("é".encode().decode("gbk"), "gbk")

    def test_a_terminator_that_was_told_stays(self) -> None:
        dialect = Dialect()
        dialect.configure(terminator="CRLF")
        dialect.learn_terminator(b"\n")
        assert dialect.write("94", {"ok": "1"}, (), sequence="0", checksum=True) == b"941AY0AZFDFD\r\n"

    def test_no_error_detection_is_kept_even_where_the_peer_has_it(self) -> None:
        dialect = Dialect()
        dialect.configure(error_detection=False)
        dialect.read(LOGIN)
        assert dialect.write("94", {"ok": "1"}, (), sequence="0", checksum=True) == b"941\r"
        assert dialect.public()["error_detection"] is False

    def test_error_detection_follows_a_peer_that_has_none(self) -> None:
        dialect = Dialect()
        dialect.configure(error_detection=True)
        dialect.read(b"9300CNkiosk1|COsecret|")
        assert dialect.write("94", {"ok": "1"}, (), sequence=None, checksum=False) == b"941\r"

    def test_another_delimiter_is_read_and_written(self) -> None:
        dialect = Dialect()
        dialect.configure(delimiter="^")
        message = dialect.read(seal(f"17{DATE}AOa|b^AB1^".encode(), "1"))
        assert message.fields == (("AO", "a|b"), ("AB", "1"))
        out = dialect.write("66", {"ok": "1", "renewed_count": "0000", "unrenewed_count": "0000",
                                   "transaction_date": DATE}, [("AF", "a^b|c")], sequence="1", checksum=True)  # fmt: skip
        assert b"AFa b|c^AY1" in out
        assert parse(out[:-1], delimiter="^").checksum == "ok"

    def test_auto_leaves_what_was_learned(self) -> None:
        dialect = Dialect()
        dialect.read(item("红楼梦", "gbk"))
        dialect.configure(encoding="auto", terminator="auto")
        assert (dialect.encoding, dialect.public()["encoding_from"]) == ("gb18030", "learned")


WORDS = ["Café", "Müller", "Größe", "Año nuevo", "CAFÉ NOIR", "Él", "naïve", "Åse", "déjà vu", "être", "François"]

GB2312 = [one for one in map(chr, range(0x4E00, 0x9FA6)) if one.encode("gb2312", "ignore")]


class TestEncodings:
    @pytest.mark.parametrize("encoding", ["latin-1", "cp850", "utf-8"])
    @pytest.mark.parametrize("word", WORDS)
    def test_european_text_is_recognised(self, word: str, encoding: str) -> None:
        dialect = Dialect()
        assert dialect.read(item(word, encoding)).get("AJ") == word
        assert dialect.encoding == encoding

    @given(st.text(GB2312, min_size=2, max_size=20))
    def test_chinese_text_is_recognised_in_gbk(self, text: str) -> None:
        dialect = Dialect()
        assert dialect.read(item(text, "gbk")).get("AJ") == text
        assert dialect.encoding == "gb18030"

    @given(st.text(st.characters(min_codepoint=0x800, codec="utf-8"), max_size=20))
    def test_utf_8_proves_itself(self, text: str) -> None:
        assert Dialect().read(item(text, "utf-8")).get("AJ") == text

    @pytest.mark.parametrize("text", ["馆", "东", "東京", "Python程序设计", "C语言", "《红楼梦》", "𠮷野家"])
    def test_short_and_mixed_chinese_text(self, text: str) -> None:
        assert Dialect().read(item(text, "gb18030")).get("AJ") == text

    def test_a_guess_between_the_european_ones_is_mended_by_chinese_text(self) -> None:
        dialect = Dialect()
        dialect.read(item("Café", "latin-1"))
        assert (dialect.encoding, dialect.encoding_settled) == ("latin-1", False)
        assert dialect.read(item("红楼梦", "gbk", "2")).get("AJ") == "红楼梦"
        assert dialect.public()["encoding"] == "gb18030"

    def test_bytes_that_are_no_text_are_replaced_and_settle_nothing(self) -> None:
        dialect = Dialect()
        message = dialect.read(seal(f"17{DATE}AB1".encode() + b"\xff\xfe|", "1"))
        assert (message.get("AB"), message.replaced, dialect.encoding) == ("1\ufffd\ufffd", True, "utf-8")
        assert dialect.quirks >= {"undecodable"}

    @pytest.mark.parametrize(
        ("text", "encoding", "name"),
        [("plain", "ascii", "ascii"), ("红楼梦", "gb2312", "gb18030"), ("東質", "gbk", "gbk"), ("𠮷野家", "gb18030", "gb18030"),
         ("Café", "cp850", "cp850"), ("Café", "latin-1", "latin-1")],
    )  # fmt: skip
    def test_one_frame_alone(self, text: str, encoding: str, name: str) -> None:
        assert guess_encoding(item(text, encoding)) == name

    @pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
    @pytest.mark.parametrize("shift", [0, 1, 2, 3])
    def test_a_long_frame_is_looked_at_in_part_wherever_that_cuts(self, shift: int, encoding: str) -> None:
        frame = item("x" * 3000 + "红" + "x" * shift + "红楼梦" * 4000, encoding)
        assert guess(frame) == (encoding, True)
        started = time.process_time()
        for _ in range(20):
            guess(frame)
        assert time.process_time() - started < 2.0

    def test_a_letter_at_the_very_end_is_not_taken_for_half_a_character(self) -> None:
        assert Dialect().read(f"17{DATE}AOCaf".encode() + b"\xe9").get("AO") == "Café"

    @given(st.binary(min_size=1, max_size=60))
    def test_a_guess_can_always_be_used(self, data: bytes) -> None:
        name, sure = guess(data)
        assert not sure if name is None else data.decode(name, "replace")


class TestLearned:
    def test_a_spoilt_frame_teaches_nothing(self) -> None:
        dialect = Dialect()
        dialect.read(LOGIN[:-1] + (b"0" if LOGIN[-1:] != b"0" else b"1"))
        assert (dialect.error_detection, dialect.quirks, dialect.version) == (None, set(), None)

    def test_text_of_a_spoilt_frame_settles_no_encoding(self) -> None:
        dialect = Dialect()
        frame = item("红楼梦", "gbk")
        dialect.read(frame[:-4] + b"0000")
        assert (dialect.encoding, dialect.encoding_settled) == ("utf-8", False)

    def test_what_cannot_be_read_teaches_nothing(self) -> None:
        dialect = Dialect()
        with pytest.raises(RemoteProtocolError):
            dialect.read(b"17AY1AZ0000")
        assert dialect.public()["quirks"] == []

    def test_a_clean_kiosk_has_no_quirks(self) -> None:
        dialect = Dialect()
        for number in range(25):
            dialect.read(item("红楼梦", "utf-8", str(number % 10)))
        dialect.read(item("红楼梦", "utf-8", "4"))
        dialect.read(item("红楼梦", "utf-8", "4"))
        assert dialect.quirks == set()

    def test_a_kiosk_that_does_not_count(self) -> None:
        dialect = Dialect()
        dialect.read(item("A", "ascii", "0"))
        dialect.read(item("B", "ascii", "0"))
        assert dialect.quirks == {"repeats_sequence"}

    def test_a_kiosk_whose_checksums_come_and_go(self) -> None:
        dialect = Dialect()
        dialect.read(LOGIN)
        dialect.read(b"9900802.00")
        assert dialect.quirks == {"no_ay", "no_az", "checksum_comes_and_goes"}
        assert dialect.error_detection is False

    def test_a_kiosk_of_the_first_version(self) -> None:
        dialect = Dialect()
        dialect.read(seal(b"9900801.00", "0"))
        dialect.read(seal(f"11YN{DATE}{DATE}AOx|AA1|AB2|AC|".encode(), "1"))
        assert (dialect.version, dialect.quirks) == ("1.00", {"version_1_00"})

    def test_checksums_over_code_points_are_told(self) -> None:
        body = f"17{DATE}AO理工分馆|AB1|AY1AZ"
        dialect = Dialect()
        dialect.read((body + f"{-sum(map(ord, body)) & 0xFFFF:04X}").encode())
        assert dialect.public()["checksum_over"] == "code_points"

    def test_a_page_is_shown_all_of_it(self) -> None:
        dialect = Dialect()
        dialect.learn_terminator(b"\r\n")
        dialect.read(seal(b"9900802.00", "0"))
        dialect.configure(encoding="gbk")
        assert json.loads(json.dumps(dialect.public())) == {
            "terminator": "CRLF", "terminator_from": "learned", "encoding": "gbk", "encoding_from": "configured",
            "error_detection": True, "error_detection_from": "learned", "checksum_over": None, "delimiter": "|",
            "version": "2.00", "quirks": [],
        }  # fmt: skip
