"""Compilation with Numba: decorators, the cache folder of compiled code, and matrix products in it.

Importing this package loads Numba, so import it only where it is used.
"""

from actor_critic.compiling.addresses import address_of, calling
from actor_critic.compiling.arrays import add, copy
from actor_critic.compiling.barrier import HAS_BARRIER, STRIDE, YIELDS, wait
from actor_critic.compiling.blas import multiply
from actor_critic.compiling.cache import cache_folder, unused
from actor_critic.compiling.functions import Array, compiled, compiled_with, when_compiling
from actor_critic.compiling.helper import NOBODY, Helper, side_by_side

__all__ = [
    "HAS_BARRIER",
    "NOBODY",
    "STRIDE",
    "YIELDS",
    "Array",
    "Helper",
    "add",
    "address_of",
    "cache_folder",
    "calling",
    "compiled",
    "compiled_with",
    "copy",
    "multiply",
    "side_by_side",
    "unused",
    "wait",
    "when_compiling",
]
