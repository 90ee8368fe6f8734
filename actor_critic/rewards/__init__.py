"""Reward models: the base class, the built-in model, and their combination with the environment's rewards."""

from actor_critic.rewards.linear import LinearReward
from actor_critic.rewards.model import RewardModel, compute_potentials, compute_rewards
from actor_critic.rewards.rule import RewardRule, make_reward_model, make_reward_rule

__all__ = [
    "LinearReward",
    "RewardModel",
    "RewardRule",
    "compute_potentials",
    "compute_rewards",
    "make_reward_model",
    "make_reward_rule",
]
