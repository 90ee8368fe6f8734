"""The fused CPU backend: one compiled function over flat arrays takes all optimizer steps of an epoch.

Importing this package loads Numba, so import it only where it is used.
"""

from actor_critic.backends.fused.backend import FusedBackend

__all__ = ["FusedBackend"]
