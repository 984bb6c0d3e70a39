"""Which item a tag is: the tag's own word, this library's words, single chips, and never a guess."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from consortium.identity import ItemKey
from drivers.base import PadTag
from edge.countries import looks_like_isil
from edge.replica import process
from edge.tagmap import UID_SAYS_OTHERWISE, TagMap
from edge.tagstore import TagStore
from edge.uidmap import UidMap
from protocols.iso28560 import DEFAULT_AFI, AfiPair, TagContent, encode_part3
from protocols.iso28560.encode import image_of
from protocols.iso28560.uhf import identity, with_security
from tests.make import HOME, HOST, Make

UID = "E004010000000001"
OWN, PARTNERS = "1001", "2001"


class Branch:
    """A tag map over a real file of tags."""

    def __init__(self, folder: Path) -> None:
        self.store = TagStore(folder / "tags.db")
        self.store.open(1)
        self.uids = UidMap(folder / "uids.csv", folder)
        self.map = TagMap(
            HOME,
            aliases={"CQU": HOME, "PRTN": f"CN-{HOST}", "10611": HOME, "GONE": "999999"},
            policy=lambda: Make.policy(),
            owns=lambda number: number == OWN,
            store=self.store,
            uids=self.uids,
        )

    def read(self, pii: str, owner: str, **more: int) -> tuple[ItemKey | None, str, str]:
        item = self.map.read(hf(pii, owner, **more), DEFAULT_AFI)
        return item.key, item.code, item.by


@pytest.fixture
def branch(tmp_path: Path) -> Iterator[Branch]:
    made = Branch(tmp_path)
    yield made
    made.uids.close()


def hf(pii: str, owner: str, *, afi: int = 0x07, usage: int = 1, uid: str = UID) -> PadTag:
    return PadTag(uid, 0x3E, afi, encode_part3(pii, owner, usage), 4)


class TestNeverGuessed:
    def test_a_partners_number_on_a_tag_without_owner_is_asked(self, branch: Branch) -> None:
        assert branch.read(PARTNERS, "") == (None, "ASK_OWNER", "")

    def test_a_word_nobody_here_knows_is_asked_even_where_the_number_is_ours(self, branch: Branch) -> None:
        assert branch.read(OWN, "USTB") == (None, "ASK_OWNER", "")

    def test_an_alias_of_somebody_who_is_no_member_is_asked(self, branch: Branch) -> None:
        assert branch.read(OWN, "GONE") == (None, "ASK_OWNER", "")

    @pytest.mark.parametrize("owner", ["DE-123", "CN-123456", "DK-700400"])
    def test_another_library_that_says_who_it_is_is_foreign(self, branch: Branch, owner: str) -> None:
        assert branch.read(OWN, owner) == (None, "FOREIGN", "")

    def test_blank_and_damaged_memory_name_nothing(self, branch: Branch) -> None:
        damaged = bytearray(encode_part3(OWN, f"CN-{HOME}"))
        damaged[5] ^= 1
        codes = [
            branch.map.read(PadTag(UID, dsfid, 0x07, data, 4), DEFAULT_AFI).code
            for dsfid, data in ((0, bytes(112)), (0x3E, bytes(damaged)))
        ]
        assert codes == ["BLANK", "DAMAGED"]

    @pytest.mark.parametrize(("usage", "code"), [(8, "READER_CARD"), (9, "EQUIPMENT")])
    async def test_a_card_or_trolley_is_no_item_whatever_is_known_of_its_chip(
        self, branch: Branch, usage: int, code: str
    ) -> None:
        await branch.map.learn(UID, ItemKey(HOME, OWN), 1)
        assert branch.read(OWN, f"CN-{HOME}", usage=usage)[:2] == (None, code)


class TestResolved:
    @pytest.mark.parametrize("owner", [f"CN-{HOME}", HOME])
    def test_a_members_isil_or_code_decides(self, branch: Branch, owner: str) -> None:
        assert branch.read("whatever", owner) == (ItemKey(HOME, "whatever"), "OK", "TAG")

    def test_a_local_word_is_translated(self, branch: Branch) -> None:
        assert branch.read(OWN, "CQU") == (ItemKey(HOME, OWN), "OK", "ALIAS")
        assert branch.read("77", "PRTN") == (ItemKey(HOST, "77"), "OK", "ALIAS")

    def test_a_bare_number_is_ours_where_the_replica_has_it(self, branch: Branch) -> None:
        assert branch.read(OWN, "") == (ItemKey(HOME, OWN), "OK", "OWN")

    async def test_what_staff_said_of_a_chip_is_remembered_across_a_restart(
        self, branch: Branch, tmp_path: Path
    ) -> None:
        await branch.map.learn(UID, ItemKey(HOST, PARTNERS), 1)
        assert branch.read(PARTNERS, "") == (ItemKey(HOST, PARTNERS), "OK", "STAFF")
        await branch.store.close()
        assert Branch(tmp_path).read(PARTNERS, "") == (ItemKey(HOST, PARTNERS), "OK", "STAFF")

    async def test_a_tag_that_names_a_member_is_believed_and_the_difference_shown(self, branch: Branch) -> None:
        await branch.map.learn(UID, ItemKey(HOST, PARTNERS), 1)
        item = branch.map.read(hf(OWN, f"CN-{HOME}"), DEFAULT_AFI)
        assert (item.key, item.divergences) == (ItemKey(HOME, OWN), (UID_SAYS_OTHERWISE,))

    def test_the_sites_pair_says_whether_it_is_secured(self, branch: Branch) -> None:
        pair = AfiPair(0xD7, 0xDA)
        states = [branch.map.read(hf(OWN, "", afi=afi), pair).secured for afi in (0xD7, 0xDA, 0x07)]
        assert states == [True, False, None]


class TestUhf:
    @pytest.mark.parametrize(("form", "owner"), [("28560-4", f"CN-{HOME}"), ("gaoxiao", "10611")])
    def test_a_uhf_tag_is_an_item_like_any_other(self, branch: Branch, form: str, owner: str) -> None:
        content = TagContent(form, "CQ0012345", owner)  # type: ignore[arg-type]
        image = image_of(content, form, capacity=64)  # type: ignore[arg-type]
        assert image.pc is not None
        for secured in (True, False):
            pc, epc = with_security(image.pc, image.epc, secured, DEFAULT_AFI)
            tag = PadTag(identity(pc, epc), 0, pc & 0xFF if pc & 0x100 else None, image.data, 2, "UHF", pc=pc, epc=epc)
            item = branch.map.read(tag, DEFAULT_AFI)
            assert (item.key, item.secured) == (ItemKey(HOME, "CQ0012345"), secured)

    def test_a_retail_code_is_foreign(self, branch: Branch) -> None:
        epc = bytes.fromhex("3034257BF7194E4000001A85")
        tag = PadTag(epc.hex().upper(), 0, None, b"", 2, "UHF", pc=0x3000, epc=epc)
        assert branch.map.read(tag, DEFAULT_AFI).code == "FOREIGN"


class TestListOfChips:
    async def test_the_list_is_built_followed_and_bad_rows_counted(self, branch: Branch, tmp_path: Path) -> None:
        source = tmp_path / "uids.csv"
        source.write_text(
            f"UID,OWNER,ITEM_NO\n{UID},CQU,{OWN}\nnot hex,CQU,1\nE004010000000002,{HOST},{PARTNERS}\n"
            f"E004010000000003,{HOME},1\nE004010000000003,{HOME},2\n"
        )
        assert await branch.uids.refresh()
        assert branch.uids.facts == {"rows": 2, "bad_rows": 1, "ambiguous": 1}
        assert branch.map.read(PadTag(UID, 0, 0, bytes(112), 4), DEFAULT_AFI).key == ItemKey(HOME, OWN)
        other = hf(PARTNERS, "", uid="E004010000000002")
        assert branch.map.read(other, DEFAULT_AFI).by == "UID_MAP"
        twice = branch.map.read(hf("1", "", uid="E004010000000003"), DEFAULT_AFI)
        assert (twice.key, twice.code) == (None, "ASK_OWNER")
        assert not await branch.uids.refresh()
        source.write_text(f"{UID},{HOST},9\n")
        assert await branch.uids.refresh()
        assert branch.uids.find(UID) == (HOST, "9")

    async def test_a_list_that_is_no_text_leaves_the_one_before(self, branch: Branch, tmp_path: Path) -> None:
        source = tmp_path / "uids.csv"
        source.write_text(f"{UID},{HOST},9\n")
        assert await branch.uids.refresh()
        source.write_bytes(b"\xff\xfe\x00broken")
        assert not await branch.uids.refresh()
        assert branch.uids.find(UID) == (HOST, "9")
        again = UidMap(source, tmp_path)
        again.open()
        assert again.find(UID) == (HOST, "9")
        again.close()

    async def test_a_list_that_cannot_be_used_is_not_built_again_before_it_changes(
        self, branch: Branch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        builds = []

        async def counted(*arguments: Any, **more: Any) -> Any:
            builds.append(arguments)
            return await process.run(*arguments, **more)

        monkeypatch.setattr("edge.uidmap.run", counted)
        source = tmp_path / "uids.csv"
        source.write_bytes(b"\xff\xfe\x00broken")
        for _ in range(3):
            assert not await branch.uids.refresh()
        assert len(builds) == 1
        monkeypatch.setattr("edge.uidmap.AGAIN_S", 0.0)
        source.write_bytes(b"\xff\xfe\x00broken too")
        assert not await branch.uids.refresh()
        assert not await branch.uids.refresh()  # its time is over: the fault may have been this machine's
        assert len(builds) == 3
        source.write_text(f"{UID},{HOST},9\n")
        assert await branch.uids.refresh()
        assert branch.uids.find(UID) == (HOST, "9")


@pytest.mark.parametrize(
    ("code", "isil"),
    [("DE-123", True), ("DK700400", True), ("OCLC-ABC", True), ("", False), ("USTB", False), ("CQU", False), ("10611", False)],
)  # fmt: skip
def test_an_isil_is_told_from_a_word(code: str, isil: bool) -> None:
    assert looks_like_isil(code) is isil
