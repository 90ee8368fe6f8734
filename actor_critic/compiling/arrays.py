"""Assignment and addition of arrays as compiled functions.

Numba's own assignment compiles the text of an error about unequal shapes as well, which takes seconds.
"""

from actor_critic.compiling.functions import Array, compiled


@compiled
def copy(numbers: Array, into: Array) -> None:
    """Copy numbers [n] into another array of the same size."""
    for j in range(numbers.size):
        into[j] = numbers[j]


@compiled
def add(numbers: Array, into: Array) -> None:
    """Add numbers [n] to another array of the same size."""
    for j in range(numbers.size):
        into[j] += numbers[j]
