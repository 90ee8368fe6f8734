"""Adam and the norm of a gradient as compiled functions."""

import math

import numpy as np

from actor_critic.backends.fused.records import Optimizer
from actor_critic.compiling import Array, compiled, compiled_with


@compiled
def adam_step(
    params: Array, grads: Array, first_moment: Array, second_moment: Array, scale: float,
    step: int, learning_rate: float, beta1: float, beta2: float, epsilon: float,
) -> None:  # fmt: skip
    """Scale the gradients, then update parameters and moments like :func:`actor_critic.ops.adam.adam_step`."""
    size = np.float32(learning_rate / (1.0 - beta1**step))
    root = np.float32(1.0 / math.sqrt(1.0 - beta2**step))
    b1, b2, eps, factor = np.float32(beta1), np.float32(beta2), np.float32(epsilon), np.float32(scale)
    c1, c2 = np.float32(1.0 - beta1), np.float32(1.0 - beta2)
    for j in range(grads.size):
        g = grads[j] * factor
        m = b1 * first_moment[j] + c1 * g
        v = b2 * second_moment[j] + c2 * g * g
        grads[j] = g
        first_moment[j] = m
        second_moment[j] = v
        params[j] -= size * m / (math.sqrt(v) * root + eps)


@compiled_with(fastmath={"reassoc"})  # see layers.plain_sum
def square_sum(numbers: Array) -> float:
    """Return Σ x² in float64."""
    total = 0.0
    for j in range(numbers.size):
        x = np.float64(numbers[j])
        total += x * x
    return total


@compiled
def adam_part(
    params: Array, grads: Array, optimizer: Optimizer, first: int, last: int, scale: float, taken: int
) -> tuple[Array, Array, Array, Array, float, int, float, float, float, float]:
    """Return the arguments of :func:`adam_step` for entries ``first`` to ``last``."""
    return (
        params[first:last], grads[first:last], optimizer.first_moment[first:last], optimizer.second_moment[first:last],
        scale, optimizer.steps + taken, optimizer.learning_rate, optimizer.beta1, optimizer.beta2, optimizer.epsilon,
    )  # fmt: skip
