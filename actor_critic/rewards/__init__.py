"""Reward models: the base class, the built-in one, and how they meet the rewards of the environment."""

from actor_critic.rewards.linear import LinearReward
from actor_critic.rewards.model import RewardModel, compute_rewards
from actor_critic.rewards.rule import RewardRule, make_reward_model, make_reward_rule

__all__ = [
    "LinearReward",
    "RewardModel",
    "RewardRule",
    "compute_rewards",
    "make_reward_model",
    "make_reward_rule",
]
