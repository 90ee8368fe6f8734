"""The space of several stacked frames; numbers, categories and images keep their kind."""

from typing import Any

import gymnasium as gym
import numpy as np


class StackedBox(gym.spaces.Box):
    """Frames of a Box, along a first axis.

    Attributes:
        frame: The Box of one frame; its kind (numbers or image) is the kind of the stack.
    """

    def __init__(self, frame: gym.spaces.Box, count: int) -> None:
        """Stack ``count`` frames of one Box."""
        repeats = (count, *[1] * len(frame.shape))
        super().__init__(np.tile(frame.low, repeats), np.tile(frame.high, repeats), dtype=frame.dtype)
        self.frame = frame


def stacked(space: gym.Space[Any], count: int) -> gym.Space[Any]:
    """Return the space of ``count`` frames. Dicts and Tuples keep their form; unsupported spaces stay unchanged."""
    match space:
        case gym.spaces.Dict():
            inner = [(key, stacked(part, count)) for key, part in space.spaces.items()]
            return gym.spaces.Dict(inner)
        case gym.spaces.Tuple():
            return gym.spaces.Tuple([stacked(part, count) for part in space.spaces])
        case gym.spaces.Discrete():
            sizes, starts = (np.full(count, number, space.dtype) for number in (space.n, space.start))
            return gym.spaces.MultiDiscrete(sizes, dtype=space.dtype, start=starts)
        case gym.spaces.MultiDiscrete():
            repeats = (count, *[1] * space.nvec.ndim)
            starts = np.tile(space.start, repeats)
            return gym.spaces.MultiDiscrete(np.tile(space.nvec, repeats), dtype=space.dtype, start=starts)
        case gym.spaces.MultiBinary():
            return gym.spaces.MultiBinary((count, *space.shape))
        case gym.spaces.Box():
            return StackedBox(space, count)
    return space
