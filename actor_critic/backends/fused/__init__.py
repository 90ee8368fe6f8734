"""The fused CPU backend: a whole epoch of optimizer steps is one compiled function over flat arrays.

Importing it loads Numba, so it is imported where it is used.
"""

from actor_critic.backends.fused.backend import FusedBackend
from actor_critic.backends.fused.compiling import when_compiling

__all__ = ["FusedBackend", "when_compiling"]
