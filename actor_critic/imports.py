"""Import code that a setting names. No other module does this."""

import contextlib
import importlib
import importlib.machinery
import os
import sys
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


def load_class(name: str, field: str) -> type[Any]:
    """Import the class that a setting names as "module:Class".

    Args:
        name: Dotted name of the module, a colon, and the class.
        field: The setting, for the error message.

    Raises:
        ConfigError: There is no such module or class, or importing the module fails.
    """
    module_name, _, class_name = name.partition(":")
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
    found = getattr(module, class_name, None)
    if not isinstance(found, type):
        raise ConfigError(f"{field}: module {module_name!r} has no class {class_name!r}")
    return found


def find_object(name: str) -> Any:
    """Return what "module:name" means, or None if the module or the name cannot be found or the import fails."""
    module_name, _, attribute = name.partition(":")
    if not is_installed(module_name):
        make_findable()
    try:
        return getattr(importlib.import_module(module_name), attribute, None)
    except Interrupted:
        raise
    except BaseException:  # a user's module may raise anything; making the object reports it
        return None


def class_name(found: Any, field: str) -> str:
    """Return the name of a class for settings: "module:Class".

    Raises:
        ConfigError: It is not a class at the top level of a module, so it cannot be imported by name.
    """
    if not isinstance(found, type) or "." in found.__qualname__:
        raise ConfigError(
            f"{field}: {found!r} cannot be found again by its name; expected a class at the top of a module"
        )
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
            f"trust_code=True) if you know and trust it"
        )
