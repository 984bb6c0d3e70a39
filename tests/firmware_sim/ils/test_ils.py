"""The simulated ILS on a SIP2 server that is not ours: its own rules, its own books, and what staff do behind our back."""

from __future__ import annotations

import csv
import socket
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.edge.ils.feed_bed import PROXY, TOKEN, Ils, Sip, seed

D = "20261123    110000"
NONE = "20261123    000000"


@pytest.fixture
def ils(tmp_path: Path) -> Iterator[Ils]:
    patrons = [
        {"number": "BLOCKED", "blocked": True},
        {"number": "OLD", "expiry": "2020-01-01"},
        {"number": "DEBTOR", "fees": 1250},
    ]
    more = seed()
    more["patrons"] += patrons
    with Ils(
        tmp_path, "--csv", str(tmp_path / "drop"), "--csv-every", "0", "--rest-port", "0", "--most", "2", seeded=more
    ) as found:
        yield found


@pytest.fixture
def sip(ils: Ils) -> Iterator[Sip]:
    found = ils.sip()
    yield found
    found.close()


def out(sip: Sip, number: str, item_no: str, *, no_block: str = "N", due: str = NONE, at: str = D) -> str:
    return sip.ask(f"11N{no_block}{at}{due}AO251020|AA{number}|AB{item_no}|AC|")


def back(sip: Sip, item_no: str, *, no_block: str = "N", at: str = D) -> str:
    return sip.ask(f"09{no_block}{at}{at}AP|AO251020|AB{item_no}|AC|")


def field(reply: str, name: str) -> str | None:
    return next((part[2:] for part in reply.split("|") if part.startswith(name)), None)


def test_a_wrong_login_is_answered_and_hung_up_on(ils: Ils) -> None:
    with socket.create_connection(("127.0.0.1", ils.ready["port"]), timeout=5) as line:
        line.sendall(b"9300CNedge|COwrong|\r")
        assert line.recv(64) == b"940\r"
        assert line.recv(64) == b""


@pytest.mark.parametrize(
    ("number", "item_no", "text"),
    [("BLOCKED", "1001", "Patron is blocked"), ("OLD", "1001", "Patron card has expired"), ("NOBODY", "1001", "Patron not found"),
     ("R1", "9", "Item not found")],
)  # fmt: skip
def test_refusals_have_their_reason_and_change_nothing(
    sip: Sip, ils: Ils, number: str, item_no: str, text: str
) -> None:
    reply = out(sip, number, item_no)
    assert reply.startswith("120N") and field(reply, "AF") == text
    assert ils.do("changes")["changes"] == []


def test_too_many_another_readers_item_and_one_on_hold_are_refused(sip: Sip, ils: Ils) -> None:
    assert out(sip, "R1", "1001").startswith("121N") and out(sip, "R1", "1002").startswith("121N")
    assert field(out(sip, "R1", "1003"), "AF") == "Too many items checked out"
    assert field(out(sip, "R2", "1001"), "AF") == "Item is checked out to another patron"
    ils.do("hold", number="R3", item_no="1004")
    assert field(out(sip, "R2", "1004"), "AF") == "Item is on hold for another patron"
    assert field(sip.ask(f"29NN{D}{NONE}AO251020|AAR2|AB1001|"), "AF") == "Item is not checked out to this patron"
    for number in ("1005", "1006", "1007"):
        assert out(sip, PROXY, number).startswith("121N")


def test_what_happened_off_line_is_recorded_with_its_true_date_whatever_the_rules_say(sip: Sip, ils: Ils) -> None:
    reply = out(sip, "BLOCKED", "1001", no_block="Y", at="20261101    090000", due="20261201    235959")
    assert reply.startswith("121N") and "AH2026-12-01|" in reply
    assert out(sip, "BLOCKED", "1001", no_block="Y", at="20261101    090000", due="20261201    235959").startswith(
        "121Y"
    )
    assert out(sip, "R2", "1001", no_block="Y", at="20261102    090000", due="20261202    235959").startswith("121N")
    assert back(sip, "1001", no_block="Y", at="20261101    120000").startswith(
        "101"
    )  # of the loan before: this one stays
    assert ils.do("loan", item_no="1001")["loan"]["number"] == "R2"
    assert back(sip, "1001", no_block="Y", at="20261103    120000").startswith("101")
    assert [(c["what"], c["cardnumber"], c["changed_at"]) for c in ils.do("changes")["changes"]] == [
        ("LOAN", "BLOCKED", "2026-11-01T01:00:00Z"), ("RETURN", "BLOCKED", "2026-11-02T01:00:00Z"),
        ("LOAN", "R2", "2026-11-02T01:00:00Z"), ("RETURN", "R2", "2026-11-03T04:00:00Z"),
    ]  # fmt: skip
    assert out(sip, "NOBODY", "1001", no_block="Y").startswith("120")


def test_a_hold_routes_the_item_that_comes_back(sip: Sip) -> None:
    out(sip, "R1", "1001")
    assert sip.ask(f"15+{D}BS251020-02|AO251020|AAR2|AB1001|").startswith("161N")
    reply = back(sip, "1001")
    assert reply.startswith("101YNY") and "|CV02|CT251020-02|CYR2|" in reply
    assert sip.ask(f"17{D}AO251020|AB1001|").startswith("1808")
    assert sip.ask(f"15-{D}AO251020|AAR2|AB1001|").startswith("161")
    assert back(sip, "1001").startswith("101YNN")


def test_reader_fees_renewals_and_session_end(sip: Sip) -> None:
    reply = sip.ask(f"63000{D}          AO251020|AADEBTOR|AD1234|")
    assert "|BV12.50|" in reply and "|BLY|" in reply and "|CQN|" in reply
    assert sip.ask(f"37{D}0100CNYBV99.00|AO251020|AADEBTOR|").startswith("38N")
    assert sip.ask(f"37{D}0100CNYBV12.50|AO251020|AADEBTOR|").startswith("38Y")
    out(sip, "R1", "1001", no_block="Y", at="20261101    090000", due="20261105    235959")
    reply = sip.ask(f"63000{D}  Y       AO251020|AAR1|AD1234|")
    assert reply[37:49] == "000000010001" and "|AU1001|" in reply and "|CQY|" in reply
    assert sip.ask(f"29NN{D}{NONE}AO251020|AAR1|AB1001|").startswith("301Y")
    assert sip.ask(f"65{D}AO251020|AAR1|").startswith("66100010000")
    assert sip.ask(f"23000{D}AO251020|AAOLD|AC|AD|").startswith("24YYYY")
    assert sip.ask(f"35{D}AO251020|AAR1|").startswith("36Y")
    assert sip.ask("9900802.00").startswith("98YYYY")


def test_the_books_outlive_a_kill(tmp_path: Path) -> None:
    with Ils(tmp_path) as first:
        sip = first.sip()
        out(sip, "R1", "1001")
        first.process.kill()
        sip.close()
    with Ils(tmp_path) as second:
        assert second.do("loan", item_no="1001")["loan"]["number"] == "R1"


def test_changes_are_only_ever_added_and_offered_three_ways_alike(ils: Ils, tmp_path: Path) -> None:
    for n in range(3):
        ils.do("lend", number=f"R{n + 1}", item_no=f"100{n + 1}")
    assert ils.do("lend", number="R1", item_no="77")["error"] == "REFUSED"
    assert ils.do("fly")["error"] == "BAD_OPERATION"
    with sqlite3.connect(f"{ils.db.as_uri()}?mode=ro", uri=True) as db:
        by_sql = [row[0] for row in db.execute("SELECT barcode FROM tongjie_changes ORDER BY id")]
    with sqlite3.connect(ils.db) as db, pytest.raises(sqlite3.IntegrityError):
        db.execute("UPDATE changes SET number = 'X'")
    assert ils.do("drop") == {"rows": 3} and ils.do("drop") == {"rows": 0}
    with next((tmp_path / "drop").glob("changes-*.csv")).open(encoding="utf-8") as file:
        by_csv = [row["barcode"] for row in csv.DictReader(file)]
    assert httpx2.get(f"{ils.ready['rest']}/changes").status_code == 401
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    by_rest = [
        row["barcode"] for row in httpx2.get(f"{ils.ready['rest']}/changes?after=0", headers=bearer).json()["changes"]
    ]
    assert by_sql == by_csv == by_rest == ["1001", "1002", "1003"]
    assert len(httpx2.get(f"{ils.ready['rest']}/open-loans?after=1001", headers=bearer).json()["loans"]) == 2
    assert httpx2.get(f"{ils.ready['rest']}/changes?after=x", headers=bearer).status_code == 400


def test_a_slow_answer_comes_after_the_books_are_written(ils: Ils, sip: Sip) -> None:
    ils.do("slow", s=0.4)
    began = time.monotonic()
    assert out(sip, "R1", "1001").startswith("121")
    assert time.monotonic() - began >= 0.4


def test_staff_live_a_life_of_their_own(tmp_path: Path) -> None:
    with Ils(tmp_path, "--life", "6000") as ils:
        deadline = time.monotonic() + 10
        while len(ils.do("changes")["changes"]) < 50:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert {"LOAN", "RETURN"} <= {row["what"] for row in ils.do("changes")["changes"]}
        assert {row["operator"] for row in ils.do("changes")["changes"]} == {"desk"}
