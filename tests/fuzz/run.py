"""Fuzz the protocols: ``python -m tests.fuzz.run --seconds 600 [--target NAME] [--keep]``; without a target each in turn.

atheris runs in an environment of its own (``.tongjie/fuzz``, from the hash-pinned lock beside this file). Printed are the
inputs counted and the coverage reached; exit 1 on a crash, with the input in ``.tongjie/fuzz-crashes/``. ``--keep`` puts
what found new paths into the committed corpus, minimised.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench._environment import ROOT, EnvironmentMissing, environment
from tests.fuzz.corpus import inputs, keep, minimised
from tests.fuzz.targets import TARGETS

__all__ = ["Fuzzed", "fuzz", "main"]

LOCK = Path(__file__).parent / "requirements.lock"
CRASHES = ROOT / ".tongjie" / "fuzz-crashes"
_LONGEST = 1200
_KEPT = 38_000
_KEPT_BYTES = {"server": 90_000, "client": 90_000}
"""Characters of a corpus that is committed."""


@dataclass(frozen=True, slots=True)
class Fuzzed:
    """What a run of one target came to: inputs executed, edges covered, the crash's file where there was one."""

    target: str
    inputs: int
    coverage: int
    crash: Path | None = None

    def line(self) -> str:
        """For a report."""
        end = "no crash" if self.crash is None else f"CRASH, input in {self.crash.relative_to(ROOT)}"
        return f"fuzz {self.target}: {self.inputs:,} inputs, {self.coverage} edges covered, {end}"


def fuzz(target: str, seconds: int, *, keep_found: bool = False) -> Fuzzed:
    """Fuzz one target for about `seconds`. Raises EnvironmentMissing, or RuntimeError where the fuzzer did not run."""
    python = environment("fuzz", LOCK) / "bin" / "python"
    CRASHES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        work, corpus = Path(folder) / "work", Path(folder) / "corpus"
        work.mkdir()
        begin = [*inputs(target), *TARGETS[target].seeds()]
        _fill(corpus, begin)
        words = Path(folder) / "words.dict"
        words.write_text("".join(f'"{_quoted(word)}"\n' for word in TARGETS[target].words), "ascii")
        options = (
            f"-max_total_time={seconds}", f"-max_len={_LONGEST}", "-timeout=10", "-rss_limit_mb=2048",
            "-print_final_stats=1", f"-artifact_prefix={CRASHES}/{target}-",
        )  # fmt: skip
        if TARGETS[target].words:
            options = (*options, f"-dict={words}")
        before = set(CRASHES.glob(f"{target}-*"))
        status, said = _run(python, target, [*options, str(work), str(corpus)], seconds + 120)
        found = _read(target, said, next(iter(sorted(set(CRASHES.glob(f"{target}-*")) - before)), None))
        if status and found.crash is None:
            raise RuntimeError(f"the fuzzer of {target} ended with {status}: {said.strip().splitlines()[-1:]}")
        if status:
            print(said[-4000:], file=sys.stderr)
        if keep_found and found.crash is None:
            new = [one.read_bytes() for one in work.iterdir()]
            keep(target, _fitting(minimised(TARGETS[target].run, [*begin, *new]), _KEPT_BYTES.get(target, _KEPT)))
        return found


def _quoted(word: bytes) -> str:
    """A word as libFuzzer's dictionaries write it."""
    return "".join(f"\\x{byte:02X}" for byte in word)


def _fill(folder: Path, found: Sequence[bytes]) -> None:
    folder.mkdir()
    for number, one in enumerate(found):
        (folder / f"{number:05d}").write_bytes(one)


def _fitting(found: list[bytes], room: int) -> list[bytes]:
    """The shortest inputs that fit into ``room`` characters of what is committed."""
    kept = []
    for one in sorted(found, key=len):
        room -= 2 * len(one) + 1
        if room < 0:
            break
        kept.append(one)
    return kept


def _run(python: Path, target: str, options: Sequence[str], limit: int) -> tuple[int, str]:
    words = [str(python), "-m", "tests.fuzz._fuzzer", target, *options]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        words, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=limit, check=False
    )
    return done.returncode, done.stdout.decode("utf-8", "replace")


def _read(target: str, said: str, crash: Path | None) -> Fuzzed:
    executed = re.findall(r"number_of_executed_units:\s*(\d+)", said) or re.findall(r"^#(\d+)\s", said, re.M)
    covered = re.findall(r"\bcov: (\d+)", said)
    return Fuzzed(target, int(executed[-1]) if executed else 0, int(covered[-1]) if covered else 0, crash)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=int, default=600, help="for all targets together")
    parser.add_argument("--target", choices=sorted(TARGETS), help="one target alone")
    parser.add_argument("--keep", action="store_true", help="put what was found into the committed corpus")
    asked = parser.parse_args(arguments)
    targets = [asked.target] if asked.target else list(TARGETS)
    crashed = False
    for target in targets:
        try:
            found = fuzz(target, max(1, asked.seconds // len(targets)), keep_found=asked.keep)
        except (EnvironmentMissing, RuntimeError) as error:
            print(f"fuzz {target}: {error}", file=sys.stderr)
            return 2
        print(found.line(), flush=True)
        crashed = crashed or found.crash is not None
    return 1 if crashed else 0


if __name__ == "__main__":
    sys.exit(main())
