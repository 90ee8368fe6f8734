"""The environment's own rewards, summed below all wrappers. Rewards that wrappers change are for training only."""

import math
from collections.abc import Callable
from typing import Any

import gymnasium as gym

from actor_critic.environments.wrappers.layers import layers
from actor_critic.spaces import as_array


class OwnRewards(gym.Wrapper[Any, Any, Any, Any]):
    """Sums the environment's own rewards; one step of an outer wrapper may take several steps of the environment.

    Attributes:
        total: Sum since the last :meth:`take`. Rewards of steps that wrappers take during a reset do not count.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self.total = 0.0

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Take a step; the vectoriser checks the result."""
        returned = self.env.step(action)
        try:
            self.total += float(as_array(returned[1]).reshape(()))
        except (LookupError, OverflowError, TypeError, ValueError):
            self.total = math.nan  # not a number; the vectoriser checks the wrappers' reward and reports it
        return returned

    def take(self) -> float:
        """Return the total and set it to 0."""
        total, self.total = self.total, 0.0
        return total


def own_rewards_of(env: gym.Env[Any, Any]) -> Callable[[], float] | None:
    """Return a function that returns the environment's own rewards since its last call; None without wrappers."""
    return next((layer.take for layer in layers(env) if isinstance(layer, OwnRewards)), None)
