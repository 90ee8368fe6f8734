"""The only place that imports code which a setting names."""

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
    """Have code that settings name be found in a folder, too.

    Nothing else is looked for there: libraries try to import others that may not be installed, and a stranger's folder
    may hold files of their names.
    """
    _folders[:] = [folder]


def make_findable() -> None:
    """Let code be found where it may lie; it comes before the first import of what a setting names."""
    sys.path.extend(folder for folder in _folders if folder not in sys.path)


def is_installed(module: str) -> bool:
    """Whether a module would come from where packages are installed, and not from the folder one is in.

    Only the place of its outermost package is looked for; nothing is imported.
    """
    package = module.partition(".")[0]
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
        name: The module's dotted name, a colon, and the class.
        field: The setting, for the error.

    Raises:
        ConfigError: There is no such module or class, or the module fails while it is imported.
    """
    module_name, _, class_name = name.partition(":")
    if not is_installed(module_name):
        make_findable()
    try:
        module = importlib.import_module(module_name)
    except Interrupted:
        raise
    except BaseException as error:  # whatever the user's own module does while it is imported
        raise ConfigError(
            f"{field}: module {module_name!r} of {name!r} cannot be imported ({type(error).__name__}: {error}); is it "
            f"installed, or in the folder you started from?"
        ) from error
    found = getattr(module, class_name, None)
    if not isinstance(found, type):
        raise ConfigError(f"{field}: module {module_name!r} has no class {class_name!r}")
    return found


def class_name(found: Any, field: str) -> str:
    """How a setting names a class: "module:Class".

    Raises:
        ConfigError: It is no class, or not one at the top of a module, where it could be found again.
    """
    if not isinstance(found, type) or "." in found.__qualname__:
        raise ConfigError(
            f"{field}: {found!r} cannot be found again by its name; expected a class at the top of a module"
        )
    return f"{found.__module__}:{found.__qualname__}"


def require_trust(names: list[str], origin: object, is_trusted: bool) -> None:
    """Refuse to import code that a file names, unless the user said so.

    Args:
        names: What the file names.
        origin: The file.
        is_trusted: Whether the user said so.

    Raises:
        CheckpointError: There are names and no trust.
    """
    if names and not is_trusted:
        shown = ", ".join(name if name.isprintable() else ascii(name) for name in names)
        raise CheckpointError(
            f"{origin} names code to import: {shown}; add --trust-code (in Python: "
            f"trust_code=True) if you know and trust it"
        )
