"""The losses and their derivatives as compiled functions, as in :mod:`actor_critic.ops.losses`."""

import math

import numpy as np

from actor_critic.compiling import Array, compiled


@compiled
def normalize_advantages(advantages: Array, min_std: float) -> None:
    """Normalize in place, like :func:`actor_critic.ops.losses.normalize_advantages`."""
    n = advantages.size
    if n == 1:
        return
    mean, square = 0.0, 0.0
    for r in range(n):
        mean += advantages[r]
    mean /= n
    for r in range(n):
        square += (advantages[r] - mean) ** 2
    scale = 1.0 / (max(math.sqrt(square / (n - 1)), min_std) + 1e-8)
    for r in range(n):
        advantages[r] = (advantages[r] - mean) * scale


@compiled
def policy_slopes(
    log_probs: Array, probs: Array, sizes: Array, actions: Array, old_log_probs: Array, advantages: Array, n: int,
    is_single: bool, clip_coef: float, ent_coef: float, slopes: Array, metrics: Array,
) -> None:  # fmt: skip
    """Write ∂(policy loss − ent_coef · entropy)/∂logits [n, A] into ``slopes``, and add to the policy's metrics.

    The given rows are a chunk of the n rows of a minibatch. With p the probabilities and H the entropy of a group,
    ∂log π(a)/∂logit = 1[a] − p and ∂H/∂logit = −p (log p + H).
    """
    for r in range(log_probs.shape[0]):
        chosen = 0.0
        first = 0
        for g in range(sizes.size):
            chosen += log_probs[r, first + actions[r, g]]
            first += sizes[g]
        log_ratio = 0.0 if is_single else chosen - old_log_probs[r]
        over = math.expm1(log_ratio)
        metrics[3] += (over - log_ratio) / n
        if clip_coef == np.inf:
            metrics[0] -= chosen * advantages[r] / n
            slope = -advantages[r] / n
        else:
            ratio = math.exp(log_ratio)
            free = ratio * advantages[r]
            clipped = min(max(ratio, 1.0 - clip_coef), 1.0 + clip_coef) * advantages[r]
            metrics[0] -= min(free, clipped) / n
            metrics[4] += (1.0 if abs(over) > clip_coef else 0.0) / n
            slope = 0.0 if free > clipped else -free / n
            if math.isnan(free):  # comparisons with NaN are false and would hide it
                slope = free
        first = 0
        for g in range(sizes.size):
            entropy = 0.0
            for j in range(first, first + sizes[g]):
                if log_probs[r, j] != -np.inf:
                    entropy -= probs[r, j] * log_probs[r, j]
            metrics[2] += entropy / n
            for j in range(first, first + sizes[g]):
                slopes[r, j] = 0.0
                if log_probs[r, j] != -np.inf:
                    slopes[r, j] = probs[r, j] * (ent_coef / n * (log_probs[r, j] + entropy) - slope)
            slopes[r, first + actions[r, g]] += slope
            first += sizes[g]


@compiled
def value_slopes(
    values: Array, old_values: Array, returns: Array, n: int, clip: float, vf_coef: float, slopes: Array, metrics: Array
) -> None:
    """Write ∂(vf_coef · value loss)/∂values [rows, 1] into ``slopes``, and add to the value loss in ``metrics``.

    The given rows are a chunk of the n rows of a minibatch. ``clip`` is infinite if it is off.
    """
    for r in range(values.shape[0]):
        error = values[r, 0] - returns[r]
        slope = error
        if clip < np.inf:
            moved = values[r, 0] - old_values[r]
            near = old_values[r] + min(max(moved, -clip), clip) - returns[r]
            if near * near > error * error:
                error = near
                slope = near if abs(moved) <= clip else 0.0
        metrics[1] += 0.5 * error * error / n
        slopes[r, 0] = vf_coef * slope / n
