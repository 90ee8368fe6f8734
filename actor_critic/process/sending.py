"""Sending Python objects to our own processes, also those that have no importable name."""

import functools
import pickle  # noqa: TID251 - see Sent
import types
from collections.abc import Iterator
from typing import Any

from actor_critic.errors import ConfigError

_MAX_DEPTH = 10


class Sent:
    """Wraps an argument for another process; the process receives the object itself.

    Classes and functions of a notebook or of the script that runs are sent with their code.
    """

    def __init__(self, value: Any, field: str = "workers") -> None:
        """Wrap an object.

        Args:
            value: The object.
            field: The setting or argument that needs another process, for the error.

        Raises:
            ConfigError: It cannot be sent; the message names the part.
        """
        try:
            self._bytes = _bytes_of(value)
        except Exception as error:  # whatever a user's __reduce__ raises
            path, part = _culprit(value, ())
            first = next((index for index, name in enumerate(path) if ":" in name), 0)  # where the user's objects begin
            what = ".".join(path[first:])
            alone = " (workers 1, vectorization sync)" if field == "workers" else ", one after the other"
            raise ConfigError(
                f"{field}: {what or value} ({type(part).__name__}) cannot be sent to another process ({error}); make "
                f"it inside the environment's constructor or the function, or run everything in this process{alone}"
            ) from error

    def __reduce__(self) -> tuple[Any, ...]:
        return pickle.loads, (self._bytes,)


def _bytes_of(value: Any) -> bytes:
    # Imported when used: it is only for pipes between our own processes, never for a file.
    import cloudpickle  # noqa: TID251

    dumped: bytes = cloudpickle.dumps(value)
    return dumped


def _culprit(value: Any, path: tuple[str, ...]) -> tuple[tuple[str, ...], Any]:
    """Return the innermost named part of an object that cannot be sent, after the path that leads to it."""
    for name, part in _parts(value):
        try:
            _bytes_of(part)
        except Exception:  # whatever a user's __reduce__ raises
            inner = (*path, name)
            return _culprit(part, inner) if len(inner) < _MAX_DEPTH else (inner, part)
    return path, value


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the named parts of an object."""
    if isinstance(value, functools.partial):
        yield from {"func": value.func, "args": value.args, **value.keywords}.items()
    elif isinstance(value, types.FunctionType):
        cells = zip(value.__code__.co_freevars, value.__closure__ or (), strict=True)
        yield from ((name, cell.cell_contents) for name, cell in cells)
        yield from ((name, value.__globals__[name]) for name in value.__code__.co_names if name in value.__globals__)
    elif isinstance(value, (dict, types.MappingProxyType)):
        yield from ((str(key), part) for key, part in value.items())
    elif isinstance(value, (list, tuple)):
        yield from ((str(index), part) for index, part in enumerate(value))
    elif isinstance(value, type):
        yield from ((name, part) for name, part in vars(value).items() if not name.startswith("__") or callable(part))
    elif hasattr(value, "__dict__"):
        yield from vars(value).items()
