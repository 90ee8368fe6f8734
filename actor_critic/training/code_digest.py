"""A digest of a user's code: of its file, or of the code itself if it is in a notebook, at a prompt or in a script."""

import copyreg
import dis
import functools
import hashlib
import inspect
import logging
import os
import random
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

log = logging.getLogger("actor_critic")

TYPED = "code:"
"""Prefix of the digest of code itself, rather than of its file."""

_MAIN = "__main__"

# Attributes that Python adds to a class. Some depend on the position in a cell, or on the hash seed.
_BOOKKEEPING = frozenset(
    {
        "__module__", "__qualname__", "__name__", "__dict__", "__weakref__", "__doc__", "__annotations__",
        "__annotate__", "__annotate_func__", "__annotations_cache__", "__firstlineno__", "__static_attributes__",
        "__abstractmethods__", "_abc_impl", "__orig_bases__", "__parameters__", "__match_args__",
    }
)  # fmt: skip

_SIMPLE = (type(None), bool, int, float, complex, str, bytes, types.EllipsisType, range, slice)

# Random number generators. Their state changes within a process and between processes, so the digest omits it.
_GENERATORS = (random.Random, np.random.Generator, np.random.BitGenerator, np.random.RandomState)
_OF_TORCH = "torch._C.Generator"  # compared by name, to avoid importing torch

_PACKAGE = __name__.partition(".")[0]

_told: set[str] = set()  # types whose values are not covered, already reported in the log


def source_digest(found: Any, like: str = "") -> str:
    """Return the hex SHA-256 of the file that defines a class or function, or "code:" and that of the code itself.

    The code itself counts if it has no file, or is in the script that runs: other lines of a script may change. It also
    counts for an instance, with its state, and for a partial function or a closure, with its arguments.

    Args:
        found: A class, function, partial function or instance.
        like: An earlier digest; the result is of the same kind, so that both can be compared.
    """
    is_closed = bool(getattr(found, "__closure__", None))  # what it closes over counts too
    path = source_file(found) if isinstance(found, (type, types.FunctionType)) and not is_closed else None
    if path and (not like.startswith(TYPED) if like else found.__module__ != _MAIN):
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    kind = found.func if isinstance(found, functools.partial) else found
    return TYPED + code_digest(found, getattr(kind, "__module__", None) or type(kind).__module__)


def source_file(found: Any) -> str | None:
    """Return the file that defines a class or function; None if it was typed in or is built in."""
    try:
        path = inspect.getsourcefile(found)
    except (TypeError, OSError):
        return None
    own = [value.__code__ for value in vars(found).values() if isinstance(value, types.FunctionType)]
    if found.__module__ == _MAIN and own and all(code.co_filename.startswith("<") for code in own):
        return None  # typed into an interactive session that a file started
    return path if path and os.path.exists(path) else None


def code_digest(found: Any, home: str = _MAIN) -> str:
    """Return the hex SHA-256 of the code of a class or function. The same source in the same Python gives the same.

    It covers the attributes of a class, and the bytecode, constants, names and defaults of its methods. It also covers
    what they use from the same module or without a file: base classes, functions, and global variables that the code
    does not assign.

    Args:
        found: The class or function.
        home: Its module. The digest does not contain this name, so that a script may become a module.
    """
    first = _Description(frozenset(), home)
    first.add(found)
    second = _Description(frozenset(first.assigned), home)
    second.add(found)
    return _sha256(second.lines)


class _Description:
    """Describes an object, and everything that it refers to, in lines of text.

    Attributes:
        lines: The lines.
        assigned: Global variables that the code assigns.
    """

    def __init__(self, variables: frozenset[str], home: str) -> None:
        """Start empty; the values of the global ``variables`` are omitted, and the module ``home`` is described."""
        self.lines: list[str] = []
        self.assigned: set[str] = set()
        self._variables = variables
        self._home = home
        self._seen: dict[int, tuple[int, Any]] = {}  # holds the object too, so that its id is not reused

    def add(self, value: Any) -> None:
        """Describe a value."""
        if isinstance(value, _SIMPLE):
            self._say(type(value).__name__, repr(value))
            return
        # Python may or may not share equal objects of these types.
        if not isinstance(value, (tuple, types.CodeType, set, frozenset)):
            if id(value) in self._seen:
                self._say("again", self._seen[id(value)][0])
                return
            self._seen[id(value)] = len(self._seen), value
        if isinstance(value, (list, tuple)):
            self._say(type(value).__name__, len(value))
            self._add_all(value)
        elif isinstance(value, (set, frozenset)):
            self._say(type(value).__name__, *sorted(map(self._apart, value)))
        elif isinstance(value, (dict, types.MappingProxyType)):
            self._say("dict", len(value))
            self._add_all(part for item in value.items() for part in item)
        elif isinstance(value, types.CodeType):
            self._add_code(value)
        elif isinstance(value, types.FunctionType):
            self._add_function(value)
        elif isinstance(value, type):
            self._add_class(value)
        elif isinstance(value, types.ModuleType):
            self._say("module", value.__name__)
        else:
            self._add_object(value)

    def _apart(self, value: Any) -> str:
        """Return a digest of an element of a set that does not depend on the order of the set."""
        element = _Description(self._variables, self._home)
        element._seen = self._seen if isinstance(value, _SIMPLE) else dict(self._seen)
        element.add(value)
        self.assigned |= element.assigned
        return _sha256(element.lines)

    def _say(self, *words: Any) -> None:
        self.lines.append(" ".join(f"{len(str(word))}:{word}" for word in words))

    def _add_all(self, values: Any) -> None:
        for value in values:
            self.add(value)

    def _module(self, found: Any) -> str:
        """Return the module of a class or function; of this package only the folder, so that code may move in it."""
        module: str = found.__module__
        if module == self._home:
            return _MAIN
        return ".".join(module.split(".")[:2]) if module.startswith(f"{_PACKAGE}.") else module

    def _add_class(self, found: type[Any]) -> None:
        self._say("class", self._module(found), found.__qualname__)
        if found.__module__ in (_MAIN, self._home):
            self._add_all(found.__bases__)
            for name, value in sorted(vars(found).items()):
                if name not in _BOOKKEEPING and not isinstance(value, types.GetSetDescriptorType):
                    self._say("attribute", name)
                    self.add(value)

    def _add_function(self, function: types.FunctionType) -> None:
        self._say("function", self._module(function), function.__name__)
        if function.__module__ not in (_MAIN, self._home) and os.path.exists(function.__code__.co_filename):
            return
        self.add(function.__code__)
        self._add_all([function.__defaults__, function.__kwdefaults__])
        for cell in function.__closure__ or ():
            try:
                self.add(cell.cell_contents)
            except ValueError:  # not filled yet
                self._say("empty")
        read = set()
        for instruction in _instructions(function.__code__):
            if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                read.add(instruction.argval)
            elif instruction.opname in ("STORE_GLOBAL", "DELETE_GLOBAL"):
                self.assigned.add(instruction.argval)
        for name in sorted(read - self._variables):
            if name in function.__globals__:
                self._say("global", name)
                self.add(function.__globals__[name])

    def _add_code(self, code: types.CodeType) -> None:
        sizes = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
        self._say("code", *sizes, code.co_code.hex(), code.co_exceptiontable.hex())
        self._add_all([code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars, code.co_consts])

    def _add_object(self, value: Any) -> None:
        kind = type(value)
        self._say("object", self._module(kind), kind.__qualname__)
        if isinstance(value, (staticmethod, classmethod, types.MethodType)):
            self._add_all([value.__func__, getattr(value, "__self__", None)])
        elif isinstance(value, property):
            self._add_all([value.fget, value.fset, value.fdel])
        elif isinstance(value, functools.partial):
            self._add_all([value.func, value.args, value.keywords])
        elif isinstance(value, functools.cached_property):
            self.add(value.func)
        elif hasattr(value, "__wrapped__") or hasattr(value, "py_func"):  # a cache, or a Numba function
            self.add(value.__wrapped__ if hasattr(value, "__wrapped__") else value.py_func)
        elif hasattr(kind, "__array__"):
            self._add_array(value)
        else:
            self.add(kind)
            if not isinstance(value, _GENERATORS) and _name(kind) != _OF_TORCH:
                self._add_state(value)

    def _add_state(self, value: Any) -> None:
        """Add the parts that pickle would rebuild an object from; nothing is pickled or built."""
        kind = type(value)
        try:
            reduce = copyreg.dispatch_table.get(kind)
            parts = reduce(value) if reduce else value.__reduce_ex__(2)
            # For subclasses of list, dict or deque, these are iterators.
            parts = parts if isinstance(parts, str) else [*parts[:3], *(list(part or ()) for part in parts[3:5])]
        except Exception:  # such as a lock or an open file
            slots = [name for base in kind.__mro__ for name in _slots(base) if hasattr(value, name)]
            parts = [getattr(value, "__dict__", None), {name: getattr(value, name) for name in slots}]
            if source_file(kind) is not None or parts == [None, {}]:
                if (name := _name(kind)) not in _told:
                    _told.add(name)
                    log.warning("code that was typed in uses a %s; the digest does not cover its value", name)
                return
        self._add_all([parts] if isinstance(parts, str) else parts)

    def _add_array(self, value: Any) -> None:
        try:
            array = np.asarray(value)
        except Exception:  # of another library, on a GPU, or with a gradient
            return
        if array.dtype.hasobject:
            self.add(array.tolist())
        else:
            self._say(array.dtype, array.shape, hashlib.sha256(array.tobytes()).hexdigest())


def _sha256(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode(errors="surrogatepass")).hexdigest()


def _name(found: type[Any]) -> str:
    return f"{found.__module__}.{found.__qualname__}"


def _slots(found: type[Any]) -> list[str]:
    """Return the names of a class's slots, as attribute names."""
    return [name for name, value in vars(found).items() if isinstance(value, types.MemberDescriptorType)]


def _instructions(code: types.CodeType) -> Iterator[dis.Instruction]:
    """Yield the instructions of a code object and of its nested code objects."""
    yield from dis.get_instructions(code)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _instructions(constant)
