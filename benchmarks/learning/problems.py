"""Environments and wrappers that only the benchmarks use."""

from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt


class TMaze(gym.Env[npt.NDArray[np.float32], int]):
    """A corridor that ends in a fork; a hint at the start shows the right turn (Bakker, 2001).

    An observation is (hint: +1, -1 or 0; 1 at the fork, else 0). Only the first observation shows the hint, and all
    places between the start and the fork look the same. Action 0 goes forward; actions 1 and 2 turn, which has an
    effect only at the fork. There, each turn ends the episode, and the right one earns 1. Without memory, the best mean
    return is 0.5.
    """

    observation_space = gym.spaces.Box(-1.0, 1.0, (2,))
    action_space = gym.spaces.Discrete(3)

    def __init__(self, length: int = 10) -> None:
        self._length = length

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
        """Return to the start, with a new hint."""
        super().reset(seed=seed)
        self._place = 0
        self._right_turn = int(self.np_random.integers(1, 3))
        return np.array([3 - 2 * self._right_turn, 0], np.float32), {}

    def step(self, action: int) -> tuple[npt.NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Go forward, or turn."""
        at_fork = self._place == self._length
        turned = at_fork and action != 0
        reward = float(turned and action == self._right_turn)
        if action == 0 and not at_fork:
            self._place += 1
        return np.array([0, self._place == self._length], np.float32), reward, turned, False, {}


class Unmasked(gym.Wrapper[Any, Any, Any, Any]):
    """Hide the action masks of an environment."""

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        """Reset the environment, and drop the mask."""
        observation, info = self.env.reset(**kwargs)
        return observation, _without_mask(info)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step the environment, and drop the mask."""
        *others, info = self.env.step(action)
        return (*others, _without_mask(info))  # type: ignore[return-value]


def _without_mask(info: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in info.items() if name != "action_mask"}


gym.register("TMaze-v0", TMaze, max_episode_steps=100)
