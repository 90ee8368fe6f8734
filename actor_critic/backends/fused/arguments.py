"""The arguments and results of the compiled functions, converted from and to those of a backend."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from actor_critic.algorithm import Batch, Coefficients, Experience, Targets, UpdateStatistics, explained_variance
from actor_critic.backends.base import Estimates
from actor_critic.backends.fused.records import Objective, Optimizer, Outcomes, Transitions

NO_NUMBERS = np.zeros((0, 0), np.float32)
NO_MASK = np.zeros((1, 1), np.bool_)


def mask_of(mask: Tensor | None) -> tuple[npt.NDArray[np.bool_], bool]:
    """Return the mask arguments of a compiled function: an array, and whether it is a mask."""
    return (NO_MASK, False) if mask is None else (mask.contiguous().numpy(), True)


def transitions_of(batch: Batch) -> Transitions:
    """Return a batch as the argument of compiled functions; without log-probabilities all ratios are 1."""
    return Transitions(
        batch.features.numpy(), batch.actions.numpy(), *mask_of(batch.masks),
        NO_NUMBERS.ravel() if batch.log_probs is None else batch.log_probs.numpy(), batch.log_probs is None,
        batch.values.numpy(), batch.advantages.numpy(), batch.returns.numpy(),
    )  # fmt: skip


def transitions_to_estimate(experience: Experience, has_log_probs: bool = True) -> Transitions:
    """Return the transitions of a rollout, with memory for what :func:`fused.estimates.write_estimates` writes.

    Without log-probabilities, those of the experience are used; without those as well, all ratios are 1.
    """
    count, given = len(experience.actions), experience.log_probs
    log_probs = np.empty(count if has_log_probs else 0, np.float32) if given is None else given.numpy()
    return Transitions(
        experience.features.numpy(), experience.actions.numpy(), *mask_of(experience.masks), log_probs,
        not has_log_probs and given is None, np.empty(len(experience.features), np.float32),
        np.empty(count, np.float32), np.empty(count, np.float32),
    )  # fmt: skip


def outcomes_of(experience: Experience, gamma: float, gae_lambda: float) -> Outcomes:
    """Return what followed from the actions of a rollout."""
    has_valid = experience.valid is not None
    return Outcomes(
        np.ascontiguousarray(experience.rewards), experience.terminated, experience.ended, has_valid,
        experience.valid if has_valid else experience.ended, experience.final_features.numpy(), *experience.final_at,
        np.float32(gamma), np.float32(gamma * gae_lambda),
    )  # fmt: skip


def explained_by(experience: Experience, moments: tuple[float, float, float, float], decay: float) -> float | None:
    """Return the explained variance from the moments of advantages and returns."""
    return explained_variance(moments[:2], moments[2:], len(experience.rewards), decay)


def estimates_in(
    experience: Experience, transitions: Transitions, has_log_probs: bool, explained: float | None
) -> Estimates:
    """Return what a compiled function has written into the transitions of a rollout."""
    count, shape = len(experience.actions), experience.rewards.shape
    log_probs = torch.from_numpy(transitions.old_log_probs) if has_log_probs else None
    advantages, returns = transitions.advantages.reshape(shape), transitions.returns.reshape(shape)
    values = torch.from_numpy(transitions.old_values[:count])
    return Estimates(log_probs, values, Targets(advantages, returns, explained), None)


def rows_of(minibatches: Sequence[npt.NDArray[np.int64]]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the rows of all minibatches, and the borders between them."""
    if len(minibatches) == 1:
        return minibatches[0], np.array((0, len(minibatches[0])))
    rows = np.concatenate([np.zeros(0, np.int64), *minibatches])  # the zeros handle an empty list
    return rows, np.cumsum([0, *map(len, minibatches)])


def loss_of(totals: npt.NDArray[np.float64], coefficients: Coefficients) -> float:
    """Return the loss whose metrics are given."""
    loss: float = totals[0] - coefficients.ent_coef * totals[2] + coefficients.vf_coef * totals[1]
    return loss


def statistics_of(totals: npt.NDArray[np.float64], taken: int) -> UpdateStatistics:
    """Return the means over the steps taken, given the sums of the metrics and of the gradient's norm."""
    policy_loss, value_loss, entropy, kl, clip_fraction, norm = (totals / max(taken, 1)).tolist()
    return UpdateStatistics(policy_loss, value_loss, entropy, kl, clip_fraction, norm, taken)


_OFF = np.inf  # what compiled functions take for a coefficient that is off


def objective_of(coefficients: Coefficients) -> Objective:
    """Return the coefficients of the loss."""
    clip_coef = _OFF if coefficients.clip_coef is None else coefficients.clip_coef
    return Objective(
        clip_coef,
        clip_coef if coefficients.clip_vloss else _OFF,
        coefficients.normalize_advantages,
        coefficients.min_advantage_std,
        coefficients.ent_coef,
        coefficients.vf_coef,
        _OFF if coefficients.target_kl is None else coefficients.target_kl,
    )


def optimizer_of(coefficients: Coefficients, first_moment: Tensor, second_moment: Tensor, steps: int) -> Optimizer:
    """Return Adam: its moments, the steps taken so far, and its coefficients."""
    return Optimizer(
        first_moment.numpy(),
        second_moment.numpy(),
        steps,
        coefficients.learning_rate,
        coefficients.adam_beta1,
        coefficients.adam_beta2,
        coefficients.adam_epsilon,
        _OFF if coefficients.max_grad_norm is None else coefficients.max_grad_norm,
    )
