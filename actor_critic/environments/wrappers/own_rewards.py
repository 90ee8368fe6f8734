"""The environment's own rewards, counted below all wrappers: what wrappers make of them is for training alone."""

import math
from collections.abc import Callable
from typing import Any

import gymnasium as gym

from actor_critic.spaces import as_array


class OwnRewards(gym.Wrapper[Any, Any, Any, Any]):
    """Adds up the rewards of the steps beneath the wrappers around it, which may be several for one of theirs.

    Attributes:
        total: Since it was last taken. What a wrapper earns with steps of its own during a reset does not count.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self.total = 0.0

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Take a step; what it returned is checked by the vectoriser."""
        returned = self.env.step(action)
        try:
            self.total += float(as_array(returned[1]).reshape(()))
        except (LookupError, OverflowError, TypeError, ValueError):
            self.total = math.nan  # no number: reported where the reward of the wrappers is checked
        return returned

    def take(self) -> float:
        """Return the total and set it to 0."""
        total, self.total = self.total, 0.0
        return total


def own_rewards_of(env: gym.Env[Any, Any]) -> Callable[[], float] | None:
    """Return a function that takes the environment's own rewards since its last call; None without wrappers."""
    layer: Any = env
    while isinstance(layer, gym.Wrapper):
        if isinstance(layer, OwnRewards):
            return layer.take
        layer = layer.env
    return None
