"""RewardModel: rewards of the user's own, the built-in model, and how they meet the environment's rewards."""

from actor_critic.rewards.rewards import (
    LinearReward,
    RewardModel,
    RewardRule,
    compute_rewards,
    make_reward_model,
    make_reward_rule,
)

__all__ = [
    "LinearReward",
    "RewardModel",
    "RewardRule",
    "compute_rewards",
    "make_reward_model",
    "make_reward_rule",
]
