"""The targets of a rollout as compiled functions; see :mod:`actor_critic.algorithm.targets`."""

import numpy as np

from actor_critic.backends.fused.records import Outcomes, Transitions
from actor_critic.compiling import Array, add, compiled, copy


@compiled
def advantages(
    rewards: Array, values: Array, next_values: Array, terminated: Array, ended: Array, gamma: float, decay: float,
    found: Array,
) -> None:  # fmt: skip
    """Write generalized advantage estimates into ``found`` [T, N], rounded exactly like NumPy; ``decay`` is γλ."""
    running = np.zeros(rewards.shape[1], np.float32)
    for t in range(rewards.shape[0] - 1, -1, -1):
        for i in range(running.size):
            following = np.float32(0.0) if terminated[t, i] else gamma * next_values[t, i]
            delta = rewards[t, i] + following - values[t, i]
            kept = np.float32(0.0) if ended[t, i] else decay * running[i]
            running[i] = delta + kept
            found[t, i] = running[i]


@compiled
def moments(numbers: Array, has_valid: bool, valid: Array) -> tuple[float, float]:
    """Return mean and population variance in float64, of the ``valid`` entries only if there are some."""
    n, total, square = 0, 0.0, 0.0
    for j in range(numbers.size):
        if not has_valid or valid[j]:
            n += 1
            total += numbers[j]
    mean = total / max(n, 1)
    for j in range(numbers.size):
        if not has_valid or valid[j]:
            square += (numbers[j] - mean) ** 2
    return mean, square / max(n, 1)


@compiled
def write_targets(batch: Transitions, outcomes: Outcomes, final_values: Array) -> tuple[float, float, float, float]:
    """Write the targets of a rollout into the batch, as :func:`actor_critic.algorithm.compute_targets`.

    The values of the batch [(T + 1) · N] may lack the last N; ``final_values`` [E] belong to the truncated steps.

    Returns:
        The moments of advantages and returns: mean, variance, mean, variance.
    """
    steps, envs = outcomes.rewards.shape
    count = steps * envs
    before = batch.old_values[:count].reshape(steps, envs)
    after = np.zeros((steps, envs), np.float32)
    copy(batch.old_values[envs:], after.reshape(-1))
    for j in range(final_values.size):
        after[outcomes.final_steps[j], outcomes.final_envs[j]] = final_values[j]
    advantages(
        outcomes.rewards, before, after, outcomes.terminated, outcomes.ended, outcomes.gamma, outcomes.decay,
        batch.advantages.reshape(steps, envs),
    )  # fmt: skip
    copy(batch.old_values[:count], batch.returns)
    add(batch.advantages, batch.returns)
    usable = outcomes.valid.reshape(-1)
    errors = moments(batch.advantages, outcomes.has_valid, usable)
    spread = moments(batch.returns, outcomes.has_valid, usable)
    return errors[0], errors[1], spread[0], spread[1]
