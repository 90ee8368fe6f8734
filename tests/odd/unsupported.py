"""Unsupported spaces."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np


class Foreign:
    """A space of another package, such as the old gym: the same names, but not a Gymnasium class."""

    def __init__(self) -> None:
        self.shape, self.dtype, self.low, self.high = (2,), np.dtype(np.float32), -1, 1

    def contains(self, value: Any) -> bool:
        return True

    def sample(self) -> Any:
        return np.zeros(2, np.float32)

    def __repr__(self) -> str:
        return "Box(2,)"


class Own(gym.Space[Any]):
    """A space of a user-defined class."""

    def __init__(self) -> None:
        super().__init__((2,), np.float32)


def _later() -> Any:
    raise AssertionError("made in reset")


SPACES: dict[str, tuple[str, Callable[[], Any]]] = {
    "an observation space Text": ("observation", lambda: gym.spaces.Text(5)),
    "an observation space Graph": ("observation", lambda: gym.spaces.Graph(gym.spaces.Box(0, 1, (2,)), None)),
    "an observation space Sequence": ("observation", lambda: gym.spaces.Sequence(gym.spaces.Box(0, 1, (2,)))),
    "an observation space OneOf": ("observation", lambda: gym.spaces.OneOf([gym.spaces.Discrete(2)])),
    "a Dict of a Text alone": ("observation", lambda: gym.spaces.Dict({"mission": gym.spaces.Text(5)})),
    "an observation space of another package": ("observation", Foreign),
    "an observation space of a class of one's own": ("observation", Own),
    "a foreign space within a Tuple": ("observation", lambda: _holding(Foreign())),
    "no observation space": ("observation", lambda: None),
    "an empty Dict of observations": ("observation", lambda: gym.spaces.Dict({})),
    "a Dict with keys that are no texts": ("observation", lambda: gym.spaces.Dict({1: gym.spaces.Discrete(2)})),
    "an observation space without numbers": ("observation", lambda: gym.spaces.Box(0, 1, (0,))),
    "an observation space of 2^40 categories": ("observation", lambda: gym.spaces.Discrete(2**40)),
    "an observation space that is a class": ("observation", lambda: gym.spaces.Discrete),
    "continuous actions": ("action", lambda: gym.spaces.Box(-1, 1, (2,))),
    "an action space of one action": ("action", lambda: gym.spaces.Discrete(1)),
    "an action space of 2^40 actions": ("action", lambda: gym.spaces.Discrete(2**40)),
    "an action space of another package": ("action", Foreign),
    "no action space": ("action", lambda: None),
    "continuous actions within a Dict": (
        "action",
        lambda: gym.spaces.Dict({"gear": gym.spaces.Discrete(3), "gas": gym.spaces.Box(0, 1, (1,))}),
    ),
    "spaces that are there only after a reset": ("observation", _later),
}
"""Unsupported spaces, each with its place and a function that makes it."""


def _holding(space: Any) -> gym.spaces.Tuple:
    whole = gym.spaces.Tuple([gym.spaces.Discrete(2)])
    whole.spaces = (gym.spaces.Discrete(2), space)
    return whole
