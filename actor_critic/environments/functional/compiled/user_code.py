"""Compile a user's functions as they stand, with the functions that they call, and identify their code."""

import dis
import enum
import hashlib
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numba.core.dispatcher import Dispatcher

from actor_critic.environments.functional.random import RANDOM_METHODS
from actor_critic.environments.functional.source import draws_from_numpy

_LIBRARIES = ("numpy", "math", "numba", "builtins", "cmath", "operator")


class ForeignRandomError(Exception):
    """A function draws random numbers that do not belong to its episode."""

    def __init__(self, function: types.FunctionType, line: int) -> None:
        place = f"{function.__name__} ({Path(function.__code__.co_filename).name}, line {line})"
        super().__init__(
            f"{place} draws random numbers that the seed of an episode does not determine; use the argument random, "
            f"which has {', '.join(RANDOM_METHODS)}"
        )


class UserCode:
    """Compiled copies of functions, and a digest of everything that they use.

    A function that a function calls is compiled too, so nobody has to decorate it.
    """

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._copies: dict[types.FunctionType, Any] = {}
        self._last: Any = None  # the function whose names are being read

    @property
    def functions(self) -> list[types.FunctionType]:
        """The functions so far: those that were given, and those that they call."""
        return list(self._copies)

    @property
    def digest(self) -> str:
        """SHA-256 of the code and the constants of all functions so far."""
        return self._digest.hexdigest()

    def rename(self, digest: str) -> None:
        """Give all functions names with a digest, before they are compiled.

        The names of compiled functions in a process must differ if the functions do. The compiler only numbers them,
        in the order in which a process compiles, and code from the cache was compiled by other processes.
        """
        for made in self._copies.values():
            rename(made.py_func, digest)

    def compiled(self, function: Callable[..., Any]) -> Any:
        """Return a compiled copy of a function; it is compiled when it is first used."""
        if isinstance(function, Dispatcher):
            function = function.py_func
        if not isinstance(function, types.FunctionType):
            raise TypeError(f"{function!r} is not a Python function")
        if function in self._copies:
            self._say("again", str(list(self._copies).index(function)))
            return self._copies[function]
        if line := draws_from_numpy(function):
            raise ForeignRandomError(function, line)
        names = dict(function.__globals__)
        cells = tuple(types.CellType(cell.cell_contents) for cell in function.__closure__ or ())
        copy = types.FunctionType(function.__code__, names, function.__name__, function.__defaults__, cells or None)
        copy.__kwdefaults__ = function.__kwdefaults__
        copy.__module__ = function.__module__
        made = njit(error_model="numpy")(copy)
        self._copies[function] = made
        outer, self._last = self._last, function
        self._add_code(function.__code__)
        self._add((function.__defaults__, function.__kwdefaults__))
        for name in sorted(_globals_of(function.__code__)):
            if name in names:
                self._say("name", name)
                names[name] = self._used(names[name])
        for name, cell in zip(function.__code__.co_freevars, cells, strict=True):
            self._say("name", name)
            cell.cell_contents = self._used(cell.cell_contents)
        self._last = outer
        return made

    def _used(self, value: Any) -> Any:
        """Return what compiled code uses in place of a global variable's value."""
        owner = getattr(value, "__module__", None) or type(getattr(value, "__self__", None)).__module__
        if isinstance(value, types.ModuleType):
            owner = value.__name__
        if owner in ("random", "numpy.random") or owner.startswith("numpy.random."):
            raise ForeignRandomError(self._last, self._last.__code__.co_firstlineno)
        is_own = isinstance(value, types.FunctionType) and value.__module__.partition(".")[0] not in _LIBRARIES
        if is_own or isinstance(value, Dispatcher):
            return self.compiled(value)
        if type(value) is tuple:
            self._say("tuple", str(len(value)))
            return tuple(self._used(part) for part in value)
        self._add(value)
        return value

    def _say(self, kind: str, data: str | bytes) -> None:
        """Add one item to the digest, with its length, so that no two lists of items have the same bytes."""
        data = data.encode() if isinstance(data, str) else data
        self._digest.update(f"{kind} {len(data)} ".encode() + data)

    def _add_code(self, code: types.CodeType) -> None:
        self._say("code", code.co_code)
        self._add((code.co_names, code.co_varnames, code.co_freevars))
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                self._add_code(constant)
            else:
                self._add(constant)

    def _add(self, value: Any) -> None:
        if isinstance(value, np.ndarray):
            self._say(f"array {value.dtype}{value.shape}", value.tobytes())
        elif isinstance(value, types.ModuleType):
            self._say("module", value.__name__)
            if value.__name__.partition(".")[0] not in _LIBRARIES and getattr(value, "__file__", None):
                self._say("file", Path(str(value.__file__)).read_bytes())
        elif isinstance(value, type) and issubclass(value, enum.Enum):
            self._say("enumeration", repr([(member.name, member.value) for member in value]))
        elif isinstance(value, set | frozenset):
            self._say("set", repr(sorted(map(repr, value))))
        elif isinstance(value, type | types.BuiltinFunctionType | np.ufunc):
            self._say("type", f"{getattr(value, '__module__', '')}.{value.__name__}")
        elif isinstance(value, tuple | list | dict):
            self._say(type(value).__name__, str(len(value)))
            for part in value.items() if isinstance(value, dict) else value:
                self._add(part)
        else:
            self._say(type(value).__name__, repr(value))


def rename(function: Any, digest: str) -> None:
    """Add a digest to the name of a function; see :meth:`UserCode.rename`."""
    function.__name__ = f"{function.__name__}_{digest[:16]}"
    function.__qualname__ = f"{function.__qualname__}_{digest[:16]}"


def _globals_of(code: types.CodeType) -> set[str]:
    """Return the names that code takes from its module."""
    names = {step.argval for step in dis.get_instructions(code) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return names.union(*(_globals_of(part) for part in code.co_consts if isinstance(part, types.CodeType)))
