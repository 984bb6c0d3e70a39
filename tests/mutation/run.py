"""Does a fault in the decisions or the folds fail a test? Every mutant is run against tests/consortium; survivors are listed.

    python -m tests.mutation.run [--only MODULE…] [--jobs 2] [--results FILE] [--again]

The tree is copied first, so that nobody's edits meet a run. Each mutant is a process forked off one that has the test tools loaded
already, with the mutant in place of the module; the module's own tests go first. A run that is stopped goes on where it was: what was
killed stays killed; what survived is tried again when tests have changed. Exit 1 where a mutant survives that ``equivalent.py`` does
not explain.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.mutation.equivalent import EQUIVALENT
from tests.mutation.mutants import Mutant, mutants

ROOT = Path(__file__).parents[2]

OWN: dict[str, tuple[str, ...]] = {
    "entering": ("stage_order", "enter", "enter_bounds"),
    "borrowing": ("stage_order", "borrow", "borrow_bounds"),
    "renewing": ("stage_order", "renew"),
    "returning": ("routing", "return"),
    "routing": ("routing", "return"),
    "stages": ("stage_order", "enter_bounds", "borrow_bounds"),
    "serving": ("serving", "enter"),
    "rules": ("rules", "rules_memory"),
    "lending": ("limits", "borrow"),
    "terms": ("limits", "renew"),
    "machines": ("machines",),
    "fold": ("fold_effects", "fold_marks", "fold_order", "fold_visits", "fold_laws", "machines"),
    "effects": ("fold_effects", "fold_marks", "machines"),
    "timeline": ("timeline",),
    "corrections": ("corrections", "timeline"),
    "holds": ("holds",),
    "charges": ("charges",),
    "review": ("review",),
    "clocks": ("clocks",),
    "conflicts": ("conflicts",),
    "ending": ("ending",),
    "places": ("places",),
    "record": ("record", "decision_laws"),
}
"""The modules that are mutated, each with the tests that are to notice first."""

DECIDING = set(list(OWN)[: list(OWN).index("machines")]) | {"places", "record"}
"""Modules that decide; the others fold, or judge what was folded."""

CPU_S, MEMORY = 60, 2 << 30
"""What a mutant's tests may use, in seconds and bytes: one that runs away is ended and counts as noticed."""

FOUND, SURVIVED = "killed", "survived"


class _Instead(MetaPathFinder, Loader):
    """Gives the mutant's source where its module is imported."""

    def __init__(self, mutant: Mutant) -> None:
        self.name, self.source = f"consortium.{mutant.module}", mutant.source

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        return spec_from_loader(fullname, self) if fullname == self.name else None

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self.source, f"<{self.name}, mutated>", "exec"), module.__dict__)


def _all_tests() -> dict[str, None]:
    return dict.fromkeys(name for names in OWN.values() for name in names)


def _related(module: str) -> dict[str, None]:
    """The tests of all modules of the same side: the decisions, or what is folded from events."""
    decides = module in DECIDING
    return dict.fromkeys(name for other, names in OWN.items() if (other in DECIDING) == decides for name in names)


def _files(tree: Path, names: Iterable[str]) -> list[str]:
    return [str(path) for name in names if (path := tree / f"tests/consortium/test_{name}.py").exists()]


def _tests(mutant: Mutant | None, files: list[str]) -> int:
    """Run these tests in this process, the mutant in place; pytest's exit status."""
    import pytest
    from hypothesis import HealthCheck, Phase, settings

    if mutant is not None:
        sys.meta_path.insert(0, _Instead(mutant))
    settings.register_profile(
        "mutation", derandomize=True, deadline=None, database=None, max_examples=50,
        phases=(Phase.explicit, Phase.generate), suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    settings.load_profile("mutation")
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # none of them is needed here, and each costs time
    options = ["-x", "-q", "--no-header", "--no-summary", "-p", "no:cacheprovider", "--tb=no", "--assert=plain"]
    return int(pytest.main([*options, *files]))


def _forked(mutant: Mutant | None, files: list[str]) -> int:
    """The tests' exit status in a process of their own, which is ended where it uses too much."""
    pid = os.fork()
    if pid == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        os._exit(_tests(mutant, files))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _begin(tree: Path) -> None:
    """Load the test tools once, for every process forked off; of ours nothing but what is in the copy."""
    import hypothesis.strategies
    import msgspec
    import pytest

    assert hypothesis and msgspec and pytest
    sys.dont_write_bytecode = False  # the copy is ours: what is compiled once serves every mutant
    os.chdir(tree)
    sys.path[:] = [str(tree), *(one for one in sys.path if one not in ("", str(ROOT)))]
    for name in [name for name in sys.modules if name.split(".")[0] in ("tests", "consortium")]:
        del sys.modules[name]


def judge(mutant: Mutant, tree: Path) -> str:
    """Whether the tests notice the mutant: first the module's own, then all of its side."""
    first = _files(tree, OWN[mutant.module])
    if _forked(mutant, first) != 0:
        return FOUND
    rest = [file for file in _files(tree, _related(mutant.module)) if file not in first]
    return SURVIVED if _forked(mutant, rest) == 0 else FOUND


@dataclass
class Results:
    """What is known of mutants, in a file of lines: by the text of the mutated module, and for survivors by the tests too."""

    path: Path
    tests: str
    known: dict[str, dict[str, str]]

    @classmethod
    def read(cls, path: Path, tests: str) -> Results:
        """The results of earlier runs."""
        lines = path.read_text().splitlines() if path.exists() else []
        return cls(path, tests, {one["id"]: one for one in map(json.loads, lines)})

    def of(self, mutant: Mutant) -> str | None:
        """What became of a mutant, None where it has to be tried."""
        known = self.known.get(_name(mutant))
        if known is None or (known["result"] == SURVIVED and known["tests"] != self.tests):
            return None
        return known["result"]

    def note(self, mutant: Mutant, result: str) -> None:
        """Write down what became of a mutant."""
        one = {"id": _name(mutant), "result": result, "tests": self.tests, "at": f"{mutant.module}:{mutant.line}"}
        self.known[one["id"]] = one
        with self.path.open("a") as file:
            file.write(json.dumps(one) + "\n")


def _name(mutant: Mutant) -> str:
    return hashlib.sha256(f"{mutant.module}\n{mutant.source}".encode()).hexdigest()[:24]


def _copy(into: Path) -> str:
    """Copy what the tests need; gives a digest of the tests."""
    digest = hashlib.sha256()
    for folder in ("consortium", "tests/consortium"):
        shutil.copytree(ROOT / folder, into / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "tests/__init__.py", "tests/make.py", "tests/sealing.py"):
        shutil.copy(ROOT / name, into / name)
    for path in sorted((into / "tests").rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _run(todo: list[Mutant], tree: Path, jobs: int) -> Iterator[tuple[Mutant, str]]:
    with ThreadPoolExecutor(jobs) as pool:  # each thread waits for the process it forked off
        yield from zip(todo, pool.map(lambda one: judge(one, tree), todo), strict=True)


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for, print score and survivors."""
    parser = argparse.ArgumentParser(
        prog="tests.mutation.run", description="Faults in the domain, each tried on its tests."
    )
    parser.add_argument("--only", nargs="*", default=list(OWN), choices=list(OWN), metavar="MODULE")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--results", type=Path, default=ROOT / ".tongjie" / "mutation.jsonl")
    parser.add_argument("--again", action="store_true", help="forget earlier results")
    options = parser.parse_args(arguments)
    options.results.parent.mkdir(parents=True, exist_ok=True)
    if options.again:
        options.results.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        tree = Path(folder)
        results = Results.read(options.results, _copy(tree))
        _begin(tree)
        if _forked(None, _files(tree, _all_tests())) != 0:
            print("the tests do not pass as they are: nothing to learn from mutants")
            return 2
        made = {name: list(mutants(name, (tree / f"consortium/{name}.py").read_text())) for name in options.only}
        todo = [one for group in made.values() for one in group if results.of(one) is None]
        if not options.again:
            todo = [one for one in todo if not explained(one)]
        print(f"{sum(map(len, made.values()))} mutants of {len(made)} modules, {len(todo)} to try")
        for n, (one, result) in enumerate(_run(todo, tree, options.jobs), 1):
            results.note(one, result)
            if n % 100 == 0:
                print(f"  {n}/{len(todo)}", flush=True)
    return report(made, results)


def explained(mutant: Mutant) -> bool:
    """Whether ``equivalent.py`` says why no test can notice the mutant; tried only in a run that begins anew."""
    return (mutant.module, mutant.before, mutant.after) in EQUIVALENT


def report(made: dict[str, list[Mutant]], results: Results) -> int:
    """Print the score of each module and every survivor; 1 where one is not explained."""
    open_ones: list[Mutant] = []
    total = noticed = same = 0
    for name, group in made.items():
        alive = [one for one in group if results.of(one) != FOUND]
        argued = [one for one in alive if explained(one)]
        open_ones += [one for one in alive if not explained(one)]
        counted = len(group) - len(argued)
        killed = len(group) - len(alive)
        total, noticed, same = total + counted, noticed + killed, same + len(argued)
        print(f"{name:12} {killed:5} of {counted:5} killed, {len(argued):3} equivalent")
    for one in open_ones:
        print(one.told)
    print(
        f"{noticed} of {total} killed ({100 * noticed / max(total, 1):.1f} %), {same} equivalent, {len(open_ones)} survive"
    )
    return 1 if open_ones else 0


if __name__ == "__main__":
    sys.exit(main())
