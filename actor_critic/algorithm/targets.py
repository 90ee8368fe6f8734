"""The targets of the networks: clipped rewards, advantages, returns, and the explained variance of the values."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from actor_critic.ops.returns import generalized_advantage

Moments = tuple[float, float]
"""Mean and population variance in float64."""

_ROUNDING = 2 * float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Targets:
    """The targets of both networks for T steps of N environments.

    Attributes:
        advantages: [T, N].
        returns: [T, N], targets of the value function.
        explained_variance: 1 − Var(R − V) / Var(R) over the valid steps; None if the returns do not vary.
    """

    advantages: npt.NDArray[np.float32]
    returns: npt.NDArray[np.float32]
    explained_variance: float | None


def clip_rewards(rewards: npt.NDArray[np.float32], limit: float | None) -> npt.NDArray[np.float32]:
    """Return rewards [T, N] clipped to ±``limit``, above 0; None leaves them unchanged."""
    return rewards if limit is None else rewards.clip(-limit, limit)


def bootstrap_values(
    values: npt.NDArray[np.float32],
    last_values: npt.NDArray[np.float32] | None,
    truncated_at: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    final_values: npt.NDArray[np.float32],
) -> npt.NDArray[np.float32]:
    """Return the values [T, N] of the state after each step.

    After a truncated step, this is the final observation, not the first state of the next episode.

    Args:
        values: [T, N], of the states acted in.
        last_values: [N], of the states after the last step; None if all episodes ended there.
        truncated_at: The step [E] and the environment [E] of each of the E truncated steps.
        final_values: [E], of the final observations of these steps.
    """
    next_values = np.zeros_like(values)
    next_values[:-1] = values[1:]
    if last_values is not None:
        next_values[-1] = last_values
    if len(final_values):
        next_values[truncated_at] = final_values
    return next_values


def compute_targets(
    rewards: npt.NDArray[np.float32],
    values: npt.NDArray[np.float32],
    next_values: npt.NDArray[np.float32],
    terminated: npt.NDArray[np.bool_],
    ended: npt.NDArray[np.bool_],
    gamma: float,
    gae_lambda: float,
    valid: npt.NDArray[np.bool_] | None = None,
) -> Targets:
    """Return advantages, λ-returns (advantages + values) and the explained variance.

    Args:
        rewards: [T, N], clipped and normalised.
        values: [T, N], of the states acted in.
        next_values: [T, N], as :func:`bootstrap_values` returns them.
        terminated: [T, N], whether the step terminated the episode.
        ended: [T, N], whether the step was the last of its episode (terminated or truncated).
        gamma: Discount per step, in [0, 1].
        gae_lambda: Trace decay λ, in [0, 1].
        valid: [T, N], False where an environment paused between two episodes; None if none paused.

    Raises:
        ValueError: Shapes or dtypes are not as above.
    """
    advantages = generalized_advantage(rewards, values, next_values, terminated, ended, gamma, gae_lambda)
    return whole_targets(advantages, advantages + values, valid, gamma * gae_lambda)


def whole_targets(
    advantages: npt.NDArray[np.float32],
    returns: npt.NDArray[np.float32],
    valid: npt.NDArray[np.bool_] | None,
    decay: float,
) -> Targets:
    """Return advantages and returns [T, N] with the explained variance over the ``valid`` steps; ``decay`` is γλ."""
    counted = (advantages, returns) if valid is None else (advantages[valid], returns[valid])
    errors, spread = map(_moments, counted)
    return Targets(advantages, returns, explained_variance(errors, spread, len(advantages), decay))


def explained_variance(errors: Moments, returns: Moments, steps: int, decay: float) -> float | None:
    """Return 1 − Var(R − V) / Var(R), or None if the returns vary only by float32 rounding errors.

    A return is a sum over about 1 / (1 − γλ) steps. Each step rounds the advantage and the value, so the error of the
    sum grows with the square root of their number.

    Args:
        errors: Moments of the advantages R − V.
        returns: Moments of the returns R.
        steps: T, the most steps that an advantage sums over.
        decay: γλ, in [0, 1].
    """
    horizon = min(steps, 1 / max(1 - decay, 1e-9))
    magnitude = errors[0] ** 2 + errors[1] + returns[0] ** 2 + returns[1]
    explained = 1 - errors[1] / returns[1] if returns[1] > _ROUNDING**2 * horizon * magnitude else math.nan
    return explained if math.isfinite(explained) else None


def _moments(array: npt.NDArray[np.float32]) -> Moments:
    """Return ``array.mean()`` and ``array.var()`` in float64; three times faster than these for small arrays."""
    if not array.size:
        return 0.0, 0.0
    numbers = array.reshape(-1).astype(np.float64)
    mean = np.add.reduce(numbers) / numbers.size
    numbers -= mean
    numbers *= numbers
    return float(mean), float(np.add.reduce(numbers)) / numbers.size
