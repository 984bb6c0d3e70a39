"""The drop folder on real files: what is half written waits, what is bad is kept, nothing is read twice and nothing is passed over."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from edge.ils.feed_follow import make_feed
from edge.ils.feeds import Batch, FeedError

HEAD = "changed_at,what,barcode,cardnumber,date_due\n"


def line(item_no: str, more: str = "LOAN") -> str:
    return f"2026-11-23T10:00:00Z,{more},{item_no},R1,2026-12-23\n"


def feed(folder: Path, **more: Any) -> Any:
    folder.mkdir(exist_ok=True)
    return make_feed({"kind": "csv", "folder": str(folder), "settle_s": 0, **more}, zone="Asia/Shanghai", base=folder)


async def drain(asked: Any, after: str = "", limit: int = 100) -> tuple[list[str], str, list[str]]:
    """Poll until nothing more comes: item numbers, cursor, codes of rows set aside."""
    items: list[str] = []
    bad: list[str] = []
    while True:
        found: Batch = await asked.poll(after, limit)
        items += [change.item_no for change in found.changes]
        bad += [row.code for row in found.bad]
        if found.cursor == after:
            return items, after, bad
        after = found.cursor


@pytest.mark.parametrize(
    "more", [{"encoding": "klingon"}, {"delimiter": ";;"}, {"open_loans": "../loans.csv"}, {"settle_s": -1}]
)
def test_a_configuration_that_cannot_work_is_refused(more: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(FeedError) as refused:
        feed(tmp_path, **more)
    assert refused.value.code == "FEED_CONFIG"


async def test_a_folder_that_is_not_there_or_a_cursor_of_another_feed_is_an_error_with_a_code(tmp_path: Path) -> None:
    asked = feed(tmp_path / "drop")
    for cursor in ("42", "../x.csv@1#2#3", "x@1#2"):
        with pytest.raises(FeedError) as refused:
            await asked.poll(cursor, 10)
        assert refused.value.code == "FEED_CURSOR"
    (tmp_path / "drop").rmdir()
    with pytest.raises(FeedError) as refused:
        await asked.poll("", 10)
    assert refused.value.code == "FEED_FOLDER"


async def test_a_first_line_without_the_columns_stops_at_that_file_until_someone_mends_it(tmp_path: Path) -> None:
    asked = feed(tmp_path)
    (tmp_path / "1.csv").write_text(line("1001"))
    (tmp_path / "2.csv").write_text(HEAD + line("1002"))
    with pytest.raises(FeedError) as refused:
        await asked.poll("", 10)
    assert refused.value.code == "FEED_HEADER"
    (tmp_path / "1.csv").write_text(HEAD + line("1001"))
    assert (await drain(asked))[0] == ["1001", "1002"]


async def test_bad_lines_are_kept_beside_the_file_once_with_number_and_code(tmp_path: Path) -> None:
    body = (
        HEAD + line("1001") + line("1002", "SALE") + "one,two\n" + line("x" * 9_000) + '"open\n' + "\n" + line("1003")
    )
    (tmp_path / "1.csv").write_bytes(body.encode() + b"2026-11-23T10:00:00Z,LOAN,10\xff04,R1,2026-12-23\n")
    asked = feed(tmp_path)
    for _ in range(2):  # the second time as after a crash before anything was recorded
        found = await asked.poll("", 100)
        assert [c.item_no for c in found.changes] == ["1001", "1003"]
        assert [b.code for b in found.bad] == ["ROW_WHAT", "ROW_CELLS", "ROW_TOO_LONG", "ROW_CSV", "ROW_ENCODING"]
    kept = (tmp_path / "1.csv.bad").read_bytes().splitlines()
    assert [row.split(b"\t")[:2] for row in kept] == [
        [b"3", b"ROW_WHAT"], [b"4", b"ROW_CELLS"], [b"5", b"ROW_TOO_LONG"], [b"6", b"ROW_CSV"], [b"9", b"ROW_ENCODING"],
    ]  # fmt: skip
    assert (tmp_path / "1.csv.bad").stat().st_mode & 0o077 == 0


async def test_a_file_still_being_written_waits_and_those_after_it(tmp_path: Path) -> None:
    asked = feed(tmp_path)
    (tmp_path / "1.csv").write_text(HEAD + line("1001")[:-9])
    (tmp_path / "2.csv").write_text(HEAD + line("1002"))
    (tmp_path / ".3.csv").write_text(HEAD + line("1003"))
    assert await drain(asked) == ([], "", [])
    (tmp_path / "1.csv").write_text(HEAD + line("1001"))
    assert (await drain(asked))[0] == ["1001", "1002"]
    resting = feed(tmp_path / "rest", settle_s=30)
    (tmp_path / "rest" / "1.csv").write_text(HEAD + line("1001"))
    assert await drain(resting) == ([], "", [])
    os.utime(tmp_path / "rest" / "1.csv", (1, 1))
    assert (await drain(resting))[0] == ["1001"]


async def test_an_exporter_that_ends_no_line_is_taken_after_a_minute(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text((HEAD + line("1001"))[:-1])
    assert (await drain(feed(tmp_path)))[0] == []
    os.utime(tmp_path / "1.csv", (1, 1))
    assert (await drain(feed(tmp_path)))[0] == ["1001"]


async def test_a_file_moves_away_only_when_its_last_row_is_behind_the_cursor(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text(HEAD + "".join(line(f"10{n:02}") for n in range(10)))
    (tmp_path / "2.csv").write_text(HEAD)
    asked = feed(tmp_path)
    first = await asked.poll("", 4)
    again = await asked.poll("", 4)
    assert first == again and (tmp_path / "1.csv").exists()
    items, cursor, _ = await drain(asked, first.cursor, 4)
    assert items == [f"10{n:02}" for n in range(4, 10)]
    assert sorted(p.name for p in (tmp_path / "done").iterdir()) == ["1.csv", "2.csv"]
    assert await drain(asked, cursor) == ([], cursor, [])


async def test_the_same_name_again_is_another_file_and_an_earlier_name_that_comes_late_is_read(tmp_path: Path) -> None:
    asked = feed(tmp_path)
    (tmp_path / "b.csv").write_text(HEAD + line("1001"))
    _, cursor, _ = await drain(asked)
    (tmp_path / "b.csv").write_text(HEAD + line("1002") + line("1003"))
    os.utime(tmp_path / "b.csv", (9, 9))
    items, cursor, _ = await drain(asked, cursor)
    assert items == ["1002", "1003"]
    (tmp_path / "a.csv").write_text(HEAD + line("1004"))
    assert (await drain(asked, cursor))[0] == ["1004"]
    assert sorted(p.name for p in (tmp_path / "done").iterdir()) == ["a.csv", "b.csv", "b.csv.1"]


async def test_gb18030_semicolons_and_a_byte_order_mark(tmp_path: Path) -> None:
    asked = feed(tmp_path / "gb", encoding="gb18030", delimiter=";", col_item="条码", words="借=LOAN")
    text = "changed_at;what;条码;cardnumber;date_due\n2026-11-23;借;東質;R1;2026-12-23\n"
    (tmp_path / "gb" / "1.csv").write_bytes(text.encode("gb18030"))
    assert (await drain(asked))[0] == ["東質"]
    (tmp_path / "1.csv").write_bytes(b"\xef\xbb\xbf" + (HEAD + line("1001")).replace("\n", "\r\n").encode())
    assert (await drain(feed(tmp_path)))[0] == ["1001"]


async def test_open_loans_that_are_old_or_bad_are_no_picture_to_compare_with(tmp_path: Path) -> None:
    asked = feed(tmp_path, open_loans="open-loans.csv")
    path = tmp_path / "open-loans.csv"
    for body, code in ((None, "FEED_FOLDER"), ("barcode,cardnumber,date_due\n,R1,2026-12-23\n", "FEED_LOANS_BAD")):
        if body is not None:
            path.write_text(body)
        with pytest.raises(FeedError) as refused:
            async for _ in asked.open_loans():
                pass
        assert refused.value.code == code
    path.write_text("barcode,cardnumber,date_due\n" + "".join(f"{n},R1,2026-12-23\n" for n in range(2_100)))
    assert [len(page) async for page in asked.open_loans()] == [1000, 1000, 100]
    assert await drain(asked) == ([], "", [])  # that file is no changes
    os.utime(path, (1, 1))
    with pytest.raises(FeedError) as refused:
        async for _ in asked.open_loans():
            pass
    assert refused.value.code == "FEED_LOANS_OLD"
