"""Small faults put into a module one at a time: another comparison, a guard left out, a row of a table gone, a limit off by one."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_COMPARE: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
"""Of an order both the bound moved by one and the opposite."""

_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
}
_TWINS = {"min": "max", "max": "min", "any": "all", "all": "any"}
_STATEMENTS = (ast.Expr, ast.AugAssign, ast.Continue, ast.Break, ast.Raise, ast.Delete)
_NOT_READ = {"annotation", "returns", "decorator_list", "type_params", "bases"}
_NAMES = {"__all__", "__slots__"}

Change = Callable[[ast.AST], ast.AST]


@dataclass(frozen=True)
class Mutant:
    """One fault: the module's whole source with it, and the line and texts that tell it."""

    module: str
    line: int
    before: str
    after: str
    source: str

    @property
    def told(self) -> str:
        """MODULE:LINE, what it said and what it says."""
        pairs = enumerate(zip(self.before, self.after, strict=False))
        start = next((n for n, (old, new) in pairs if old != new), 0)
        cut = start - 80 if start > 160 else 0  # a long table: what differs, and a little before it
        before, after = ("… " * bool(cut) + text[cut : cut + 320] for text in (self.before, self.after))
        return f"{self.module}:{self.line}\n    - {before}\n    + {after}"


def mutants(module: str, source: str) -> Iterator[Mutant]:
    """Every fault this file knows to make in a module's source, in the order of its lines."""
    tree = ast.parse(source)
    original = ast.unparse(tree).splitlines()
    for path in _paths(tree, (), False):
        node = _at(tree, path)
        for change in _changes(node):
            mutated = copy.deepcopy(tree)
            parent, step = _at(mutated, path[:-1]), path[-1]
            made = change(_at(mutated, path))
            if isinstance(step, tuple):
                getattr(parent, step[0])[step[1]] = made
            else:
                setattr(parent, step, made)
            text = ast.unparse(ast.fix_missing_locations(mutated))
            before, after = _difference(original, text.splitlines())
            if before or after:
                yield Mutant(module, getattr(node, "lineno", 0), before, after, text)


Step = str | tuple[str, int]


def _at(tree: ast.AST, path: tuple[Step, ...]) -> ast.AST:
    for step in path:
        tree = getattr(tree, step[0])[step[1]] if isinstance(step, tuple) else getattr(tree, step)
    return tree


def _paths(node: ast.AST, path: tuple[Step, ...], inside: bool) -> Iterator[tuple[Step, ...]]:
    """Ways to every node that may be changed: no annotation, docstring, assertion, decorator, or name of a type."""
    inside = inside or isinstance(node, ast.FunctionDef | ast.Lambda)
    for name, value in ast.iter_fields(node):
        if name in _NOT_READ:
            continue
        if isinstance(value, ast.AST):
            yield from _way(value, (*path, name), inside)
        elif isinstance(value, list):
            for n, part in enumerate(value):
                if isinstance(part, ast.AST):
                    yield from _way(part, (*path, (name, n)), inside)


def _way(node: ast.AST, path: tuple[Step, ...], inside: bool) -> Iterator[tuple[Step, ...]]:
    if isinstance(node, ast.Assert | ast.Import | ast.ImportFrom | ast.JoinedStr):
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    if isinstance(node, ast.Assign) and any(isinstance(one, ast.Name) and one.id in _NAMES for one in node.targets):
        return
    if isinstance(node, ast.Subscript) and not inside:
        return  # a type's name
    yield path
    yield from _paths(node, path, inside)


def _changes(node: ast.AST) -> Iterator[Change]:
    for kind, make in _MAKERS:
        if isinstance(node, kind):
            yield from make(node)


def _set(**fields: object) -> Change:
    def change(node: ast.AST) -> ast.AST:
        for name, value in fields.items():
            setattr(node, name, value)
        return node

    return change


def _comparisons(node: ast.Compare) -> Iterator[Change]:
    for n, operator in enumerate(node.ops):
        for other in _COMPARE[type(operator)]:
            yield _set(ops=[*node.ops[:n], other(), *node.ops[n + 1 :]])


def _logic(node: ast.BoolOp) -> Iterator[Change]:
    yield _set(op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
    yield from _without(node, "values", 1)


def _without(node: ast.AST, name: str, least: int) -> Iterator[Change]:
    parts = getattr(node, name)
    if len(parts) > least:
        for n in range(len(parts)):
            yield _set(**{name: parts[:n] + parts[n + 1 :]})


def _inverted(node: ast.UnaryOp) -> Iterator[Change]:
    if isinstance(node.op, ast.Not):
        yield lambda one: one.operand


def _constants(node: ast.Constant) -> Iterator[Change]:
    if isinstance(node.value, bool):
        yield _set(value=not node.value)
    elif isinstance(node.value, int):
        yield _set(value=node.value + 1)
        yield _set(value=node.value - 1)
    elif isinstance(node.value, str) and node.value.isascii() and node.value and " " not in node.value:  # no prose
        yield _set(value=f"{node.value}X")


def _sums(node: ast.BinOp) -> Iterator[Change]:
    if type(node.op) in _ARITHMETIC:
        yield _set(op=_ARITHMETIC[type(node.op)]())


def _branches(node: ast.If) -> Iterator[Change]:
    yield _set(test=ast.Constant(True))
    yield _set(test=ast.Constant(False))


def _either(node: ast.IfExp) -> Iterator[Change]:
    yield lambda one: one.body
    yield lambda one: one.orelse


def _returns(node: ast.Return) -> Iterator[Change]:
    if node.value is not None and not (isinstance(node.value, ast.Constant) and node.value.value is None):
        yield _set(value=ast.Constant(None))


def _left_out(node: ast.stmt) -> Iterator[Change]:
    yield lambda _: ast.Pass()


def _assignments(node: ast.Assign) -> Iterator[Change]:
    if all(isinstance(one, ast.Attribute | ast.Subscript) for one in node.targets):
        yield lambda _: ast.Pass()


def _calls(node: ast.Call) -> Iterator[Change]:
    if isinstance(node.func, ast.Name) and node.func.id in _TWINS:
        yield _set(func=ast.Name(_TWINS[node.func.id], ast.Load()))
    yield from _without(node, "keywords", 0)


def _literals(node: ast.Tuple | ast.List | ast.Set) -> Iterator[Change]:
    if not isinstance(getattr(node, "ctx", None), ast.Store):
        yield from _without(node, "elts", 1)


def _tables(node: ast.Dict) -> Iterator[Change]:
    for n in range(len(node.keys)):
        yield _set(keys=node.keys[:n] + node.keys[n + 1 :], values=node.values[:n] + node.values[n + 1 :])


_MAKERS: tuple[tuple[type[ast.AST] | tuple[type[ast.AST], ...], Callable[..., Iterator[Change]]], ...] = (
    (ast.Compare, _comparisons),
    (ast.BoolOp, _logic),
    (ast.UnaryOp, _inverted),
    (ast.Constant, _constants),
    (ast.BinOp, _sums),
    (ast.If, _branches),
    (ast.IfExp, _either),
    (ast.Return, _returns),
    (_STATEMENTS, _left_out),
    (ast.Assign, _assignments),
    (ast.Call, _calls),
    ((ast.Tuple, ast.List, ast.Set), _literals),
    (ast.Dict, _tables),
    (ast.comprehension, lambda node: _without(node, "ifs", 0)),
)


def _difference(before: list[str], after: list[str]) -> tuple[str, str]:
    """The lines that differ, without what is the same around them."""
    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start]:
        start += 1
    end = 0
    while end < min(len(before), len(after)) - start and before[-1 - end] == after[-1 - end]:
        end += 1
    cut = [lines[start : len(lines) - end] for lines in (before, after)]
    old, new = (" ".join(line.strip() for line in lines) for lines in cut)
    return old, new
