"""The targets of a rollout as compiled functions; see :mod:`actor_critic.algorithm.targets`."""

import numpy as np

from actor_critic.compiling import Array, add, compiled, compiled_with, copy


@compiled
def advantages(
    rewards: Array, values: Array, next_values: Array, terminated: Array, ended: Array, gamma: Array, decay: Array
) -> Array:
    """Return generalized advantage estimates [T, N], rounded exactly like NumPy; ``decay`` is γλ."""
    found = np.empty_like(rewards)
    running = np.zeros(rewards.shape[1], np.float32)
    for t in range(rewards.shape[0] - 1, -1, -1):
        for i in range(running.size):
            following = np.float32(0.0) if terminated[t, i] else gamma * next_values[t, i]
            delta = rewards[t, i] + following - values[t, i]
            kept = np.float32(0.0) if ended[t, i] else decay * running[i]
            running[i] = delta + kept
            found[t, i] = running[i]
    return found


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


@compiled_with(nogil=True)
def targets(
    all_values: Array, rewards: Array, terminated: Array, ended: Array, has_valid: bool, valid: Array,
    final_values: Array, final_steps: Array, final_envs: Array, gamma: Array, decay: Array,
) -> tuple[Array, Array, tuple[float, float, float, float]]:  # fmt: skip
    """Return the targets of a rollout, as :func:`actor_critic.algorithm.compute_targets`.

    ``all_values`` [(T + 1) · N] may lack the last N; ``final_values`` [E] belong to the truncated steps; decay is γλ.

    Returns:
        Advantages [T, N], returns [T, N], and the moments of both: mean, variance, mean, variance.
    """
    steps, envs = rewards.shape
    count = steps * envs
    before = all_values[:count].reshape(steps, envs)
    after = np.zeros((steps, envs), np.float32)
    copy(all_values[envs:], after.reshape(-1))
    for j in range(final_steps.size):
        after[final_steps[j], final_envs[j]] = final_values[j]
    advantage = advantages(rewards, before, after, terminated, ended, gamma, decay)
    returns = before.copy()
    add(advantage.reshape(-1), returns.reshape(-1))
    usable = valid.reshape(-1)
    errors = moments(advantage.reshape(-1), has_valid, usable)
    spread = moments(returns.reshape(-1), has_valid, usable)
    return advantage, returns, (errors[0], errors[1], spread[0], spread[1])
