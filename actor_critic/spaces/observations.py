"""ObservationSpec: any supported observation space as one array per observation."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from actor_critic.spaces.documents import read_parts, write_parts
from actor_critic.spaces.nesting import assemble, at_path, describe_path, describe_space, parts_of, pick
from actor_critic.spaces.observation_part import ObservationPart, as_array, is_readable, read_part


@dataclass(frozen=True)
class ObservationSpec:
    """An observation space as one NumPy array per observation.

    For a Dict or Tuple the array is structured: ``observations["image"]`` is the array of one part. The parts of a
    Tuple are named by their positions (``observations["0"]``). Parts that no network reads are not in it.
    """

    parts: tuple[ObservationPart, ...]

    @classmethod
    def from_space(cls, space: gym.Space[Any]) -> "ObservationSpec":
        """Describe a Gymnasium observation space. Parts of a Dict or Tuple that no network reads are left out.

        Raises:
            ConfigError: The space has no part that this package can read.
        """
        parts = list(parts_of(space))
        readable = [(path, part) for path, part in parts if is_readable(part)]
        return cls(tuple(read_part(part, path, space) for path, part in readable or parts))

    @cached_property
    def is_nested(self) -> bool:
        """Whether an observation is a dict or tuple."""
        return self.parts[0].path != ()

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Shape of one observation as an array; () for a structured one."""
        return () if self.is_nested else self.parts[0].shape

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of observations as arrays."""
        if not self.is_nested:
            return np.dtype(self.parts[0].dtype)
        whole = assemble([(part.path, np.dtype((part.dtype, part.shape))) for part in self.parts])
        return _structured(whole)

    @cached_property
    def num_features(self) -> int:
        """Numbers that the networks see per observation."""
        return sum(part.num_features for part in self.parts)

    def convolved(self, encoder: str) -> list[ObservationPart]:
        """Return the parts that a CNN encodes. With "auto", grids of codes are none of them: one-hot is enough."""
        images = [part for part in self.parts if part.kind == "image" or part.codes]
        if encoder == "auto":
            return [part for part in images if not part.codes]
        return [] if encoder == "mlp" else images

    def without_codes_for(self, encoder: str) -> "ObservationSpec":
        """Return the spec for an encoder: a module of the user gets the numbers of a grid of codes as they are."""
        if ":" not in encoder:
            return self
        return ObservationSpec(tuple(replace(part, codes=0, lowest=0) for part in self.parts))

    @cached_property
    def is_plain(self) -> bool:
        """Whether an observation is what the networks see: one vector of 32-bit numbers."""
        first = self.parts[0]
        return (self.is_nested, first.kind, first.dtype, len(first.shape)) == (False, "box", "float32", 1)

    @cached_property
    def is_wide(self) -> bool:
        """Whether there are numbers in an observation that 32-bit floats cannot hold."""
        return any(part.is_wide for part in self.parts)

    def views(self, observations: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """Return each part's array [..., *part.shape] within observations [..., *shape]; they share their memory."""
        return [pick(observations, tuple(map(str, part.path))) for part in self.parts]

    def floats(self, observations: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """Return the parts that are floats, in 32 bits; numbers too large for these are infinite."""
        if self.is_plain:
            return [observations]
        with np.errstate(over="ignore"):
            views = [view for view in self.views(observations) if view.dtype.kind == "f"]
            return [view.astype(np.float32, copy=False) for view in views]

    def read(self, observation: Any) -> list[npt.NDArray[Any]]:
        """Convert one observation, as an environment returns it, to the arrays of its parts.

        Raises:
            ValueError: Something does not fit the space; the message continues the words "an observation".
        """
        return [part.read(pick(observation, part.path)) for part in self.parts]

    def write(self, observation: Any, views: list[npt.NDArray[Any]], row: int) -> None:
        """Write one observation, as an environment returns it, into a row of arrays from :meth:`views`.

        Raises:
            ValueError: Something does not fit the space; the message continues the words "an observation".
        """
        if not self.is_nested:
            views[0][row] = self.parts[0].read(observation)
            return
        for view, value in zip(views, self.read(observation), strict=True):
            view[row] = value

    def as_batch(self, observation: Any) -> tuple[npt.NDArray[Any], bool]:
        """Convert one observation or a batch of them to a new array [B, *shape].

        Args:
            observation: One observation as the environment gives it, or a batch of them: an array [B, *shape], or a
                dict or tuple of such arrays.

        Returns:
            The batch, and whether a single observation was given.

        Raises:
            ValueError: Its shape, dtype, whole numbers or categories do not fit.
        """
        if isinstance(observation, np.ndarray) and observation.dtype == self.dtype and self.is_nested:
            given = self.views(observation)
        else:
            given = []
            for part in self.parts:
                try:
                    given.append(as_array(pick(observation, part.path)))
                except ValueError as error:
                    raise ValueError(f"observation: {error}") from error
        first = self.parts[0]
        is_single = given[0].shape == first.shape
        count = 1 if is_single or given[0].ndim == 0 else len(given[0])
        batch = np.zeros((count, *self.shape), self.dtype)
        for part, array, view in zip(self.parts, given, self.views(batch), strict=True):
            name = f"observation{describe_path(part.path)}"
            expected = part.shape if is_single else (count, *part.shape)
            if array.shape != expected:
                either = f"{part.shape}, or a batch ({', '.join(map(str, ('B', *part.shape)))})"
                raise ValueError(
                    f"{name}: shape {array.shape} does not fit; expected {either if part is first else expected}"
                )
            if not part.takes(array.dtype):
                raise ValueError(f"{name}: dtype {array.dtype} does not fit; expected {part.dtype}")
            if beyond := part.beyond(array):
                raise ValueError(f"{name}: {beyond[0]}{at_path(beyond[1])} is outside {part.dtype}")
            if not part.contains(array):
                what, limits = part.misfit
                raise ValueError(f"{name}: {what} is outside {limits}")
            view[:] = array
        return batch, is_single

    def to_document(self) -> list[dict[str, Any]]:
        """Return a JSON document that :meth:`from_document` reads back."""
        return write_parts(self.parts)

    def __str__(self) -> str:
        return describe_space([(part.path, str(part)) for part in self.parts])

    @classmethod
    def from_document(cls, document: list[dict[str, Any]]) -> "ObservationSpec":
        """Read what :meth:`to_document` wrote.

        Raises:
            ValueError: The document is not an observation space.
        """
        return cls(read_parts(document, ObservationPart))


def _structured(whole: Any) -> np.dtype[Any]:
    """Return the structured dtype of nested dtypes, aligned so that PyTorch can share each part's memory."""
    if isinstance(whole, np.dtype):
        return whole
    items = whole.items() if isinstance(whole, dict) else enumerate(whole)
    return np.dtype([(str(key), _structured(inner)) for key, inner in items if inner is not None], align=True)
