"""Import code that a setting names. No other module does this."""

import contextlib
import functools
import importlib
import importlib.machinery
import os
import sys
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from actor_critic.errors import CheckpointError, ConfigError
from actor_critic.process import Interrupted

_folders: list[str] = []


def look_in(folder: str) -> None:
    """Also search a folder for code that settings name.

    Nothing else is imported from there. Libraries try to import optional packages, and the folder may contain files
    with the same names.
    """
    _folders[:] = [folder]


def make_findable() -> None:
    """Add the folder of :func:`look_in` to the import path, before importing code that a setting names."""
    sys.path.extend(folder for folder in _folders if folder not in sys.path)


def is_installed(module: str) -> bool:
    """Return whether a module is installed as a package, rather than found in the current folder.

    Only the top-level package is located; nothing is imported.
    """
    package = module.partition(".")[0]
    if package == __package__:
        return True  # wherever it is, it runs already
    here = {"", os.curdir, *_folders}
    with contextlib.suppress(OSError):  # the folder has been removed
        here.add(os.getcwd())
    for entry in [*sys.path, *_folders]:
        if importlib.machinery.PathFinder.find_spec(package, [entry or os.curdir]) is not None:
            return entry not in here
    return False


class Objects:
    """The Python objects that settings name: those that a program passed, and all others by import."""

    def __init__(self, passed: Mapping[str, Any] | None = None) -> None:
        """Keep the objects that a program passed, by the names that settings have for them."""
        self._passed = MappingProxyType(dict(passed or {}))

    def __contains__(self, name: str) -> bool:
        return name in self._passed

    @property
    def is_empty(self) -> bool:
        """Whether a program passed no objects."""
        return not self._passed

    def __or__(self, other: "Objects") -> "Objects":
        return Objects({**self._passed, **other._passed})

    def __copy__(self) -> "Objects":
        return self

    def __deepcopy__(self, memo: object) -> "Objects":
        return self  # copies of settings mean the same objects

    def __reduce__(self) -> tuple[Any, ...]:
        return Objects, (dict(self._passed),)

    def passed(self, name: str, default: Any) -> Any:
        """Return the object that a program passed under a name, or the default."""
        return self._passed.get(name, default)

    def only(self, names: Iterable[str]) -> "Objects":
        """Return only the objects of some names."""
        return Objects({name: self._passed[name] for name in names if name in self._passed})

    def load(self, name: str, field: str) -> Any:
        """Return what a setting names as "module:name": the object that was passed, or else the one to import.

        Args:
            name: Dotted name of the module, a colon, and the class or function.
            field: The setting, for the error message.

        Raises:
            ConfigError: There is no such module or object, it cannot be called, or importing the module fails.
        """
        return self._passed[name] if name in self._passed else _import(name, field)

    def find(self, name: str) -> Any:
        """Return what "module:name" means; None if the module or the name cannot be found or the import fails."""
        return self._passed[name] if name in self._passed else _find(name)


def _import(name: str, field: str) -> Any:
    module_name, _, attribute = name.partition(":")
    if not is_installed(module_name):
        make_findable()
    try:
        module = importlib.import_module(module_name)
    except Interrupted:
        raise
    except BaseException as error:  # a user's module may raise anything
        raise ConfigError(
            f"{field}: module {module_name!r} of {name!r} cannot be imported ({type(error).__name__}: {error}); is it "
            f"installed, or in the folder you started from?"
        ) from error
    found = _attribute(module, attribute)
    if not callable(found):
        way = ""
        if module_name == "__main__" or not attribute.isidentifier():
            way = f"; it was an object of a Python program: pass it again, as {field}=..., in Python"
        raise ConfigError(f"{field}: module {module_name!r} has no class or function {attribute!r}{way}")
    return found


def _find(name: str) -> Any:
    module_name, _, attribute = name.partition(":")
    if not is_installed(module_name):
        make_findable()
    try:
        return _attribute(importlib.import_module(module_name), attribute)
    except Interrupted:
        raise
    except BaseException:  # a user's module may raise anything; making the object reports it
        return None


def _attribute(module: Any, path: str) -> Any:
    """Return what a path of names within a module means; None if there is no such object."""
    found = module
    for part in path.split("."):
        found = getattr(found, part, None)
    return found


def object_name(found: Any) -> str:
    """Return the name of an object for settings, "module:name": of a class or function itself, else of its type."""
    if isinstance(found, functools.partial):
        return object_name(found.func)
    if not hasattr(found, "__qualname__"):
        found = type(found)
    return f"{found.__module__}:{found.__qualname__}"


def require_trust(names: list[str], origin: object, is_trusted: bool) -> None:
    """Refuse to import code that a file names, unless the user trusts it.

    Args:
        names: The names of the code in the file.
        origin: The file.
        is_trusted: Whether the user trusts it.

    Raises:
        CheckpointError: The file names code, and the user does not trust it.
    """
    if names and not is_trusted:
        shown = ", ".join(name if name.isprintable() else ascii(name) for name in names)
        raise CheckpointError(
            f"{origin} names code to import: {shown}; add --trust-code (in Python: "
            f"trust_code=True, or pass the class or function itself) if you know and trust it"
        )
