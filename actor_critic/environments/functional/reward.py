"""FunctionalReward: a reward model written as one function, which random states compile."""

import inspect
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from actor_critic.environments.functional.layout import read_parameters
from actor_critic.errors import ConfigError
from actor_critic.rewards import RewardModel


class FunctionalReward(RewardModel):
    """A reward that depends on a state and an action only, as a static function. Subclass it, and define ``reward``.

    Random states compile the function into their own. Anywhere else it runs in Python, once for every transition.

    - ``reward(state, action, parameters)`` returns a number. ``state`` is a raw observation, ``action`` an integer or
      an array, and ``parameters`` has a field for each parameter. The rules for functions of a
      :class:`FunctionalEnvironment` hold: they may call other functions of the module, and use constants and NumPy.

    Attributes:
        parameters: Names and default values, as of a :class:`FunctionalEnvironment`; ``reward_model_kwargs`` replaces
            them.
    """

    parameters: Any = MappingProxyType({})
    reward: Callable[..., float]

    def __init__(self, observation_space: gym.Space[Any], action_space: gym.Space[Any], **parameters: Any) -> None:
        """Set the parameters.

        Raises:
            ConfigError: There is no such parameter, a value has another type than its default, or ``reward`` is no
                static method.
        """
        if not isinstance(inspect.getattr_static(type(self), "reward", None), staticmethod):
            raise ConfigError(
                f"reward_model: {type(self).__name__} has no static method reward; expected "
                f"@staticmethod def reward(state, action, parameters)"
            )
        super().__init__(observation_space, action_space)
        name, defaults = type(self).__name__, type(self).parameters
        self.parameters = read_parameters(name, defaults, parameters, "reward_model")

    def rewards(
        self,
        states: npt.NDArray[Any],
        actions: npt.NDArray[np.int64],
        next_states: npt.NDArray[Any],
        terminated: npt.NDArray[np.bool_],
        environment_rewards: npt.NDArray[np.float32],
    ) -> npt.NDArray[np.float32]:
        """Return the reward of each transition, [B]."""
        chosen = actions.tolist() if actions.ndim == 1 else actions
        found = [self.reward(state, action, self.parameters) for state, action in zip(states, chosen, strict=True)]
        return np.array(found, np.float32)

    def expected_rewards(self, states: npt.NDArray[Any]) -> npt.NDArray[np.float32] | None:
        """Return the reward of every action, [B, A]; None if actions are not Discrete or rewards are overridden."""
        if not self.is_function or not isinstance(self.action_space, gym.spaces.Discrete):
            return None
        first, count = int(self.action_space.start), int(self.action_space.n)
        actions = range(first, first + count)
        return np.array([[self.reward(state, a, self.parameters) for a in actions] for state in states], np.float32)

    @property
    def is_function(self) -> bool:
        """Whether the function alone determines the rewards, since no subclass overrides :meth:`rewards`."""
        return type(self).rewards is FunctionalReward.rewards
