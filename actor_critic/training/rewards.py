"""The rewards of an epoch: those of the reward model, and those used for training."""

import numpy as np
import numpy.typing as npt

from actor_critic.rewards import RewardRule
from actor_critic.rollouts import Rollout
from actor_critic.spaces import ActionSpec

Rewards = npt.NDArray[np.float32]


class EpochRewards:
    """Applies a run's reward rule to its rollouts."""

    def __init__(self, rule: RewardRule | None, actions: ActionSpec) -> None:
        """Begin.

        Args:
            rule: How to combine a reward model with the environment's rewards; None without a model.
            actions: The action space; a reward model receives actions in its numbering.
        """
        self._rule = rule
        self._actions = actions

    def of(self, rollout: Rollout) -> tuple[Rewards, Rewards | None]:
        """Return the training rewards [T, N], and those of the reward model [T, N] (None without a model).

        Raises:
            EnvironmentFault: The model raised, or returned another shape or a number that is not finite.
        """
        if self._rule is None:
            return rollout.rewards, None
        count = rollout.rewards.size
        shape = rollout.observations.shape[2:]
        rewards = self._rule.model_rewards(
            rollout.observations[:-1].reshape(count, *shape),
            self._actions.numbers(rollout.actions.reshape(count, -1)),
            rollout.next_observations().reshape(count, *shape),
            rollout.terminated.reshape(count),
            rollout.rewards.reshape(count),
        ).reshape(rollout.rewards.shape)
        rewards = rewards if rollout.valid is None else np.where(rollout.valid, rewards, np.float32(0))
        return self._rule.training_rewards(rollout.rewards, rewards), rewards
