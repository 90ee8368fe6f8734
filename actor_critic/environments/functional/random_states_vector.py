"""N random-states problems side by side: a random state, one decision, one reward."""

from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from actor_critic.environments.functional.executors import PythonExecutor
from actor_critic.environments.functional.named import make_executor
from actor_critic.environments.functional.random_states import random_spaces, random_states_with
from actor_critic.environments.functional.vector import FunctionalVectorEnv
from actor_critic.environments.vector.contract import Step
from actor_critic.imports import Objects
from actor_critic.rewards import RewardModel, compute_rewards, make_reward_model
from actor_critic.seeding import Purpose


class RandomStatesVectorEnv(FunctionalVectorEnv):
    """N contextual bandits: standard normal states, episodes of one step, rewards from a reward model.

    Autoreset is same-step: every step ends all episodes and returns the states of the next ones. The final observation
    is the state before the action, since an action affects only the reward.

    The built-in reward model and a :class:`FunctionalReward` are compiled with the environment. Any other is called in
    Python, once for every step.
    """

    is_bandit = True
    """Every episode lasts one step."""

    def __init__(
        self,
        num_envs: int = 1,
        *,
        input_dim: int = 10,
        output_dim: int = 2,
        reward_model: str = "linear",
        reward_model_kwargs: dict[str, Any] | None = None,
        objects: Objects | None = None,
        purpose: Purpose = Purpose.EPISODES,
        first: int = 0,
    ) -> None:
        """Set up N problems side by side.

        Args:
            num_envs: N.
            input_dim: Size of a state.
            output_dim: Number of actions.
            reward_model: "linear", or "module:name" of a class or function.
            reward_model_kwargs: Keyword arguments for it.
            objects: Finds what ``reward_model`` means.
            purpose: Selects the range of episode seeds; training and evaluation use disjoint ranges.
            first: Number of the first problem, if these are a part of more.

        Raises:
            ConfigError: The reward model cannot be made.
        """
        self.reward_model: RewardModel = make_reward_model(
            reward_model, reward_model_kwargs or {}, *random_spaces(input_dim, output_dim), objects=objects
        )
        environment = random_states_with(self.reward_model, reward_model, input_dim, output_dim)
        self._is_function = environment.reward is not None
        super().__init__(environment, num_envs, make_executor(environment), purpose=purpose, first=first)
        self._ones, self._no_reward = np.ones(num_envs, np.bool_), np.zeros(num_envs, np.float32)

    @property
    def is_compiled(self) -> bool:
        """Whether nothing of a step runs in Python."""
        return self._is_function and not isinstance(self.executor, PythonExecutor)

    def step_indices(self, action_indices: npt.NDArray[np.int64]) -> Step:
        """Reward the actions [N, 1] and return the next states [N, D].

        Raises:
            EnvironmentFault: The reward model failed.
        """
        step = super().step_indices(action_indices)
        if not self._is_function:
            states, actions = step.final_observations, action_indices[:, 0]
            assert states is not None
            step.rewards = compute_rewards(self.reward_model, states, actions, states, self._ones, self._no_reward)
        return step

    def expected_rewards(self, observations: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
        """Return the expected reward [N, A] of every action, or None if the reward model does not know it."""
        return self.reward_model.expected_rewards(observations)


gym.register(
    id="random-states",
    vector_entry_point="actor_critic.environments.functional.random_states_vector:RandomStatesVectorEnv",
)
