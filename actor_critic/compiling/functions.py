"""Compile functions with Numba, and cache the result."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from actor_critic.compiling.cache import cache_folder
from actor_critic.compiling.scipy_blas import load_when_used

_IS_KEPT = cache_folder() is not None  # before importing Numba, which reads the folder on import
load_when_used()  # before Numba would load it

from numba import njit  # noqa: E402
from numba.core import event  # noqa: E402

Array = Any
"""A NumPy array, whose type Numba infers."""


def compiled_with(**options: Any) -> Any:
    """Return a decorator that compiles a function, with extra options of Numba."""
    return njit(**{"cache": _IS_KEPT, "error_model": "numpy", **options})


compiled = compiled_with()
"""A decorator that compiles a function."""


def when_compiling(tell: Callable[[], None]) -> AbstractContextManager[Any]:
    """Return a context that calls ``tell`` once before the first compilation, if there is one."""
    return event.install_listener("numba:compile", _Once(tell))


class _Once(event.Listener):
    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell: Callable[[], None] | None = tell

    def on_start(self, event: Any) -> None:
        tell, self._tell = self._tell, None
        if tell:
            tell()

    def on_end(self, event: Any) -> None:
        pass
