"""Explain why a function cannot be compiled, in one line instead of the compiler's typing report."""

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numba import from_dtype, int64, types
from numba.core.errors import NumbaError

from actor_critic.environments.functional.compiled.random import RANDOM
from actor_critic.environments.functional.compiled.user_code import UserCode
from actor_critic.environments.functional.layout import Layout
from actor_critic.errors import ConfigError


def explain(functions: dict[str, Callable[..., Any]], layout: Layout, error: NumbaError) -> None:
    """Raise a ConfigError that names the function that cannot be compiled, the line and the reason.

    Each function is compiled alone to find it.
    """
    state = types.Array(from_dtype(layout.state), 1 + len(layout.state_shape), "C")
    record = state.dtype if not layout.state_shape else types.Array(state.dtype, len(layout.state_shape), "C")
    parameters = from_dtype(layout.parameters)
    out = types.Array(from_dtype(np.dtype(layout.observations.dtype)), len(layout.out_shape), "C")
    action = int64 if layout.is_discrete else types.Array(int64, len(layout.action_shape), "C")
    mask = types.Array(types.boolean, 1, "C")
    arguments = {
        "initial": (record, RANDOM, parameters),
        "transition": (record, action, RANDOM, parameters),
        "observation": (record, out, parameters),
        "action_mask": (record, mask, parameters),
    }
    for name, function in functions.items():
        compiled = UserCode().compiled(function)
        try:
            compiled.compile(arguments[name])
        except NumbaError as found:
            raise ConfigError(_describe(layout.name, name, function, found)) from None
        returned = compiled.overloads[arguments[name]].signature.return_type
        if name == "transition" and not _is_pair(returned):
            raise ConfigError(
                f"environment: {layout.name}.transition ({_place(function)}) returns {returned}; expected a number "
                f"and a bool, as in: return reward, terminated"
            ) from None
    raise ConfigError(f"environment: {layout.name} cannot be compiled: {_reason(str(error))}") from None


def _is_pair(returned: Any) -> bool:
    kinds: tuple[Any, ...] = returned.types if isinstance(returned, types.BaseTuple) else ()
    return (
        len(kinds) == 2 and isinstance(kinds[0], types.Number | types.Boolean) and isinstance(kinds[1], types.Boolean)
    )


def _place(function: Callable[..., Any]) -> str:
    code = inspect.unwrap(function).__code__
    return f"{Path(code.co_filename).name}, line {code.co_firstlineno}"


def _describe(environment: str, name: str, function: Callable[..., Any], error: NumbaError) -> str:
    """Return one line: the function, the line, the reason and the remedy."""
    text = str(error)
    lines = re.findall(r'File "([^"]+)", line (\d+)', text)
    place = f"{Path(lines[-1][0]).name}, line {lines[-1][1]}" if lines else _place(function)
    return (
        f"environment: {environment}.{name} ({place}) cannot be compiled: {_reason(text)}; compiled functions may use "
        f"numbers, arrays, NumPy, math and other functions of this kind; or train with vectorization sync, in Python"
    )


def _reason(text: str) -> str:
    """Return the line of Numba's message that says what is wrong."""
    skipped = (
        "Failed in nopython", "During:", "File ", "def ", "<source", "^", "There are", "- Of which", "Overload",
        "Rejected", "With argument", ">>>", "This is", "- Resolution", "None", "raised from", "Known signatures",
    )  # fmt: skip
    lines = [line.strip() for line in re.sub(r"\x1b\[\d+m", "", text).splitlines()]
    found = [line for line in lines if line and not line.startswith(skipped)]
    return found[0].rstrip(".:") if found else "unknown reason"
