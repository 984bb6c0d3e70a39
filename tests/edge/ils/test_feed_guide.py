"""docs/connect-an-ils.md in both languages: its settings are settings, its example file is read, and both show the same."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from edge.ils.feed_follow import make_feed
from edge.ils.feeds import FeedError

DOCS = Path(__file__).parents[3] / "docs"


def blocks(name: str, language: str) -> list[str]:
    """The code blocks of a language on a page."""
    text = (DOCS / name).read_text(encoding="utf-8")
    return [block.partition("```")[0] for block in text.split(f"```{language}\n")[1:]]


@pytest.mark.parametrize("name", ["connect-an-ils.md", "connect-an-ils.zh.md"])
async def test_every_feed_that_the_guide_shows_can_be_made_and_its_file_read(name: str, tmp_path: Path) -> None:
    tables = [tomllib.loads(block)["ils"] for block in blocks(name, "toml")]
    assert tables[0]["url"].startswith("sip2://") and tables[0]["proxies"] == {"251020": "TJ-251020"}
    feeds = {table["feed"]["kind"]: table["feed"] for table in tables[1:]}
    assert set(feeds) == {"sql", "csv", "rest"}
    assert make_feed(feeds["rest"], zone="Asia/Shanghai", base=tmp_path).tells_loans
    (tmp_path / "feed.password").write_text("secret")
    with pytest.raises(FeedError, match="pymysql is not installed"):  # every other setting was taken by then
        make_feed(feeds["sql"], zone="Asia/Shanghai", base=tmp_path)
    (tmp_path / "changes-000123.csv").write_text(blocks(name, "csv")[0], encoding="utf-8")
    asked = make_feed({**feeds["csv"], "folder": str(tmp_path), "settle_s": 0}, zone="Asia/Shanghai", base=tmp_path)
    found = await asked.poll("", 10)
    assert [(c.what.value, c.item_no, c.reader_no) for c in found.changes] == [
        ("LOAN", "1001", "R1")
    ] and found.bad == ()


def test_both_languages_show_the_same_settings() -> None:
    english, chinese = ([tomllib.loads(b) for b in blocks(f"connect-an-ils{x}.md", "toml")] for x in ("", ".zh"))
    assert english == chinese
