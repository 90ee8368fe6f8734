"""The random-states problem as a functional environment: a random state, one decision, one reward."""

import math
import re
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from actor_critic.environments.functional.environment import FunctionalEnvironment
from actor_critic.environments.functional.executors import PythonExecutor
from actor_critic.environments.functional.named import make_executor
from actor_critic.environments.functional.reward import FunctionalReward
from actor_critic.environments.functional.source import REMEDY
from actor_critic.environments.functional.vector import FunctionalVectorEnv
from actor_critic.environments.vector.contract import Step
from actor_critic.errors import ConfigError
from actor_critic.imports import Objects
from actor_critic.rewards import LinearReward, RewardModel, compute_rewards, make_reward_model
from actor_critic.seeding import Purpose

RewardFunction = Callable[[Any, Any, Any], float]
"""A function of a state [D], an action and the parameters, that can be compiled."""


class RandomStates(FunctionalEnvironment):
    """Standard normal states; episodes of one step. A subclass has the reward in its transition."""

    max_episode_steps = None

    def __init__(self, input_dim: int, output_dim: int) -> None:
        """Set the sizes.

        Args:
            input_dim: D, the size of a state.
            output_dim: A, the number of actions.
        """
        super().__init__()
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (input_dim,), np.float32)
        self.action_space = gym.spaces.Discrete(output_dim)
        self.state = ((input_dim,), np.float32)  # type: ignore[misc]

    @staticmethod
    def initial(state: Any, random: Any, parameters: Any) -> None:
        """Draw a state."""
        for k in range(len(state)):
            state[k] = random.normal()

    @staticmethod
    def observation(state: Any, out: Any, parameters: Any) -> None:
        """Show the state."""
        out[:] = state


def _linear(state: Any, action: Any, parameters: Any) -> float:
    total = 0.0
    for k in range(len(state)):
        total += state[k] * parameters.directions[action, k]
    return math.tanh(total)


def _none(state: Any, action: Any, parameters: Any) -> float:
    return 0.0


def _with_reward(reward: RewardFunction, parameters: dict[str, Any]) -> type[RandomStates]:
    """Return the environment with a reward function and its parameters."""

    def transition(state: Any, action: Any, random: Any, parameters: Any) -> tuple[float, bool]:
        return reward(state, action, parameters), True

    return type("RandomStates", (RandomStates,), {"transition": staticmethod(transition), "parameters": parameters})


def _function_of(model: RewardModel) -> tuple[RewardFunction, dict[str, Any]] | None:
    """Return the function that determines the rewards of a model, and its parameters; None if there is none."""
    if type(model) is LinearReward:
        return _linear, {"directions": model.directions}
    if isinstance(model, FunctionalReward) and model.is_function:
        names = type(model).parameters
        return type(model).reward, {name: model.parameters[name] for name in names}
    return None


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
        spaces = gym.spaces.Box(-np.inf, np.inf, (input_dim,), np.float32), gym.spaces.Discrete(output_dim)
        self.reward_model: RewardModel = make_reward_model(
            reward_model, reward_model_kwargs or {}, *spaces, objects=objects
        )
        function = _function_of(self.reward_model)
        self._is_function = function is not None
        environment = _with_reward(*(function or (_none, {})))(input_dim, output_dim)
        try:
            executor = make_executor(environment)
        except ConfigError as error:  # only the function of a user can be at fault
            what = re.sub(r"^environment: RandomStates(\.\w+)?", f"reward_model: {reward_model}", str(error))
            what = what.removesuffix(f"; {REMEDY}")
            raise ConfigError(f"{what}; derive from RewardModel instead, whose rewards run in Python") from None
        super().__init__(environment, num_envs, executor, purpose=purpose, first=first)
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
    vector_entry_point="actor_critic.environments.functional.random_states:RandomStatesVectorEnv",
)
