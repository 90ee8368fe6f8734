"""Stacks of the last observations."""

from functools import cached_property
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from actor_critic.spaces import ObservationSpec, assemble, stacked


class FrameStack(gym.Wrapper[Any, Any, Any, Any]):
    """Stacks the last observations of an episode, oldest first. The first observation fills missing ones.

    Values equal those of Gymnasium's FrameStackObservation. The space keeps the kind of its parts: categories stay
    categories, and a stacked board does not become an image.
    """

    def __init__(self, env: gym.Env[Any, Any], count: int) -> None:
        """Stack ``count`` observations of an environment."""
        super().__init__(env)
        self.observation_space = stacked(env.observation_space, count)
        self._count = count
        self._frames: list[npt.NDArray[Any]] = []  # an array for each part; nothing else writes to them

    def reset(self, **kwargs: Any) -> Any:
        """Begin an episode."""
        returned: Any = self.env.reset(**kwargs)
        if not isinstance(returned, tuple):  # reported by the vectoriser
            return returned
        observation, *rest = returned
        self._frames = [np.repeat(array[None], self._count, 0) for array in self._read(observation)]
        return self._shown(), *rest

    def step(self, action: Any) -> Any:
        """Take a step."""
        returned: Any = self.env.step(action)
        if not isinstance(returned, tuple):
            return returned
        observation, *rest = returned
        newest = zip(self._frames, self._read(observation), strict=True)
        self._frames = [np.concatenate([frames[1:], array[None]]) for frames, array in newest]
        return self._shown(), *rest

    @property
    def num_bytes(self) -> int:
        """Size of a saved state."""
        return sum(frames.nbytes for frames in self._frames)

    def save(self) -> bytes:
        """Return the stacked observations."""
        return b"".join(frames.tobytes() for frames in self._frames)

    def restore(self, state: bytes) -> None:
        """Restore observations that :meth:`save` returned, after a reset."""
        starts = np.cumsum([0, *(frames.nbytes for frames in self._frames)])
        self._frames = [
            np.frombuffer(state, frames.dtype, frames.size, start).reshape(frames.shape).copy()
            for frames, start in zip(self._frames, starts.tolist(), strict=False)
        ]

    @cached_property
    def _spec(self) -> ObservationSpec:
        return ObservationSpec.from_space(self.env.observation_space)

    def _read(self, observation: Any) -> list[npt.NDArray[Any]]:
        try:
            arrays = zip(self._spec.parts, self._spec.read(observation), strict=True)
        except ValueError as error:
            raise ValueError(f"an observation {error}") from None
        with np.errstate(over="ignore"):  # a number too large for its type is reported by the vectoriser
            return [array.astype(part.dtype, copy=False) for part, array in arrays]

    def _shown(self) -> Any:
        return assemble([(part.path, frames) for part, frames in zip(self._spec.parts, self._frames, strict=True)])
