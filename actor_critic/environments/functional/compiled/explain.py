"""Explain why a function cannot be compiled, in one line instead of the compiler's typing report."""

import inspect
import re
import types as python_types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import from_dtype, int64, types

from actor_critic.environments.functional.compiled.random import RANDOM
from actor_critic.environments.functional.compiled.reasons import plain_reason, plain_type
from actor_critic.environments.functional.compiled.user_code import UserCode
from actor_critic.environments.functional.layout import Layout
from actor_critic.environments.functional.random import RANDOM_METHODS
from actor_critic.environments.functional.source import REMEDY, Attribute, attributes_in, undefined_names
from actor_critic.errors import ConfigError


def explain(functions: dict[str, Callable[..., Any]], layout: Layout, error: Exception) -> None:
    """Raise a ConfigError that names the function that cannot be compiled, the line and the reason.

    Each function is compiled alone to find it.
    """
    arguments = _argument_types(layout)
    for name, function in functions.items():
        code = UserCode()
        compiled = code.compiled(function)
        try:
            compiled.compile(arguments[name])
        except Exception as found:  # errors within the compiler are of any kind
            raise ConfigError(_describe(layout, name, code, function, found)) from None
        returned = compiled.overloads[arguments[name]].signature.return_type
        if name == "transition" and not _is_pair(returned):
            raise ConfigError(
                f"environment: {layout.name}.transition ({_place(function)}) returns {plain_type(str(returned))}; "
                f"expected a number and a bool: return reward, terminated"
            ) from None
    raise ConfigError(f"environment: {layout.name} cannot be compiled: {plain_reason(str(error))}; {REMEDY}") from None


def _argument_types(layout: Layout) -> dict[str, tuple[Any, ...]]:
    """Return the types of the arguments of each function."""
    element = from_dtype(layout.state)
    state = types.Array(element, len(layout.state_shape), "C") if layout.state_shape else element
    parameters = from_dtype(layout.parameters)
    out = from_dtype(layout.written.dtype)
    if not layout.written.is_nested:
        out = types.Array(out, len(layout.out_shape), "C")
    action = int64 if layout.is_discrete else types.Array(int64, len(layout.action_shape), "C")
    return {
        "initial": (state, RANDOM, parameters),
        "transition": (state, action, RANDOM, parameters),
        "observation": (state, out, parameters),
        "action_mask": (state, types.Array(types.boolean, 1, "C"), parameters),
    }


def _is_pair(returned: Any) -> bool:
    kinds: tuple[Any, ...] = returned.types if isinstance(returned, types.BaseTuple) else ()
    return (
        len(kinds) == 2 and isinstance(kinds[0], types.Number | types.Boolean) and isinstance(kinds[1], types.Boolean)
    )


def _place(function: Callable[..., Any], line: int | None = None) -> str:
    code = inspect.unwrap(function).__code__
    return f"{Path(code.co_filename).name}, line {line or code.co_firstlineno}"


def _describe(layout: Layout, name: str, code: UserCode, function: Callable[..., Any], error: Exception) -> str:
    """Return one line: the function, the line, the reason and the remedy."""
    text = str(error)
    used = [each for each in code.functions if isinstance(each, python_types.FunctionType)]
    place, reason = _in_source(layout, name, function, used, text) or (None, plain_reason(text))
    if place is None:
        place = _place(function)
        files = {Path(each.__code__.co_filename).name for each in used}
        found = re.findall(r'(?:File "|from )([^"\n]+?)"?(?:, line | \()(\d+)', text)
        places = [(Path(file).name, int(line)) for file, line in found if Path(file).name in files]
        if places:  # the last one is the innermost; for several results they have no order
            file, line = max(places) if "unify return type" in text else places[-1]
            place = f"{file}, line {line}"
    return f"environment: {layout.name}.{name} ({place}) cannot be compiled: {reason}; {REMEDY}"


def _in_source(
    layout: Layout, name: str, function: Callable[..., Any], used: list[python_types.FunctionType], text: str
) -> tuple[str, str] | None:
    """Find what the compiler does not place in the source; return the place and the reason."""
    fields = _fields_of(name, function, layout)
    is_replaced = not text or "to nestedarray" in text  # Numba has no text for an array that is assigned to a field
    for found in attributes_in(function):
        known = fields.get(found.variable)
        if known is None:
            continue
        owner, names = known
        if found.name not in names:
            return _place(function, found.line), f"{owner} has no {found.name!r}; it has {', '.join(names)}"
        if found.is_stored and is_replaced and _is_array(found, owner, layout):
            field = f"{found.variable}.{found.name}"
            return _place(function, found.line), f"nothing can replace the array {field}; write {field}[:] = ..."
    for each in used:
        for unknown, line in undefined_names(each):
            return _place(each, line), f"the name {unknown!r} is not defined"
    return None


def _fields_of(name: str, function: Callable[..., Any], layout: Layout) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return for the arguments of a function, by their names in it, what they are called and what they have."""
    names = list(inspect.signature(function).parameters)
    fields = {names[-1]: ("parameters", layout.parameters.names or ())}
    if layout.state.names:
        fields[names[0]] = ("the state", layout.state.names)
    if "random" in names:
        fields["random"] = ("random", RANDOM_METHODS)
    if name == "observation" and layout.written.is_nested:
        fields[names[1]] = ("out", layout.written.dtype.names or ())
    return fields


def _is_array(found: Attribute, owner: str, layout: Layout) -> bool:
    records = {"the state": layout.state, "out": layout.written.dtype}
    return owner in records and records[owner][found.name].shape != ()
