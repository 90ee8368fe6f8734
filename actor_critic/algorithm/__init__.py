"""PPO and A2C: objective, targets, schedule and minibatches."""

from actor_critic.algorithm.batch import Batch, Experience, Sequences, UpdateStatistics, not_finite
from actor_critic.algorithm.minibatches import minibatches
from actor_critic.algorithm.objective import Coefficients, Metrics, actor_critic_loss, exceeds_target_kl
from actor_critic.algorithm.portions import Portion, Portions, portions
from actor_critic.algorithm.schedule import coefficients_of
from actor_critic.algorithm.targets import (
    Moments,
    Targets,
    bootstrap_values,
    clip_rewards,
    compute_targets,
    explained_variance,
    whole_targets,
)

__all__ = [
    "Batch",
    "Coefficients",
    "Experience",
    "Metrics",
    "Moments",
    "Portion",
    "Portions",
    "Sequences",
    "Targets",
    "UpdateStatistics",
    "actor_critic_loss",
    "bootstrap_values",
    "clip_rewards",
    "coefficients_of",
    "compute_targets",
    "exceeds_target_kl",
    "explained_variance",
    "minibatches",
    "not_finite",
    "portions",
    "whole_targets",
]
