"""How functions are compiled, and that what comes out is kept."""

from typing import Any

from actor_critic.backends.fused.cache import cache_folder

_IS_KEPT = cache_folder() is not None  # asked before Numba is imported, which then reads in which folder

from numba import njit  # noqa: E402

Array = Any
"""A NumPy array, whose type Numba infers."""


def compiled_with(**options: Any) -> Any:
    """A decorator that compiles a function, with these options of Numba's besides our own."""
    return njit(cache=_IS_KEPT, error_model="numpy", **options)


compiled = compiled_with()
"""A decorator that compiles a function."""
