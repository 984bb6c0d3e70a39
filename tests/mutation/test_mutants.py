"""The faults that the mutation run makes: one at a time, of each kind, and none where nobody could notice."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.mutation.equivalent import EQUIVALENT
from tests.mutation.mutants import mutants
from tests.mutation.run import OWN, ROOT


def made(line: str, *, function: bool = True) -> list[str]:
    """What becomes of one line, in a function or at the top of a module."""
    source = f"def f(a, b, c):\n    {line}\n" if function else f"{line}\n"
    return [one.after for one in mutants("m", source)]


@pytest.mark.parametrize(
    ("line", "faults"),
    [
        ("x = a < b", ["x = a <= b", "x = a >= b"]),
        ("x = a >= b", ["x = a > b", "x = a < b"]),
        ("x = a == b", ["x = a != b"]),
        ("x = a is None", ["x = a is not None"]),
        ("x = a not in b", ["x = a in b"]),
        ("x = a and b", ["x = a or b", "x = b", "x = a"]),
        ("x = not a", ["x = a"]),
        ("x = 5", ["x = 6", "x = 4"]),
        ("x = True", ["x = False"]),
        ("x = 'OK'", ["x = 'OKX'"]),
        ("x = 'some prose'", []),
        ("x = a + b", ["x = a - b"]),
        ("x = min(a, b)", ["x = max(a, b)"]),
        ("x = a if b else c", ["x = a", "x = c"]),
        ("x = (a, b)", ["x = (b,)", "x = (a,)"]),
        ("x = f(a, c=b)", ["x = f(a)"]),
        ("x = [y for y in a if b]", ["x = [y for y in a]"]),
        ("return a", ["return None"]),
        ("return None", []),
        ("a.b = c", ["pass"]),
        ("a(b)", ["pass"]),
        ("if a: b()", ["if True:", "if False:", "pass"]),
        ("assert a == 5", []),
        ("x: int = a", []),
        ("'''Prose.'''", []),
    ],
)
def test_one_line_and_its_faults(line, faults):
    assert made(line) == faults


def test_a_table_loses_one_row_at_a_time():
    assert made("ROWS = (first, second)", function=False) == ["ROWS = (second,)", "ROWS = (first,)"]
    assert made("ROWS = {a: b, c: d}", function=False) == ["ROWS = {c: d}", "ROWS = {a: b}"]
    assert made('__all__ = ["a", "b"]', function=False) == []


def test_the_line_and_both_texts_are_told():
    (one,) = mutants("m", "\n\nx = not a\n")
    assert one.told == "m:3\n    - x = not a\n    + x = a"


@pytest.mark.parametrize("name", ["routing", "clocks"])
def test_every_mutant_of_a_module_is_python_and_differs(name):
    source = Path(ROOT / f"consortium/{name}.py").read_text(encoding="utf-8")
    found = list(mutants(name, source))
    assert len(found) > 30
    assert all(ast.parse(one.source) and one.source != ast.unparse(ast.parse(source)) for one in found)


def test_every_module_named_exists_and_so_do_its_tests():
    for name, tests in OWN.items():
        assert (ROOT / f"consortium/{name}.py").exists()
        assert all((ROOT / f"tests/consortium/test_{test}.py").exists() for test in tests)


def test_what_is_called_equivalent_is_argued_and_still_a_mutant_of_the_code():
    modules = {module for module, _, _ in EQUIVALENT}
    current = {
        (one.module, one.before, one.after)
        for name in modules
        for one in mutants(name, (ROOT / f"consortium/{name}.py").read_text(encoding="utf-8"))
    }
    assert EQUIVALENT.keys() <= current
    assert all(len(reason) > 20 for reason in EQUIVALENT.values())
