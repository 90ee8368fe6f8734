"""What the source of a function contains: attributes, powers and names that are not defined."""

import ast
import builtins
import inspect
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

REMEDY = "--vectorization sync trains in Python as it is"
"""What to do about an environment that cannot be compiled."""


@dataclass(frozen=True)
class Attribute:
    """An attribute of a variable.

    Attributes:
        variable: The variable, or "" if it is not a plain name.
        name: The attribute.
        line: The line in the file.
        is_stored: Whether it is assigned.
    """

    variable: str
    name: str
    line: int
    is_stored: bool


def attributes_in(function: Callable[..., Any]) -> Iterator[Attribute]:
    """Yield the attributes that a function reads and writes."""
    for node, line in _nodes(function):
        if isinstance(node, ast.Attribute):
            variable = node.value.id if isinstance(node.value, ast.Name) else ""
            yield Attribute(variable, node.attr, line, isinstance(node.ctx, ast.Store))


def undefined_names(function: Callable[..., Any]) -> Iterator[tuple[str, int]]:
    """Yield the names that a function reads but that nothing defines, with their lines."""
    own: Any = inspect.unwrap(function)
    code = own.__code__
    known = {*code.co_varnames, *code.co_freevars, *code.co_cellvars, *own.__globals__, *dir(builtins)}
    nodes = list(_nodes(function))
    known |= {node.id for node, _ in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    known |= {node.arg for node, _ in nodes if isinstance(node, ast.arg)}
    for node, line in nodes:
        if isinstance(node, ast.Name) and node.id not in known:
            yield node.id, line


def has_power(function: Callable[..., Any]) -> bool:
    """Return whether a function computes a power with ``**``."""
    return any(
        isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Pow) for node, _ in _nodes(function)
    )


def draws_from_numpy(function: Callable[..., Any]) -> int | None:
    """Return the line where a function uses ``np.random``; None if it does not."""
    modules = getattr(inspect.unwrap(function), "__globals__", {})
    for found in attributes_in(function):
        if found.name == "random" and getattr(modules.get(found.variable), "__name__", "") == "numpy":
            return found.line
    return None


def _nodes(function: Callable[..., Any]) -> Iterator[tuple[Any, int]]:
    """Yield the nodes of the syntax tree of a function with their lines; none if there is no source."""
    try:
        lines, first = inspect.getsourcelines(inspect.unwrap(function))
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError):
        return
    definition: Any = next((node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)), None)
    for part in definition.body if definition else [tree]:  # without the decorators and the signature
        for node in ast.walk(part):
            yield node, first + getattr(node, "lineno", 1) - 1
