"""Where a demo lives: what it cannot have is one sentence and leaves nothing; what it writes only its owner may read."""

from __future__ import annotations

import json
import os
import random
import socket
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from consortium.seal import Trust, public_key
from edge.config import load as load_edge
from firmware_sim.consortium import BRANCHES
from firmware_sim.consortium.policy import PARTNER
from hub.config import load as load_hub
from hub.config import master_key, policy_key
from tongjie.demo.claim import MARKER, numbers_of
from tongjie.demo.ils import BEHIND, behind_items
from tongjie.demo.layout import (
    DemoError,
    Layout,
    plan,
    secret_file,
    write_configuration,
    write_demo_json,
)
from tongjie.demo.plan import write_plan
from tongjie.reference import devices


def planned(folder: Path, ports: str = "auto") -> Layout:
    return plan(folder, seed=1, speed=1.0, ports=ports)


def refused(folder: Path, ports: str = "auto") -> DemoError:
    """The refusal: one sentence on one line."""
    with pytest.raises(DemoError) as found:
        planned(folder, ports)
    assert "\n" not in str(found.value)
    return found.value


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on, as --ports can name it."""
    # Below the range from which the system hands out ports, so that no test beside this one takes a neighbour of it.
    while True:
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", random.randrange(10_000, 30_000)))
            except OSError:
                continue
            listener.listen()
            yield listener.getsockname()[1]
            return


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Layout]:
    """A whole demo on disk, nothing started."""
    layout = planned(tmp_path_factory.mktemp("lives") / "demo")
    write_configuration(layout)
    write_plan(layout)
    write_demo_json(layout)
    yield layout
    layout.close()


# --- refusals ----------------------------------------------------------------------------------------------------------


def test_a_second_demo_in_the_same_folder_is_told_who_is_there(tmp_path: Path) -> None:
    first = planned(tmp_path / "demo")
    kept = sorted(path.name for path in first.folder.iterdir())
    assert f"a demo is already running in {tmp_path / 'demo'} (process {os.getpid()})" in str(refused(first.folder))
    assert sorted(path.name for path in first.folder.iterdir()) == kept
    first.close()


@pytest.mark.parametrize(("behind", "what"), [(0, "hub"), (2, "edge"), (13, "SIP2")])
def test_a_port_in_use_is_named_and_nothing_is_left(tmp_path: Path, taken: int, behind: int, what: str) -> None:
    error = refused(tmp_path / "a" / "demo", str(taken - behind))
    assert str(error).startswith(f"port {taken} ({what}) is in use; ")
    assert error.status == 1
    assert list(tmp_path.iterdir()) == []


def test_a_port_in_use_leaves_what_an_earlier_demo_wrote(tmp_path: Path, taken: int) -> None:
    planned(tmp_path / "demo").close()
    (tmp_path / "demo" / "demo.json").write_text("{}")
    refused(tmp_path / "demo", str(taken))
    assert (tmp_path / "demo" / "demo.json").exists()


def test_a_port_in_use_leaves_an_empty_folder_empty(tmp_path: Path, taken: int) -> None:
    refused(tmp_path, str(taken))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ports", ["abc", "80", "70000", "-1", "8080.5", "８０８０", " "])
def test_ports_that_are_none_are_wrong_usage(tmp_path: Path, ports: str) -> None:
    assert refused(tmp_path / "demo", ports).status == 2
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    assert "holds other files" in str(refused(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("below", ["", "demo", "deeper/demo"])
def test_a_file_where_a_folder_should_be_is_refused(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be written" in str(refused(tmp_path / "file" / below))
    assert (tmp_path / "file").read_text() == ""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_a_folder_that_nobody_can_write_is_refused() -> None:
    assert "/proc/tongjie cannot be written" in str(refused(Path("/proc/tongjie")))


def test_a_marker_that_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / MARKER).mkdir()
    assert "cannot be written" in str(refused(tmp_path))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_somebody_without_rights_gets_one_sentence() -> None:
    with tempfile.TemporaryDirectory() as place:
        for mode in (0o755, 0o700):
            Path(place).chmod(mode)
            folder = Path(place) / "demo"
            said = f"{folder} cannot be written (Permission denied); give another folder with --data DIR"
            assert as_nobody(folder) == said
            assert not folder.exists()


def as_nobody(folder: Path) -> str:
    """What a process of another user is told."""
    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        said = b"no refusal"
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            planned(folder)
        except DemoError as error:
            said = str(error).encode()
        finally:
            os.write(sink, said)
            os._exit(0)
    os.waitpid(child, 0)
    os.close(sink)
    with os.fdopen(source) as told:
        return told.read()


@pytest.mark.parametrize("name", ["what?", 'say "x"', "back\\slash", "two\nlines"])
def test_a_folder_name_that_addresses_cannot_carry_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DemoError, match="name may not hold") as found:
        planned(tmp_path / name)
    assert found.value.status == 2
    assert list(tmp_path.iterdir()) == []


# --- a folder of one's own ---------------------------------------------------------------------------------------------


def test_a_folder_can_be_taken_again_and_is_cleared(tmp_path: Path) -> None:
    first = planned(tmp_path / "demo")
    (first.folder / "hub" / "hub.sqlite").write_text("old")
    first.close()
    again = planned(tmp_path / "demo")
    assert not (again.folder / "hub" / "hub.sqlite").exists()
    assert (again.staff_token, again.branches[0].node_token) != (first.staff_token, first.branches[0].node_token)
    again.close()


def test_clearing_follows_no_link_out_of_the_folder(tmp_path: Path) -> None:
    planned(tmp_path / "demo").close()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("years of work")
    (tmp_path / "demo" / "link").symlink_to(tmp_path / "other")
    planned(tmp_path / "demo").close()
    assert (tmp_path / "other" / "thesis.txt").exists()
    assert not (tmp_path / "demo" / "link").is_symlink()


def test_ports_by_default_are_those_of_the_documents() -> None:
    assert [number for number, _ in numbers_of("")] == [8080, 8101, 8102, 8103, 6101, 6102, 6103]
    assert [number for number, _ in numbers_of("9000")] == [9000, 9001, 9002, 9003, 9011, 9012, 9013]


@pytest.mark.parametrize("ports", ["auto", "0"])
def test_any_port_means_different_ports(tmp_path: Path, ports: str) -> None:
    layout = planned(tmp_path / "demo", ports)
    numbers = [layout.hub_port, layout.broker_port, *(p for b in layout.branches for p in (b.http_port, b.sip2_port))]
    numbers += [number for branch in layout.branches for number in (branch.control, branch.tls_port)]
    numbers += [layout.ils.port, layout.ils.control]
    assert len(set(numbers)) == len(numbers) == 4 + 4 * len(BRANCHES)
    layout.close()


@pytest.mark.skipif(sys.platform != "linux", reason="ports are held on Linux")
def test_a_port_that_was_given_stays_ours_until_our_server_listens(tmp_path: Path) -> None:
    layout = planned(tmp_path / "demo")
    with socket.socket() as stranger, pytest.raises(OSError):
        stranger.bind(("127.0.0.1", layout.hub_port))
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", layout.hub_port))
        server.listen()
        with socket.create_connection(("127.0.0.1", layout.hub_port), 5):
            assert server.accept()[0].close() is None
    layout.close()


# --- what it writes ----------------------------------------------------------------------------------------------------


def test_what_is_secret_only_its_owner_may_read(written: Layout) -> None:
    files = [path for path in written.folder.rglob("*") if path.is_file() and path.name != MARKER]
    assert len(files) == 11 + 3 * len(BRANCHES)
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_a_secret_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("old")
    path.chmod(0o644)
    secret_file(path, "new")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new", 0o600)


def test_hub_and_edges_take_their_configuration(written: Layout) -> None:
    hub = load_hub(written.folder / "hub.toml", {})
    assert (hub.http_port, hub.broker_url, len(master_key(hub))) == (written.hub_port, written.broker_url, 32)
    kinds: set[str] = set()
    for branch in written.branches:
        edge = load_edge(written.folder / f"edge-{branch.id}.toml", {})
        assert (edge.node, edge.http_port, edge.sip2_port) == (branch.node, branch.http_port, branch.sip2_port)
        assert edge.node_token == branch.node_token
        assert {"osdp", "feig", "gate"} <= {device.kind for device in edge.devices}
        kinds |= {device.kind for device in edge.devices}
        assert {account.password for account in edge.accounts} == {branch.kiosk_password, branch.sorter_password}
    assert kinds == devices.kinds() - ({"pcsc"} if written.left_out else set())


def test_cards_are_read_byte_reversed_at_one_gate_and_some_tags_are_known_by_their_chip_alone(written: Layout) -> None:
    second = load_edge(written.folder / f"edge-{BRANCHES[1]}.toml", {})
    assert [device.id for device in second.devices if device.options.get("reverse_bytes")] == [f"{BRANCHES[1]}-card2"]
    assert second.tags.uid_map == written.folder / "uids.csv"
    rows = second.tags.uid_map.read_text("utf-8").splitlines()
    assert rows
    assert {row.split(",")[1] for row in rows} == {PARTNER}


def test_kiosks_come_in_over_tcp_tls_and_at_the_first_branch_a_serial_line(written: Layout) -> None:
    first, *others = (load_edge(written.folder / f"edge-{branch.id}.toml", {}) for branch in written.branches)
    assert [listener.url.partition(":")[0] for listener in first.listeners] == ["tls", "pty"]
    assert [[listener.url.partition(":")[0] for listener in edge.listeners] for edge in others] == [["tls"]] * 2
    assert [account.user for account in first.accounts] == ["kiosk1", "kiosk2", "kiosk3", "sorter1"]
    plan_file = json.loads((written.folder / "plan.json").read_text("utf-8"))
    schemes = [[kiosk["url"].partition(":")[0] for kiosk in branch["kiosks"]] for branch in plan_file["branches"]]
    assert schemes == [["tcp", "tls", "pty"], ["tcp", "tls"], ["tcp", "tls"]]


def test_a_sorter_has_a_bin_for_every_branch_and_one_for_what_nobody_understands(written: Layout) -> None:
    for branch in written.branches:
        edge = load_edge(written.folder / f"edge-{branch.id}.toml", {})
        sorter = next(account for account in edge.accounts if account.kind == "sorter")
        away = {rule.dest: rule.bin for rule in sorter.bins if rule.action == "TRANSIT"}
        assert set(away) == set(BRANCHES) - {branch.id}
        assert len(set(away.values()) | {"1", "2", sorter.exception_bin}) == len(BRANCHES) + 2


def test_one_member_keeps_its_own_ils_and_only_its_branch_is_told_of_it(written: Layout) -> None:
    configured = {
        branch.id: load_edge(written.folder / f"edge-{branch.id}.toml", {}).ils for branch in written.branches
    }
    assert [branch for branch, ils in configured.items() if ils is not None] == ["990001-01"]
    ils = configured["990001-01"]
    assert ils is not None
    assert set(ils.proxies) == {"251020", "990001", "990002"}
    assert ils.feed["kind"] == "sql"
    seed = json.loads((written.folder / "ils" / "seed.json").read_text("utf-8"))
    numbers = {patron["number"] for patron in seed["patrons"]}
    assert {row["reader_no"] for row in written.data["readers"] if row["home"] == "990001"} < numbers
    assert not {row["reader_no"] for row in written.data["readers"] if row["home"] != "990001"} & numbers


def test_every_edge_trusts_the_key_that_this_demo_s_hub_seals_with(written: Layout) -> None:
    key = policy_key(load_hub(written.folder / "hub.toml", {}))
    for branch in written.branches:
        edge = load_edge(written.folder / f"edge-{branch.id}.toml", {})
        assert edge.policy_trust == Trust((public_key(key),))


def test_site_keys_differ_between_libraries_and_come_from_no_default(written: Layout) -> None:
    keys = {(written.folder / branch.id / "site.key").read_text() for branch in written.branches}
    assert len(keys) == len(BRANCHES)


def test_demo_json_has_every_key_of_the_design(written: Layout) -> None:
    content: dict[str, Any] = json.loads((written.folder / "demo.json").read_text("utf-8"))
    assert set(content) == {"hub", "staff_token", "staff", "broker", "branches", "readers", "items"}
    assert content["staff_token"].startswith("tj_")
    assert set(content["staff"]) == {"username", "password"}
    assert content["broker"]["kind"] in ("iotcore", "mosquitto", "external")
    assert content["broker"]["url"] == written.broker_url
    assert [branch["id"] for branch in content["branches"]] == list(BRANCHES)
    for branch in content["branches"]:
        assert set(branch) == {"id", "library", "edge", "kiosk", "sip2"}
        assert branch["kiosk"] == branch["edge"] + "/kiosk"
        assert set(branch["sip2"]) == {"host", "port", "user", "password", "institution"}
    for reader in content["readers"]:
        assert set(reader) == {"library", "reader_no", "pin", "category", "card", "free", "expect"}
        assert {place: set(codes) for place, codes in reader["expect"].items()} == {
            "enter": set(BRANCHES),
            "borrow": set(BRANCHES),
        }
        assert reader["card"] == bytes.fromhex(reader["card"]).hex().upper()
    for item in content["items"]:
        assert set(item) == {"owner", "item_no", "title", "branch", "type", "free"}


def test_the_players_are_given_nothing_that_is_free_and_nothing_on_loan(written: Layout) -> None:
    theirs = json.loads((written.folder / "plan.json").read_text("utf-8"))
    readers = {(row["home"], row["reader_no"]): row for row in written.data["readers"]}
    items = {(row["owner"], row["item_no"]): row for row in written.data["items"]}
    on_loan = {(loan["owner"], loan["item_no"]) for loan in written.data["open_loans"]}
    assert len(theirs["readers"]) > 200
    assert not any(readers[row["library"], row["reader_no"]]["free"] for row in theirs["readers"])
    assert not any(items[row["owner"], row["item_no"]]["free"] for row in theirs["items"])
    assert not on_loan & {(row["owner"], row["item_no"]) for row in theirs["items"]}
    behind = {("990001", item_no) for item_no in behind_items(written.data, "990001")}
    assert len(behind) == BEHIND
    assert not behind & {(row["owner"], row["item_no"]) for row in theirs["items"]}
