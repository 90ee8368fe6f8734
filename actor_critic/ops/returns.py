"""Returns and advantages of time-major rollouts."""

import numpy as np
import numpy.typing as npt


def generalized_advantage(
    rewards: npt.NDArray[np.float32],
    values: npt.NDArray[np.float32],
    next_values: npt.NDArray[np.float32],
    terminated: npt.NDArray[np.bool_],
    ended: npt.NDArray[np.bool_],
    gamma: float,
    gae_lambda: float,
) -> npt.NDArray[np.float32]:
    """Estimate advantages with generalized advantage estimation.

    δ_t = r_t + γ (1 − terminated_t) V(s'_t) − V(s_t),  Â_t = δ_t + γ λ (1 − ended_t) Â_{t+1}
    (Schulman et al., 2016, "High-Dimensional Continuous Control Using Generalized Advantage Estimation", eq. 16).
    A truncated step bootstraps from the value of its final observation, a terminated step from 0. In both cases the
    trace stops at the end of the episode.

    Args:
        rewards: [T, N].
        values: [T, N], V of the state before each step.
        next_values: [T, N], V of the state after each step; at the end of an episode, V of its final observation, not
            of the first state of the next episode.
        terminated: [T, N], whether the step terminated the episode.
        ended: [T, N], whether the step was the last of its episode (terminated or truncated).
        gamma: Discount per step, in [0, 1].
        gae_lambda: Trace decay λ, in [0, 1].

    Returns:
        [T, N] advantages; adding ``values`` gives the λ-returns.

    Raises:
        ValueError: Shapes or dtypes are not as above.
    """
    for array in (rewards, values, next_values):
        _check_time_major(array, rewards.shape, np.float32)
    for flags in (terminated, ended):
        _check_time_major(flags, rewards.shape, np.bool_)
    deltas = rewards + np.float32(gamma) * next_values * ~terminated - values  # (T, N)
    decay = np.float32(gamma * gae_lambda) * ~ended  # (T, N)
    advantages = np.empty_like(rewards)
    running = np.zeros(rewards.shape[1], np.float32)
    for t in reversed(range(len(rewards))):
        running = deltas[t] + decay[t] * running
        advantages[t] = running
    return advantages


def discounted_sums(
    rewards: npt.NDArray[np.float32], ended: npt.NDArray[np.bool_], start: npt.NDArray[np.float64], gamma: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Compute the discounted sum of rewards so far in each episode, G_t = r_t + γ (1 − ended_{t−1}) G_{t−1}.

    Args:
        rewards: [T, N].
        ended: [T, N], whether the step was the last of its episode.
        start: [N], the sums before the first step (0 where an episode begins).
        gamma: Discount per step, in [0, 1].

    Returns:
        The sums [T, N], and the sums [N] to continue with.

    Raises:
        ValueError: Shapes are not as above.
    """
    if rewards.ndim != 2 or ended.shape != rewards.shape or start.shape != rewards.shape[1:]:
        raise ValueError(f"expected [T, N], [T, N] and [N]; got {rewards.shape}, {ended.shape} and {start.shape}")
    sums = np.empty(rewards.shape, np.float64)
    running = start
    for t in range(len(rewards)):
        running = rewards[t] + gamma * running
        sums[t] = running
        running = np.where(ended[t], 0.0, running)
    return sums, running


def episode_sums(
    figures: npt.NDArray[np.float32], ended: npt.NDArray[np.bool_], start: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Sum per-step numbers over the episodes that ended: rewards give returns, ones give lengths.

    Args:
        figures: [K, T, N], numbers of K kinds.
        ended: [T, N], whether the step was the last of its episode.
        start: [K, N], the sums before the first step (0 where an episode begins).

    Returns:
        The sums [K, E] of the episodes that ended, in the order in which they ended, and the sums [K, N] to continue
        with.

    Raises:
        ValueError: Shapes are not as above.
    """
    kinds, steps, envs = figures.shape
    if ended.shape != (steps, envs) or start.shape != (kinds, envs):
        raise ValueError(f"expected [K, T, N], [T, N] and [K, N]; got {figures.shape}, {ended.shape}, {start.shape}")
    if not ended.any():
        return np.zeros((kinds, 0)), start + figures.sum(1, dtype=np.float64)
    if ended.all():  # every step is an episode, or the last step of one that began before
        each = figures.astype(np.float64)
        each[:, 0] += start
        return each.reshape(kinds, steps * envs), np.zeros((kinds, envs))
    # Concatenate the environments and cut after each end of an episode, so that a piece belongs to one episode.
    at_end = ended.T.copy()
    at_end[:, -1] = True
    lasts = np.flatnonzero(at_end)
    firsts = np.concatenate([[0], lasts[:-1] + 1])
    in_line = figures.transpose(0, 2, 1).reshape(kinds, -1).astype(np.float64)
    sums = np.add.reduceat(in_line, firsts, axis=1)
    sums[:, firsts % steps == 0] += start
    env, step = np.divmod(lasts, steps)
    is_over = ended[step, env]
    carried = np.zeros((kinds, envs))
    carried[:, env[~is_over]] = sums[:, ~is_over]
    in_time = np.argsort(step[is_over], kind="stable")
    return sums[:, is_over][:, in_time], carried


def _check_time_major(array: npt.NDArray[np.generic], shape: tuple[int, ...], dtype: type[np.generic]) -> None:
    if array.ndim != 2 or array.shape != shape or array.dtype != dtype:
        raise ValueError(
            f"expected shape [T, N] = {shape} and dtype {dtype.__name__}; got {array.shape} and {array.dtype}"
        )
