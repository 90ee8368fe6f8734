"""ActionSpec: any discrete action space as groups of choices."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from actor_critic.errors import ConfigError
from actor_critic.spaces.documents import ADDED, are_choices, read_parts, write_parts
from actor_critic.spaces.nesting import Path, assemble, describe_path, describe_space, parts_of, pick

_INTEGERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))


@dataclass(frozen=True)
class ActionPart:
    """A Discrete, MultiDiscrete or MultiBinary space: the whole action space, or a part of a Dict or Tuple.

    Attributes:
        path: Its place in the action; empty for the whole.
        shape: Shape of this part of an action; () for Discrete.
        sizes: Choices of each entry in row-major order.
        starts: The environment's number for choice 0 of each entry.
        dtype: NumPy name of the dtype in which the environment takes it.
    """

    path: Path
    shape: tuple[int, ...]
    sizes: tuple[int, ...]
    starts: tuple[int, ...]
    dtype: str = field(default="int64", metadata=ADDED)

    def check(self) -> None:
        """Check that the fields agree.

        Raises:
            ValueError: The fields contradict each other.
        """
        is_sound = are_choices(self.shape, self.sizes, self.starts) and self.dtype in _INTEGERS
        if is_sound:
            allowed = np.iinfo(self.dtype)
            ends = [start + size - 1 for start, size in zip(self.starts, self.sizes, strict=True)]
            is_sound = min(self.starts, default=0) >= allowed.min and max(ends, default=0) <= allowed.max
        if not is_sound:
            raise ValueError("an action space has a part that is wrong")

    def __str__(self) -> str:
        numbers = [np.array(values, object).reshape(self.shape).tolist() for values in (self.sizes, self.starts)]
        name = "MultiDiscrete" if self.shape else "Discrete"
        return f"{name}({numbers[0]}{f', start={numbers[1]}' if any(self.starts) else ''})"


@dataclass(frozen=True)
class ActionSpec:
    """A discrete action space as G groups of choices."""

    parts: tuple[ActionPart, ...]

    @classmethod
    def from_space(cls, space: gym.Space[Any]) -> "ActionSpec":
        """Describe a Gymnasium action space.

        Raises:
            ConfigError: The space is not one this package can act in.
        """
        return cls(tuple(_read(part, path, space) for path, part in parts_of(space)))

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Choices per group."""
        return tuple(size for part in self.parts for size in part.sizes)

    @cached_property
    def num_groups(self) -> int:
        """Choices that make up an action, G."""
        return len(self.sizes)

    @cached_property
    def num_logits(self) -> int:
        """Logits over all groups, A."""
        return sum(self.sizes)

    @cached_property
    def is_nested(self) -> bool:
        """Whether an action is a dict or tuple."""
        return self.parts[0].path != ()

    def check_mask(self, mask: npt.NDArray[np.generic], count: int | None) -> npt.NDArray[np.bool_]:
        """Check that a mask fits and allows at least one choice in every group.

        Args:
            mask: [A], or [count, A].
            count: Rows expected; None for a single action.

        Returns:
            [count or 1, A] boolean.

        Raises:
            ValueError: Its shape does not fit, or a row allows no action.
        """
        expected = (self.num_logits,) if count is None else (count, self.num_logits)
        if mask.shape != expected:
            raise ValueError(f"action_mask: shape {mask.shape} does not fit; expected {expected}")
        rows = mask.reshape(-1, self.num_logits).astype(np.bool_)
        allows = self.allows_an_action(rows)
        if not allows.all():
            raise ValueError(f"action_mask: row {int(np.argmin(allows))} allows no action; expected at least one")
        return rows

    def allows_an_action(self, masks: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Return which rows of masks [B, A] leave at least one choice in every group, [B]."""
        starts = np.cumsum((0, *self.sizes[:-1]))
        return np.asarray(np.logical_or.reduceat(masks, starts, axis=1).all(1))

    def numbers(self, action_indices: npt.NDArray[np.int64]) -> Any:
        """Convert action indices to actions of 64-bit integers, whatever the dtype of the space.

        Args:
            action_indices: [..., G], each counted from 0.

        Returns:
            An array [...] if discrete, else [..., *shape]; for a Dict or Tuple a dict or tuple of such arrays.
        """
        if self._only is None:
            return assemble(self._arrays(action_indices))
        return action_indices[..., 0] + self._only.starts[0]

    def to_environment(self, action_indices: npt.NDArray[np.int64]) -> Any:
        """Convert action indices to actions for the environment: :meth:`numbers`, in the dtypes of its space."""
        only = self._only
        if only is None:
            arrays = zip(self.parts, self._arrays(action_indices), strict=True)
            return assemble([(path, array.astype(part.dtype, copy=False)) for part, (path, array) in arrays])
        numbers = action_indices[..., 0] + only.starts[0]
        return numbers if only.dtype == "int64" else numbers.astype(only.dtype)

    @cached_property
    def _only(self) -> ActionPart | None:
        """The one part of a Discrete space; None for any other space."""
        only = self.parts[0]
        return only if (only.path, only.shape) == ((), ()) else None

    def _arrays(self, action_indices: npt.NDArray[np.int64]) -> list[tuple[Path, npt.NDArray[np.int64]]]:
        """Return each part's path and its numbers [..., *part.shape]."""
        arrays = []
        first = 0
        for part in self.parts:
            numbers = action_indices[..., first : first + len(part.sizes)] + np.array(part.starts, np.int64)
            first += len(part.sizes)
            arrays.append((part.path, numbers.reshape(*action_indices.shape[:-1], *part.shape)))
        return arrays

    def one_by_one(self, action_indices: npt.NDArray[np.int64]) -> Any:
        """Convert action indices [B, G] to a sequence of B actions: scalars, arrays, dicts or tuples."""
        actions = self.to_environment(action_indices)
        if not self.is_nested:
            return actions
        arrays = [(part.path, pick(actions, part.path)) for part in self.parts]
        return [assemble([(path, array[row]) for path, array in arrays]) for row in range(len(action_indices))]

    def to_choices(self, actions: Any) -> npt.NDArray[np.int64]:
        """Undo :meth:`to_environment`: indices [B, G] of actions [B], [B, *shape], or dicts or tuples of these."""
        arrays = [
            np.asarray(pick(actions, part.path), np.int64).reshape(-1, len(part.sizes)) - np.array(part.starts)
            for part in self.parts
        ]
        return np.concatenate(arrays, axis=1)

    def to_document(self) -> list[dict[str, Any]]:
        """Return a JSON document that :meth:`from_document` reads back."""
        return write_parts(self.parts)

    def __str__(self) -> str:
        return describe_space([(part.path, str(part)) for part in self.parts])

    @classmethod
    def from_document(cls, document: list[dict[str, Any]]) -> "ActionSpec":
        """Read what :meth:`to_document` wrote.

        Raises:
            ValueError: The document is not an action space.
        """
        return cls(read_parts(document, ActionPart))


def _read(space: gym.Space[Any], path: Path, whole: gym.Space[Any]) -> ActionPart:
    match space:
        case gym.spaces.Discrete():
            return ActionPart(path, (), (int(space.n),), (int(space.start),), np.dtype(space.dtype).name)
        case gym.spaces.MultiDiscrete():
            sizes, starts = space.nvec.flatten().tolist(), space.start.flatten().tolist()
            return ActionPart(path, space.shape, tuple(sizes), tuple(starts), np.dtype(space.dtype).name)
        case gym.spaces.MultiBinary():
            count = int(np.prod(space.shape))
            return ActionPart(path, space.shape, (2,) * count, (0,) * count, np.dtype(space.dtype).name)
        case gym.spaces.Box():
            reason = (
                "is continuous; this software is for discrete actions: use an environment with a Discrete action "
                "space, or a wrapper that offers a few of the actions"
            )
        case _:
            reason = "is not supported; supported are Discrete, MultiDiscrete, MultiBinary, and Dict and Tuple of these"
    where = f", at {describe_path(path)} of {whole}," if path else ""
    raise ConfigError(f"the action space {space}{where} {reason}")
