"""Losses of the policy and the value function, over the transitions of one minibatch."""

import torch
from torch import Tensor


def policy_gradient_loss(log_probs: Tensor, advantages: Tensor) -> Tensor:
    """Compute the policy-gradient loss, −mean(log π(a|s) Â) (Mnih et al., 2016, section 4).

    Args:
        log_probs: [B], log-probabilities of the actions taken, with gradient.
        advantages: [B].

    Raises:
        ValueError: Shapes differ.
    """
    _check_batch(log_probs, advantages)
    return -(log_probs * advantages).mean()


def clipped_policy_loss(log_ratios: Tensor, advantages: Tensor, clip_coef: float) -> Tensor:
    """Compute PPO's clipped surrogate, −mean(min(r Â, clip(r, 1 − ε, 1 + ε) Â)) (Schulman et al., 2017, eq. 7).

    Args:
        log_ratios: [B], log r = log π(a|s) − log π_old(a|s), with gradient.
        advantages: [B].
        clip_coef: ε, above 0.

    Raises:
        ValueError: Shapes differ.
    """
    _check_batch(log_ratios, advantages)
    ratios = log_ratios.exp()
    return -torch.min(ratios * advantages, ratios.clamp(1 - clip_coef, 1 + clip_coef) * advantages).mean()


def value_loss(values: Tensor, returns: Tensor) -> Tensor:
    """Compute half the mean squared error, ½ mean((V − R)²).

    Args:
        values: [B], with gradient.
        returns: [B], the targets.

    Raises:
        ValueError: Shapes differ.
    """
    _check_batch(values, returns)
    return 0.5 * (values - returns).square().mean()


def clipped_value_loss(values: Tensor, old_values: Tensor, returns: Tensor, clip_coef: float) -> Tensor:
    """Compute the clipped value loss, ½ mean(max((V − R)², (V_old + clip(V − V_old, ±ε) − R)²)).

    This is the clipping of the PPO reference implementation (Huang et al., 2022, detail 9).

    Args:
        values: [B], with gradient.
        old_values: [B], the values before the first optimizer step of the epoch.
        returns: [B], the targets.
        clip_coef: ε, above 0.

    Raises:
        ValueError: Shapes differ.
    """
    _check_batch(values, old_values, returns)
    clipped = old_values + (values - old_values).clamp(-clip_coef, clip_coef)
    return 0.5 * torch.max((values - returns).square(), (clipped - returns).square()).mean()


def approximate_kl(log_ratios: Tensor) -> Tensor:
    """Estimate KL(π_old ‖ π) as mean(r − 1 − log r), which is unbiased and never negative (Schulman, 2020).

    Args:
        log_ratios: [B], log π(a|s) − log π_old(a|s).
    """
    # r is almost always near 1, where expm1 is more precise than r - 1.
    return (torch.expm1(log_ratios) - log_ratios).mean()


def normalize_advantages(advantages: Tensor, min_std: float = 0.0) -> Tensor:
    """Shift advantages to mean 0 and divide them by max(σ, min_std) + 1e-8, with n − 1 degrees of freedom in σ.

    Args:
        advantages: [B]; a single advantage is returned unchanged.
        min_std: At least 0. Advantages of a smaller deviation σ stay smaller than 1.
    """
    if len(advantages) == 1:
        return advantages
    return (advantages - advantages.mean()) / (advantages.std().clamp(min=min_std) + 1e-8)


def _check_batch(*tensors: Tensor) -> None:
    if any(tensor.ndim != 1 or tensor.shape != tensors[0].shape for tensor in tensors):
        raise ValueError(f"expected equal shapes [B]; got {[tuple(tensor.shape) for tensor in tensors]}")
