"""The environment's own rewards, counted below all wrappers: what wrappers make of them is for training alone."""

import math
from collections.abc import Callable
from typing import Any

import gymnasium as gym

from actor_critic.spaces import as_array


class OwnRewards(gym.Wrapper[Any, Any, Any, Any]):
    """Adds up the rewards of the steps beneath the wrappers around it, which may be several for one of theirs.

    Attributes:
        total: Since it was last taken. What a wrapper earns with steps of its own while it resets is taken by nobody.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self.total = 0.0

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Take a step; what it returned is looked at where all is."""
        returned = self.env.step(action)
        try:
            self.total += float(as_array(returned[1]).reshape(()))
        except (LookupError, OverflowError, TypeError, ValueError):
            self.total = math.nan  # no number: told where what the wrappers make of it is looked at
        return returned

    def take(self) -> float:
        """The total, which begins anew."""
        total, self.total = self.total, 0.0
        return total


def own_rewards_of(env: gym.Env[Any, Any]) -> Callable[[], float] | None:
    """A function that takes an environment's own rewards since it was called last; None where no wrapper is there."""
    layer: Any = env
    while isinstance(layer, gym.Wrapper):
        if isinstance(layer, OwnRewards):
            return layer.take
        layer = layer.env
    return None
