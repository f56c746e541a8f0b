"""A safe evaluator of the expressions that definitions hold: Python's operators and a few functions, bounded.

An expression sees plain data only (what JSON can say), and calls nothing but what is listed here. It cannot
run for long or make much: each node is watched, and what could grow is measured as soon as it is made.
"""

from __future__ import annotations

import ast
import time
from collections.abc import Callable, ItemsView, Iterable, KeysView, Mapping, ValuesView
from functools import partial
from itertools import islice
from typing import Any

from simpleeval import DEFAULT_OPERATORS, EvalWithCompoundTypes

from metering.errors import PollError

LONGEST = 4_000  # characters of an expression
SECONDS = 1.0  # of this thread's processor time, for one expression
MOST = 32 << 20  # characters that one expression may make ...
ITEM = 64  # ... of which an item of a list, or a key of a mapping, counts as so many
DEEPEST = 100  # levels of nesting of what it makes
HIGHEST = 1 << 256  # a whole number beyond this is refused

Handler = Callable[[Any], Any]


class BadExpression(PollError):
    """An expression cannot be read, uses what it may not, or failed on this value."""


class _Scope(EvalWithCompoundTypes):  # type: ignore[misc] # simpleeval has no types
    """simpleeval, with lambdas, a clock, and limits on what is made."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        super().__init__(_OPERATORS, dict(_FUNCTIONS), dict(names), _METHODS)
        self.functions = dict(_FUNCTIONS)  # the base class adds some of its own
        # As it is: a function that is listed may also be handed to map() and filter().
        self.nodes[ast.Lambda] = self._lambda
        self.nodes[ast.Attribute] = partial(self._method, self.nodes[ast.Attribute])
        self.nodes[ast.FormattedValue] = self._formatted
        for statement in (ast.Assign, ast.AugAssign, ast.Import, ast.NamedExpr):
            self.nodes.pop(statement, None)
        self._until = time.thread_time() + SECONDS

    def _eval(self, node: ast.AST) -> Any:
        """One node. The only place that sees them all; simpleeval's own look at each result walks all of it."""
        if time.thread_time() > self._until:
            raise BadExpression(f"it took longer than {SECONDS:.0f} s")
        handler: Handler | None = self.nodes.get(type(node))
        if handler is None:
            raise BadExpression(f"{type(node).__name__} is not for expressions")
        result = handler(node)
        if isinstance(node, _MAKERS):
            measure(result)
        return result

    def _lambda(self, node: ast.Lambda) -> Callable[..., Any]:
        names = [argument.arg for argument in node.args.args]
        if node.args.vararg or node.args.kwarg or node.args.kwonlyargs or node.args.defaults or not names:
            raise BadExpression("a lambda has plain arguments only")

        def call(*values: Any) -> Any:
            outer = self.nodes[ast.Name]
            given = dict(zip(names, values, strict=True))
            self.nodes[ast.Name] = lambda name: given[name.id] if name.id in given else outer(name)
            try:
                return self._eval(node.body)
            finally:
                self.nodes[ast.Name] = outer

        return call

    def _method(self, plain: Handler, node: ast.Attribute) -> Any:
        if node.attr in _GUARDED:
            return partial(_GUARDED[node.attr], self._eval(node.value))
        return plain(node)

    def _formatted(self, node: ast.FormattedValue) -> Any:
        if node.format_spec is not None or node.conversion != -1:
            raise BadExpression("a format is not for expressions")
        return _text(self._eval(node.value))


def evaluate(tree: ast.Expression, names: Mapping[str, Any]) -> Any:
    """The value of a parsed expression. Raises `BadExpression`, which says what went wrong, and no value."""
    try:
        return _Scope(names).eval("", previously_parsed=tree.body)
    except BadExpression:
        raise
    except RecursionError:
        raise BadExpression("it is nested too deeply") from None
    except Exception as exc:  # what Python raises for a value of another kind than the expression expects
        raise BadExpression(f"{type(exc).__name__}: {str(exc)[:200]}") from exc


def parse(text: str) -> ast.Expression:
    """The expression in a text, for `evaluate`. Raises `BadExpression` for what can never work."""
    if len(text) > LONGEST:
        raise BadExpression(f"it is longer than {LONGEST} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError) as exc:
        raise BadExpression(f"{text.strip()[:100]!r} is no expression: {exc}") from exc
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id not in _FUNCTIONS:
            raise BadExpression(f"there is no function {node.func.id}() (there are: {', '.join(sorted(_FUNCTIONS))})")
        if isinstance(node, ast.Attribute) and node.attr not in _ALL_METHODS:
            raise BadExpression(f"there is no .{node.attr} (there are: {', '.join(sorted(_ALL_METHODS))})")
        if isinstance(node, ast.expr) and type(node) not in _NODES:
            raise BadExpression(f"{type(node).__name__} is not for expressions")
    return tree


def names_in(tree: ast.Expression) -> set[str]:
    """The names that an expression asks for, its functions and its own variables among them."""
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def measure(made: Any) -> None:
    """Raises `BadExpression` for what is too much, too deep, or not plain."""
    left = MOST
    stack: list[tuple[Any, int]] = [(made, 0)]
    while stack:
        item, depth = stack.pop()
        left -= ITEM + (len(item) if isinstance(item, str) else 0)
        if left < 0 or depth > DEEPEST:
            raise BadExpression("it makes too much")
        if isinstance(item, int) and abs(item) > HIGHEST:
            raise BadExpression("it makes too high a number")
        if isinstance(item, Mapping):
            stack.extend((part, depth + 1) for pair in item.items() for part in pair)
        elif isinstance(item, list | tuple | set | KeysView | ValuesView | ItemsView):
            stack += [(part, depth + 1) for part in item]


def _text(value: Any = "") -> str:
    """str(), but not of lists and mappings, whose texts can be far longer than they are."""
    if value is None or isinstance(value, str | int | float | bool):
        return str(value)
    raise BadExpression(f"str() is for single values, not {type(value).__name__}")


def _replace(text: Any, old: str, new: str, count: int = -1) -> str:
    if not isinstance(text, str):
        raise BadExpression(f"replace() is for texts, not {type(text).__name__}")
    if len(text) + text.count(old) * len(new) > MOST:
        raise BadExpression("it makes too much")
    return text.replace(old, new, count)


def _join(separator: Any, parts: Iterable[Any]) -> str:
    if not isinstance(separator, str):
        raise BadExpression(f"join() is for texts, not {type(separator).__name__}")
    texts = list(islice(parts, MOST // ITEM))
    if sum(len(text) + len(separator) for text in texts) > MOST:
        raise BadExpression("it makes too much")
    return separator.join(texts)


def _numbers(operator: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """An operator for numbers only: times and % could make a text of any length."""

    def apply(left: Any, right: Any) -> Any:
        if not isinstance(left, int | float) or not isinstance(right, int | float):
            raise BadExpression(f"it computes with {type(left).__name__} and {type(right).__name__}")
        return operator(left, right)

    return apply


def _listed(function: Callable[..., Iterable[Any]]) -> Callable[..., list[Any]]:
    """filter() and map() that give lists, of bounded length."""
    return lambda *arguments: list(islice(function(*arguments), MOST // ITEM))


_OPERATORS = {
    **{kind: DEFAULT_OPERATORS[kind] for kind in DEFAULT_OPERATORS if kind not in (ast.LShift, ast.RShift)},
    ast.Mult: _numbers(lambda left, right: left * right),
    ast.Mod: _numbers(lambda left, right: left % right),
    ast.Pow: _numbers(lambda left, right: float(left) ** float(right)),  # never a number of a million digits
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs, "all": all, "any": any, "bool": bool, "dict": dict, "filter": _listed(filter), "float": float,
    "int": int, "len": len, "list": list, "map": _listed(map), "max": max, "min": min, "round": round,
    "set": set, "sorted": sorted, "str": _text, "sum": sum, "tuple": tuple,
}  # fmt: skip
_TEXT = {
    "capitalize", "casefold", "count", "endswith", "find", "index", "isalnum", "isalpha", "isdigit", "isnumeric",
    "join", "lower", "lstrip", "partition", "removeprefix", "removesuffix", "replace", "rfind", "rpartition",
    "rsplit", "rstrip", "split", "splitlines", "startswith", "strip", "title", "upper",
}  # fmt: skip
# None of these changes what it is called on: the data is shared.
_METHODS: dict[type, set[str]] = {
    str: _TEXT,
    dict: {"get", "items", "keys", "values"},
    list: {"count", "index"},
    tuple: {"count", "index"},
    set: {"difference", "intersection", "union"},
    int: {"bit_length"},
    float: {"is_integer"},
}
_GUARDED: dict[str, Callable[..., Any]] = {
    "join": _join,
    "replace": _replace,
}  # the listed methods that can make much of little
_ALL_METHODS = set().union(*_METHODS.values())
_MAKERS = (
    ast.BinOp, ast.Call, ast.Dict, ast.DictComp, ast.GeneratorExp, ast.JoinedStr, ast.List, ast.ListComp, ast.Set,
    ast.Tuple,
)  # fmt: skip
_NODES = {
    *_MAKERS, ast.Attribute, ast.BoolOp, ast.Compare, ast.Constant, ast.FormattedValue, ast.IfExp, ast.Lambda,
    ast.Name, ast.Slice, ast.Starred, ast.Subscript, ast.UnaryOp,
}  # fmt: skip
