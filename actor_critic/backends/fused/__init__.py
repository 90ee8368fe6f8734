"""The fused CPU backend: one compiled function over flat arrays takes all optimizer steps of an epoch.

Importing this package loads Numba, so import it only where it is used.
"""

from actor_critic.backends.fused.adam import square_sum
from actor_critic.backends.fused.backend import FusedBackend, FusedPolicy
from actor_critic.backends.fused.categorical import choose
from actor_critic.backends.fused.layers import forward, sparse, widths

__all__ = ["FusedBackend", "FusedPolicy", "choose", "forward", "sparse", "square_sum", "widths"]
