"""The objective of PPO and A2C: the loss of one minibatch, its metrics, and early stopping by KL divergence.

Every backend computes this objective. The eager backend calls this module and differentiates it. The fused backend has
a compiled version (``backends/fused/losses.py``); tests compare the gradients of both.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from actor_critic.algorithm.batch import Batch
from actor_critic.ops import categorical, losses


@dataclass(frozen=True)
class Coefficients:
    """The coefficients of one update; each is documented at the setting of the same name.

    None turns ``clip_coef``, ``max_grad_norm`` or ``target_kl`` off; without ``clip_coef`` the policy gradient is
    unclipped.

    To add a term, add its coefficient as a field whose default is its off value. A backend without that term is then
    used only if the coefficient is off.
    """

    learning_rate: float
    adam_beta1: float
    adam_beta2: float
    adam_epsilon: float
    clip_coef: float | None
    clip_vloss: bool
    normalize_advantages: bool
    min_advantage_std: float
    ent_coef: float
    vf_coef: float
    max_grad_norm: float | None
    target_kl: float | None


class Metrics(NamedTuple):
    """Metrics of one minibatch: scalars without gradient.

    Attributes:
        policy_loss: Policy loss, without the entropy bonus.
        value_loss: Half the mean squared error, without ``vf_coef``.
        entropy: Mean entropy of the policy, in nats.
        approx_kl: Estimated KL divergence from the policy that acted, before the step.
        clip_fraction: Share of the ratios outside the clip range.
    """

    policy_loss: Tensor
    value_loss: Tensor
    entropy: Tensor
    approx_kl: Tensor
    clip_fraction: Tensor


def actor_critic_loss(
    logits: Tensor, values: Tensor, batch: Batch, sizes: tuple[int, ...], coefficients: Coefficients
) -> tuple[Tensor, Metrics]:
    """Return the loss of one minibatch, L = L_policy − ent_coef · H + vf_coef · L_value, and its metrics.

    With ``clip_coef``, L_policy is PPO's clipped surrogate (Schulman et al., 2017, eq. 7). Without it, L_policy is the
    policy gradient of A2C (Mnih et al., 2016, section 4).

    Args:
        logits: [B, A] outputs of the policy, with gradient.
        values: [B] outputs of the value function, with gradient.
        batch: The B transitions of the minibatch.
        sizes: Number of choices in each action group, summing to A.
        coefficients: The coefficients of this epoch.

    Returns:
        The loss, a scalar with gradient, and the metrics.

    Raises:
        ValueError: Shapes do not fit.
    """
    log_probs = categorical.log_probabilities(logits, sizes, batch.masks)
    action_log_probs = categorical.log_prob(log_probs, sizes, batch.actions)
    old_log_probs = action_log_probs.detach() if batch.log_probs is None else batch.log_probs
    log_ratios = action_log_probs - old_log_probs
    advantages = batch.advantages
    if coefficients.normalize_advantages:
        advantages = losses.normalize_advantages(advantages, coefficients.min_advantage_std)

    if coefficients.clip_coef is None:
        policy_loss = losses.policy_gradient_loss(action_log_probs, advantages)
    else:
        policy_loss = losses.clipped_policy_loss(log_ratios, advantages, coefficients.clip_coef)
    if coefficients.clip_vloss and coefficients.clip_coef is not None:
        value_loss = losses.clipped_value_loss(values, batch.values, batch.returns, coefficients.clip_coef)
    else:
        value_loss = losses.value_loss(values, batch.returns)
    entropy = categorical.entropy(log_probs, batch.masks).mean()
    loss = policy_loss - coefficients.ent_coef * entropy + coefficients.vf_coef * value_loss

    with torch.no_grad():
        approx_kl = losses.approximate_kl(log_ratios)
        clip_fraction = (torch.expm1(log_ratios).abs() > (coefficients.clip_coef or torch.inf)).float().mean()
    return loss, Metrics(policy_loss.detach(), value_loss.detach(), entropy.detach(), approx_kl, clip_fraction)


def exceeds_target_kl(metrics: Metrics, coefficients: Coefficients) -> bool:
    """Return whether to skip this and all later steps of the epoch: approx_kl > 1.5 · ``target_kl``."""
    return coefficients.target_kl is not None and float(metrics.approx_kl) > 1.5 * coefficients.target_kl
