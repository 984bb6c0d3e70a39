"""Environments beside our own: made once, made anew when their lock changes, and said clearly where they cannot be had."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bench import _environment
from bench._environment import EnvironmentMissing, environment

ROOT = Path(__file__).parents[2]
LOCKS = [ROOT / "bench" / "rivals" / "requirements.lock", ROOT / "tests" / "fuzz" / "requirements.lock"]


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lock of nothing, so that no network is asked."""
    monkeypatch.setattr(_environment, "ROOT", tmp_path)
    (tmp_path / ".tongjie").mkdir()
    path = tmp_path / "requirements.lock"
    path.write_text("# nothing\n")
    return path


def test_a_lock_that_cannot_be_installed_is_said_and_leaves_nothing_half_made(lock: Path) -> None:
    lock.write_text("no-such-package-of-ours @ file:///nowhere/at/all.whl --hash=sha256:" + "0" * 64 + "\n")
    for _ in range(2):
        with pytest.raises(EnvironmentMissing, match=r"requirements\.lock could not be installed"):
            environment("tools", lock)
    lock.write_text("# nothing\n")
    assert environment("tools", lock).is_dir()


def test_a_package_without_a_hash_is_not_installed(lock: Path) -> None:
    lock.write_text("six==1.17.0\n")
    with pytest.raises(EnvironmentMissing, match=r"(?i)hash"):
        environment("tools", lock)


def test_it_is_made_once_and_its_python_is_its_own(lock: Path) -> None:
    folder = environment("tools", lock)
    (folder / "mark").touch()
    assert environment("tools", lock) == folder
    assert (folder / "mark").exists()
    words = [str(folder / "bin" / "python"), "-c", "import sys; print(sys.prefix)"]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip() == str(folder)


def test_another_lock_makes_it_anew(lock: Path) -> None:
    folder = environment("tools", lock)
    (folder / "mark").touch()
    lock.write_text("# still nothing\n")
    assert environment("tools", lock) == folder
    assert not (folder / "mark").exists()


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.parent.name)
def test_the_locks_name_versions_and_hashes_and_no_host(path: Path) -> None:
    text = path.read_text("ascii")
    names = [line for line in text.splitlines() if not line.startswith("    --hash=sha256:")]
    assert all("==" in line and line.endswith(" \\") for line in names)
    assert "http" not in text and "index" not in text
