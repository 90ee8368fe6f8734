"""Compilation with Numba: decorators, the cache folder of compiled code, and matrix products in it.

Importing this package loads Numba, so import it only where it is used.
"""

from actor_critic.compiling.barrier import FOREVER, HAS_BARRIER, STRIDE, YIELDS, wait
from actor_critic.compiling.blas import multiply
from actor_critic.compiling.cache import cache_folder, unused
from actor_critic.compiling.functions import Array, compiled, compiled_with, when_compiling

__all__ = [
    "FOREVER",
    "HAS_BARRIER",
    "STRIDE",
    "YIELDS",
    "Array",
    "cache_folder",
    "compiled",
    "compiled_with",
    "multiply",
    "unused",
    "wait",
    "when_compiling",
]
