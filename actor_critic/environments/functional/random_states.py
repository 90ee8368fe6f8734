"""The random-states problem as a functional environment, with the function of a reward model as its transition."""

import math
import re
from collections.abc import Callable
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from actor_critic.config import Settings
from actor_critic.environments.functional.environment import FunctionalEnvironment
from actor_critic.environments.functional.reward import FunctionalReward
from actor_critic.environments.functional.source import REMEDY
from actor_critic.errors import ConfigError
from actor_critic.rewards import LinearReward, RewardModel, make_reward_model

RewardFunction = Callable[[Any, Any, Any], float]
"""A function of a state [D], an action and the parameters, that can be compiled."""


class RandomStates(FunctionalEnvironment):
    """Standard normal states; episodes of one step. A subclass has the reward in its transition.

    Attributes:
        reward: The function of a reward model that its transition calls; None if the model has none.
        reward_name: The name of the model in the settings, for messages.
    """

    max_episode_steps = None
    reward: ClassVar[RewardFunction | None] = None
    reward_name = ""

    def __init__(self, input_dim: int, output_dim: int) -> None:
        """Set the sizes.

        Args:
            input_dim: D, the size of a state.
            output_dim: A, the number of actions.
        """
        super().__init__()
        self.observation_space, self.action_space = random_spaces(input_dim, output_dim)
        self.state = ((input_dim,), np.float32)  # type: ignore[misc]

    def not_compiled(self, error: ConfigError) -> ConfigError:
        """See :class:`FunctionalEnvironment`; the message is about the reward model."""
        name = re.escape(type(self).__name__)
        what = re.sub(rf"^environment: {name}(\.\w+)?", f"reward_model: {self.reward_name}", str(error))
        what = what.removesuffix(f"; {REMEDY}")
        return ConfigError(f"{what}; derive from RewardModel instead, whose rewards run in Python")

    @staticmethod
    def initial(state: Any, random: Any, parameters: Any) -> None:
        """Draw a state."""
        for k in range(len(state)):
            state[k] = random.normal()

    @staticmethod
    def observation(state: Any, out: Any, parameters: Any) -> None:
        """Show the state."""
        out[:] = state


def random_spaces(input_dim: int, output_dim: int) -> tuple[gym.spaces.Box, gym.spaces.Discrete]:
    """Return the observation space and the action space of random states."""
    return gym.spaces.Box(-np.inf, np.inf, (input_dim,), np.float32), gym.spaces.Discrete(output_dim)


def random_states_with(model: RewardModel, name: str, input_dim: int, output_dim: int) -> RandomStates:
    """Return random states with the function of a reward model; without one, their rewards are 0.

    Args:
        model: The reward model.
        name: Its name in the settings.
        input_dim: D, the size of a state.
        output_dim: A, the number of actions.
    """
    if type(model) is LinearReward:
        kind = _with_reward("RandomStates", _linear, {"directions": model.directions})
    elif isinstance(model, FunctionalReward) and model.is_function:
        values = {key: model.parameters[key] for key in type(model).parameters}
        kind = _with_reward(type(model).__name__, type(model).reward, values)
    else:
        kind = _with_reward("RandomStates", None, {})
    made = kind(input_dim, output_dim)
    made.reward_name = name
    return made


def own_random_states(settings: Settings) -> RandomStates | None:
    """Return random states with the user's own function as their reward; None if the settings name no such function.

    Raises:
        ConfigError: The reward model cannot be made.
    """
    name, input_dim, output_dim = settings.reward_model, settings.input_dim, settings.output_dim
    assert input_dim is not None and output_dim is not None
    found = LinearReward if name == "linear" else settings.objects.load(name, "reward_model")
    if not issubclass(found if isinstance(found, type) else type(found), FunctionalReward):
        return None  # any other model is made only once, for the run
    spaces = random_spaces(input_dim, output_dim)
    model = make_reward_model(name, settings.reward_model_kwargs, *spaces, objects=settings.objects)
    made = random_states_with(model, name, input_dim, output_dim)
    return made if made.reward is not None else None


def _linear(state: Any, action: Any, parameters: Any) -> float:
    total = 0.0
    for k in range(len(state)):
        total += state[k] * parameters.directions[action, k]
    return math.tanh(total)


def _with_reward(name: str, reward: RewardFunction | None, parameters: dict[str, Any]) -> type[RandomStates]:
    """Return the environment with a reward function and its parameters; messages begin with its name."""
    function = reward or _zero

    def transition(state: Any, action: Any, random: Any, parameters: Any) -> tuple[float, bool]:
        return function(state, action, parameters), True

    kept = staticmethod(reward) if reward else None
    members = {"transition": staticmethod(transition), "reward": kept, "parameters": parameters}
    return type(name, (RandomStates,), members)


def _zero(state: Any, action: Any, parameters: Any) -> float:
    return 0.0
