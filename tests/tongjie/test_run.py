"""./run on machines that lack things: real sh, and tools of the machine played by small scripts that write down their words."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLAIN = ("sh", "cat", "cksum", "dirname", "readlink", "rm", "mkdir", "cp", "chmod", "env")
ALL_FOR_TESTS = ("chromium", "mosquitto", "promtool", "shellcheck", "docker-compose", "mbpoll", "vicc")

PYTHON = """#!/bin/sh
echo "$(basename "$0") $*" >> "$JOURNAL"
case "$1 ${2:-}" in
    "-c "*) case "$*" in *smartcard*) exit "${NO_PCSC:-0}" ;; esac; exit "${OLD_PYTHON:-0}" ;;
    "-m venv") [ -z "${NO_VENV:-}" ] || { mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; exit 1; }
               mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && touch "$3/bin/.pip" ;;
    "-m pip") [ -e "$(dirname "$0")/.pip" ] || exit 1
              case "$*" in *--require-hashes*) exit "${NO_NETWORK:-0}" ;; esac ;;
    "-m tongjie") echo "in $PWD" >> "$JOURNAL"; shift 2
                  for word in "$@"; do echo "word <$word>" >> "$JOURNAL"; done; exit "${STATUS:-0}" ;;
esac
"""
UV = """#!/bin/sh
echo "uv $*" >> "$JOURNAL"
[ "$1" = venv ] || exit 0
for last; do :; done
mkdir -p "$last/bin" && cp "$(command -v python3)" "$last/bin/python" && touch "$last/bin/.pip"
"""


class Machine:
    """A checkout and a PATH with nothing but what a test puts there."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a checkout"
        self.bin = folder / "bin"
        self.elsewhere = folder / "elsewhere"
        self.journal = folder / "journal"
        for path in (self.root, self.bin, self.elsewhere):
            path.mkdir()
        shutil.copy(ROOT / "run", self.root / "run")
        (self.root / "requirements.lock").write_text("typer==1\n")
        (self.root / "pyproject.toml").write_text("[project]\n")
        for name in (*PLAIN, "touch", "basename"):
            found = shutil.which(name)
            assert found is not None
            (self.bin / name).symlink_to(found)
        self.tool("apt-get", '#!/bin/sh\necho "apt-get $*" >> "$JOURNAL"\n')
        self.user(1000)
        self.tool("python3", PYTHON)

    def tool(self, name: str, text: str = "#!/bin/sh\n") -> None:
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def user(self, uid: int) -> None:
        self.tool("id", f"#!/bin/sh\necho {uid}\n")

    def run(self, *words: str, program: str | None = None, **env: str) -> subprocess.CompletedProcess[str]:
        self.journal.write_text("")
        return subprocess.run(
            [program or str(self.root / "run"), *words], cwd=self.elsewhere, capture_output=True, text=True, timeout=30,
            env={"PATH": str(self.bin), "JOURNAL": str(self.journal), "HOME": str(self.elsewhere), **env},
        )  # fmt: skip

    def did(self, what: str) -> bool:
        return any(what in line for line in self.journal.read_text().splitlines())


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_scripts_are_sound_shell() -> None:
    for script in ("run", ".ci/run"):
        subprocess.run(["sh", "-n", str(ROOT / script)], check=True)


@pytest.mark.skipif(
    shutil.which("shellcheck") is None and os.environ.get("CI") != "true", reason="shellcheck is not installed"
)
def test_shellcheck_finds_nothing() -> None:
    done = subprocess.run(["shellcheck", "run", ".ci/run"], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == ""


# --- what is missing ---------------------------------------------------------------------------------------------------


def test_without_python_and_without_rights_the_line_to_type_is_printed(machine: Machine) -> None:
    (machine.bin / "python3").unlink()
    done = machine.run("demo")
    assert done.returncode == 1
    assert "please run: sudo apt-get install -y --no-install-recommends python3 python3-venv" in done.stderr
    assert "Python 3.11 or newer is needed" in done.stderr
    assert not machine.did("apt-get")


def test_an_old_python_is_none(machine: Machine) -> None:
    done = machine.run("demo", OLD_PYTHON="1")
    assert done.returncode == 1
    assert "Python 3.11 or newer is needed" in done.stderr


def test_root_is_told_what_is_installed(machine: Machine) -> None:
    (machine.bin / "python3").unlink()
    machine.user(0)
    done = machine.run("demo")
    assert "run: installing system packages: python3 python3-venv" in done.stderr
    assert machine.did("apt-get install -y -qq --no-install-recommends python3 python3-venv")


def test_where_there_is_no_apt_the_packages_are_named(machine: Machine) -> None:
    (machine.bin / "python3").unlink()
    (machine.bin / "apt-get").unlink()
    machine.user(0)
    done = machine.run("demo")
    assert "please install with your system's package manager: python3 python3-venv" in done.stderr


def test_a_missing_venv_module_is_named_and_half_an_environment_is_not_left(machine: Machine) -> None:
    done = machine.run("demo", NO_VENV="1")
    assert done.returncode == 1
    assert "please run: sudo apt-get install -y --no-install-recommends python3-venv" in done.stderr
    assert not (machine.root / ".venv").exists()


def test_packages_that_do_not_come_are_one_sentence_and_tried_again(machine: Machine) -> None:
    done = machine.run("demo", NO_NETWORK="1")
    assert done.returncode == 1
    assert done.stderr.endswith(
        "run: the locked packages could not be installed; check the network and run this again\n"
    )
    assert not machine.did("-m tongjie")
    assert machine.run("demo").returncode == 0
    assert machine.did("--require-hashes")


def test_tests_say_what_they_would_like_and_go_on(machine: Machine) -> None:
    done = machine.run("test")
    assert done.returncode == 0
    assert "please run: sudo apt-get install -y --no-install-recommends chromium" in done.stderr
    assert "going on without them" in done.stderr
    assert not machine.did("apt-get")
    assert machine.did("word <test>")


def test_without_pc_sc_the_demo_says_what_to_install_and_goes_on(machine: Machine) -> None:
    done = machine.run("demo", NO_PCSC="1")
    assert done.returncode == 0
    assert "going on without them: what needs them is left out" in done.stderr
    assert machine.did("word <demo>")


def test_tests_install_as_root_and_only_for_tests(machine: Machine) -> None:
    machine.user(0)
    machine.run("demo")
    assert not machine.did("apt-get")
    machine.run("test")
    assert machine.did("apt-get install") and machine.did("chromium") and machine.did("prometheus")


@pytest.mark.skipif(
    os.environ.get("CI") != "true"
    and (
        not Path("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc").exists()
        or not list(Path("/usr/lib").glob("*/libatomic.so.1"))
    ),
    reason="the font or libatomic is not installed",
)
def test_nothing_is_asked_for_that_is_there(machine: Machine) -> None:
    for name in ALL_FOR_TESTS:
        machine.tool(name)
    machine.user(0)
    done = machine.run("test")
    assert not machine.did("apt-get")
    assert "system packages" not in done.stderr


# --- the environment ---------------------------------------------------------------------------------------------------


def test_pip_prepares_once_where_there_is_no_uv(machine: Machine) -> None:
    assert "preparing the environment" in machine.run("demo").stderr
    assert (
        machine.did("-m venv")
        and machine.did("--require-hashes -r")
        and machine.did("--no-deps --no-build-isolation -e")
    )
    again = machine.run("demo")
    assert again.stderr == ""
    assert not machine.did("-m pip")


def test_uv_prepares_where_it_is_there(machine: Machine) -> None:
    machine.tool("uv", UV)
    machine.run("demo")
    assert machine.did("uv venv") and machine.did("uv pip sync -q --require-hashes")
    assert not machine.did("-m venv")


def test_a_uv_that_does_not_work_is_none(machine: Machine) -> None:
    machine.tool("uv", "#!/bin/sh\nexit 1\n")
    assert machine.run("demo").returncode == 0
    assert machine.did("-m venv")


@pytest.mark.parametrize("name", ["requirements.lock", "pyproject.toml"])
def test_a_changed_lock_or_project_prepares_again(machine: Machine, name: str) -> None:
    machine.run("demo")
    (machine.root / name).write_text("changed\n")
    assert "preparing" in machine.run("demo").stderr
    assert not machine.did("-m venv")  # the same environment, brought up to date
    assert machine.run("demo").stderr == ""


def test_an_environment_whose_python_is_gone_is_made_anew(machine: Machine) -> None:
    machine.run("demo")
    python = machine.root / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nowhere/python")
    (machine.root / ".venv" / "left").touch()
    assert machine.run("demo").returncode == 0
    assert machine.did("-m venv")
    assert not (machine.root / ".venv" / "left").exists()


def test_a_moved_checkout_is_prepared_anew(machine: Machine) -> None:
    machine.run("demo")
    moved = machine.root.with_name("moved here")
    machine.root.rename(moved)
    machine.root = moved
    assert "preparing" in machine.run("demo").stderr
    assert machine.did("-m venv")
    assert machine.run("demo").stderr == ""


# --- what is run -------------------------------------------------------------------------------------------------------


def test_words_arrive_as_given_in_the_folder_of_the_caller(machine: Machine) -> None:
    machine.run("demo", "--report", "my report.json", "")
    assert machine.did(f"in {machine.elsewhere}")
    words = [line for line in machine.journal.read_text().splitlines() if line.startswith("word")]
    assert words == ["word <demo>", "word <--report>", "word <my report.json>", "word <>"]


def test_a_link_to_run_finds_its_checkout(machine: Machine) -> None:
    link = machine.elsewhere / "tongjie"
    link.symlink_to(machine.root / "run")
    assert machine.run("demo", program=str(link)).returncode == 0
    assert (machine.root / ".venv").exists()
    assert os.listdir(machine.elsewhere) == ["tongjie"]


@pytest.mark.parametrize("status", ["1", "2", "130"])
def test_the_status_of_the_command_is_handed_on(machine: Machine, status: str) -> None:
    assert machine.run("check", STATUS=status).returncode == int(status)
