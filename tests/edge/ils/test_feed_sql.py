"""The SQL feed over real databases and every paramstyle: nothing can be written, a slow database is left alone, errors have codes."""

from __future__ import annotations

import sqlite3
import sys
import time
import types
from pathlib import Path
from typing import Any

import pytest

from edge.ils.feed_follow import make_feed
from edge.ils.feed_sql import prepared
from edge.ils.feeds import FeedError, LoanThere

TABLE = (
    "CREATE TABLE changes (id INTEGER PRIMARY KEY, changed_at TEXT, what TEXT, barcode TEXT, cardnumber TEXT, date_due TEXT, "
    "status TEXT)"
)
ASK = "SELECT * FROM changes WHERE id > :after AND what <> ':after' ORDER BY id LIMIT :limit"


def books(path: Path, n: int = 5) -> Path:
    """A database with rows 1..n, of which 3 has no reader."""
    with sqlite3.connect(path) as db:
        db.execute(TABLE)
        for i in range(1, n + 1):
            db.execute(
                "INSERT INTO changes VALUES (?, '2026-11-23', 'LOAN', ?, ?, '2026-12-23', NULL)",
                (i, f"10{i}", None if i == 3 else f"R{i}"),
            )
    return path


def table(path: Path, **more: Any) -> dict[str, Any]:
    return {"kind": "sql", "module": "sqlite3", "db_database": str(path), "changes": ASK, **more}


def feed(table: dict[str, Any], base: Path) -> Any:
    return make_feed(table, zone="Asia/Shanghai", base=base)


async def refused(table: dict[str, Any], base: Path, after: str = "") -> FeedError:
    """The error of making such a feed or polling it."""
    with pytest.raises(FeedError) as error:
        await feed(table, base).poll(after, 10)
    return error.value


@pytest.mark.parametrize(
    "more",
    [{"module": "no_such_module"}, {"module": "json"}, {"changes": "SELECT * FROM changes"}, {"changes": "SELECT ':after'"},
     {"cursor": "time"},
     {"timeout_s": 0}, {"kind": "soap"}, {"db_password_file": "missing"}, {"db_password": "x"},
     {"col_isbn": "x"}, {"chnages": "x"}, {"changes": 3}],
)  # fmt: skip
async def test_a_configuration_that_cannot_work_is_refused_before_anything_is_asked(
    more: dict[str, Any], tmp_path: Path
) -> None:
    error = await refused(table(tmp_path / "x.db", **more), tmp_path)
    assert error.code == "FEED_CONFIG" and not error.retry


async def test_a_database_that_is_not_there_or_refuses_is_an_error_with_a_code_and_may_come_back(
    tmp_path: Path,
) -> None:
    asked = feed(table(tmp_path / "x.db"), tmp_path)
    for _ in range(2):
        with pytest.raises(FeedError) as error:
            await asked.poll("", 10)
        assert error.value.code == "FEED_SQL" and error.value.retry
    books(tmp_path / "x.db")
    assert len((await asked.poll("", 10)).changes) == 4
    assert (
        await refused(table(tmp_path / "x.db", changes="SELECT nothing FROM changes WHERE id > :after"), tmp_path)
    ).code == "FEED_SQL"
    assert (
        await refused(table(tmp_path / "x.db", changes="SELECT what FROM changes WHERE id > :after"), tmp_path)
    ).code == "FEED_CURSOR"
    assert (await refused(table(tmp_path / "x.db"), tmp_path, after="changes.csv@1#2#3")).code == "FEED_CURSOR"


async def test_nothing_can_be_written(tmp_path: Path) -> None:
    path = books(tmp_path / "x.db")
    error = await refused(table(path, changes="DELETE FROM changes WHERE id > :after RETURNING *"), tmp_path)
    assert error.code == "FEED_SQL"
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM changes").fetchone() == (5,)


async def test_rows_come_behind_the_cursor_and_a_bad_one_is_set_aside(tmp_path: Path) -> None:
    asked = feed(table(books(tmp_path / "x.db")), tmp_path)
    first = await asked.poll("", 3)
    assert [c.cursor for c in first.changes] == ["1", "2"] and first.cursor == "3" and first.more
    assert [(row.cursor, row.code) for row in first.bad] == [("3", "ROW_NO_READER")]
    second = await asked.poll(first.cursor, 3)
    assert [c.cursor for c in second.changes] == ["4", "5"] and not second.more
    assert (await asked.poll(second.cursor, 3)).cursor == "5"
    await asked.close()


async def test_a_slow_database_is_left_alone_and_not_asked_twice_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    books(tmp_path / "x.db")
    begun: list[float] = []

    def connect(**_: Any) -> Any:
        begun.append(time.monotonic())
        time.sleep(1.5)
        return sqlite3.connect(tmp_path / "x.db", check_same_thread=False)

    slow = types.ModuleType("slow_module")
    slow.paramstyle, slow.connect, slow.Error = "named", connect, sqlite3.Error  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "slow_module", slow)
    asked = feed(table(tmp_path / "x.db", module="slow_module", timeout_s=1), tmp_path)
    for _ in range(2):
        with pytest.raises(FeedError) as error:
            await asked.poll("", 10)
        assert error.value.code == "FEED_TIMEOUT"
    assert len(begun) == 1


class _Styled:
    """sqlite3 as a module of another paramstyle: what it is given must be in that style, and is turned into sqlite3's own."""

    def __init__(self, style: str, path: Path) -> None:
        self._style, self._path = style, path

    def module(self) -> types.ModuleType:
        found = types.ModuleType(f"styled_{self._style}")
        found.paramstyle, found.Error, found.connect = self._style, sqlite3.Error, self._connect  # type: ignore[attr-defined]
        return found

    def _connect(self, **_: Any) -> Any:
        style = self._style

        class Cursor(sqlite3.Cursor):
            def execute(self, query: str, values: Any = ()) -> Any:  # type: ignore[override]
                if style == "format":
                    query = query.replace("%%", "%").replace("%s", "?") if values else query
                elif style == "pyformat":
                    query = query.replace("%%", "%").replace("%(after)s", ":after").replace("%(limit)s", ":limit")
                elif style == "numeric":
                    query = query.replace(":1", "?1").replace(":2", "?2")
                return super().execute(query, values)

        class Connection(sqlite3.Connection):
            def cursor(self, *_: Any) -> Any:  # type: ignore[override]
                return super().cursor(Cursor)

        return sqlite3.connect(self._path, check_same_thread=False, factory=Connection)


@pytest.mark.parametrize("style", ["qmark", "numeric", "named", "format", "pyformat"])
async def test_every_paramstyle(style: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    books(tmp_path / "x.db")
    monkeypatch.setitem(sys.modules, f"styled_{style}", _Styled(style, tmp_path / "x.db").module())
    ask = "SELECT *, '50%' AS share FROM changes WHERE id > :after AND what LIKE 'LO%' ORDER BY id LIMIT :limit"
    found = await feed(table(tmp_path / "x.db", module=f"styled_{style}", changes=ask), tmp_path).poll("3", 10)
    assert [c.cursor for c in found.changes] == ["4", "5"]


def test_text_in_quotes_and_casts_are_no_parameters() -> None:
    query = "SELECT id::text FROM c WHERE a = 'it''s :after' AND id > :after"
    assert prepared(query, "qmark", {"after": 1, "limit": 2}) == (
        "SELECT id::text FROM c WHERE a = 'it''s :after' AND id > ?",
        (1,),
    )
    with pytest.raises(FeedError):
        prepared(query, "dollar", {"after": 1})


async def test_open_loans_come_in_pages_while_changes_are_polled(tmp_path: Path) -> None:
    asked = feed(
        table(books(tmp_path / "x.db", 2_500), open_loans="SELECT barcode, 'R1' AS cardnumber, date_due FROM changes"),
        tmp_path,
    )
    pages: list[list[LoanThere]] = []
    async for page in asked.open_loans():
        pages.append(page)
        assert (await asked.poll("2499", 10)).cursor == "2500"
    assert [len(page) for page in pages] == [1000, 1000, 500]


KOHA = """
CREATE TABLE action_logs (action_id INTEGER PRIMARY KEY, timestamp TEXT, module TEXT, action TEXT, object INTEGER, info TEXT);
CREATE TABLE borrowers (borrowernumber INTEGER PRIMARY KEY, cardnumber TEXT);
CREATE TABLE items (itemnumber INTEGER PRIMARY KEY, barcode TEXT);
CREATE TABLE issues (issue_id INTEGER PRIMARY KEY, borrowernumber INTEGER, itemnumber INTEGER, date_due TEXT, issuedate TEXT);
INSERT INTO borrowers VALUES (1, 'R1');
INSERT INTO items VALUES (51, '1001'), (52, '1002');
INSERT INTO issues VALUES (9, 1, 51, '2026-12-23 23:59:00', '2026-11-23 10:00:00');
INSERT INTO action_logs VALUES (101, '2026-11-23 10:00:00', 'CIRCULATION', 'ISSUE', 1, '51');
INSERT INTO action_logs VALUES (102, '2026-11-23 10:01:00', 'CIRCULATION', 'ISSUE', 1, '52');
INSERT INTO action_logs VALUES (103, '2026-11-23 10:02:00', 'CIRCULATION', 'RETURN', 1, '52');
INSERT INTO action_logs VALUES (104, '2026-11-23 10:03:00', 'MEMBERS', 'MODIFY', 1, '');
"""

EVERGREEN = """
ATTACH ':memory:' AS action; ATTACH ':memory:' AS actor; ATTACH ':memory:' AS asset;
CREATE TABLE action.circulation (id INTEGER PRIMARY KEY, usr INTEGER, target_copy INTEGER, xact_start TEXT,
  due_date TEXT, checkin_time TEXT);
CREATE TABLE actor.usr (id INTEGER PRIMARY KEY, card INTEGER);
CREATE TABLE actor.card (id INTEGER PRIMARY KEY, barcode TEXT);
CREATE TABLE asset.copy (id INTEGER PRIMARY KEY, barcode TEXT);
INSERT INTO actor.card VALUES (3, 'R1'); INSERT INTO actor.usr VALUES (1, 3);
INSERT INTO asset.copy VALUES (51, '1001'), (52, '1002');
INSERT INTO action.circulation VALUES (7, 1, 51, '2026-11-23 10:00:00', '2026-12-23 23:59:59', NULL);
INSERT INTO action.circulation VALUES (8, 1, 52, '2026-11-23 10:01:00', '2026-12-23 23:59:59', '2026-11-23 10:02:00');
"""


@pytest.fixture(scope="module")
def shown() -> dict[str, str]:
    """The views of docs/connect-an-ils.md by the name of the system, both languages alike."""
    found: dict[str, dict[str, str]] = {}
    for name in ("connect-an-ils.md", "connect-an-ils.zh.md"):
        blocks = (Path(__file__).parents[3] / "docs" / name).read_text(encoding="utf-8").split("```sql\n")[1:]
        sql = [block.partition("```")[0] for block in blocks]
        found[name] = {
            "koha": next(s for s in sql if "action_logs" in s),
            "evergreen": next(s for s in sql if "action.circulation" in s),
        }
    assert found["connect-an-ils.md"] == found["connect-an-ils.zh.md"]
    return found["connect-an-ils.md"]


async def test_the_koha_shaped_view_of_the_guide_feeds(shown: dict[str, str], tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "koha.db") as db:
        db.executescript(KOHA + shown["koha"])
    asked = feed(
        table(tmp_path / "koha.db", changes="SELECT * FROM tongjie_changes WHERE id > :after ORDER BY id LIMIT :limit",
              open_loans="SELECT * FROM tongjie_open_loans"), tmp_path
    )  # fmt: skip
    found = await asked.poll("", 10)
    assert [(c.cursor, c.what.value, c.item_no, c.reader_no) for c in found.changes] == [
        ("101", "LOAN", "1001", "R1"), ("103", "RETURN", "1002", "R1"),
    ]  # fmt: skip
    assert [row.code for row in found.bad] == ["ROW_NO_DUE"]  # a loan that ended before it was read: its return follows
    assert [loan.item_no async for page in asked.open_loans() for loan in page] == ["1001"]


def test_the_evergreen_shaped_view_of_the_guide_gives_every_loan_and_return_in_order(shown: dict[str, str]) -> None:
    from edge.ils.feed_mapping import row_reader

    db = sqlite3.connect(":memory:")
    db.row_factory = sqlite3.Row
    db.create_function(
        "to_char", 2, lambda value, _form: str(value).replace("-", "").replace(" ", "").replace(":", "") + "000000"
    )
    db.create_function("lpad", 3, lambda value, width, fill: str(value).rjust(width, fill))
    db.executescript(EVERGREEN + shown["evergreen"].replace("CREATE VIEW", "CREATE TEMP VIEW").replace("::text", ""))
    rows = db.execute("SELECT * FROM tongjie_changes WHERE id > ? ORDER BY id", ("",)).fetchall()
    read = [row_reader({}, "America/New_York").change(dict(row)) for row in rows]
    assert [(c.what.value, c.item_no) for c in read] == [("LOAN", "1001"), ("LOAN", "1002"), ("RETURN", "1002")]
    assert [row["barcode"] for row in db.execute("SELECT * FROM tongjie_open_loans")] == ["1001"]
