"""Action and observation spaces, reduced to what networks and buffers need: sizes, shapes and dtypes."""

from dataclasses import dataclass
from typing import Any, Literal

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from actor_critic.errors import ConfigError


def read_spaces(
    environment: str, observation_space: gym.Space[Any], action_space: gym.Space[Any]
) -> "tuple[ObservationSpec, ActionSpec]":
    """Describe both spaces of an environment.

    Raises:
        ConfigError: One of them is not supported; the message names the environment.
    """
    try:
        return ObservationSpec.from_space(observation_space), ActionSpec.from_space(action_space)
    except ConfigError as error:
        raise ConfigError(f"environment: {environment}: {error}") from None


@dataclass(frozen=True)
class ActionSpec:
    """A discrete action space as G groups of choices.

    Attributes:
        kind: "discrete" (one choice, a scalar action) or "vector" (an action is an array of G choices).
        sizes: Choices per group.
        starts: What the environment calls choice 0 of each group.
    """

    kind: Literal["discrete", "vector"]
    sizes: tuple[int, ...]
    starts: tuple[int, ...]

    @classmethod
    def from_space(cls, space: gym.Space[Any]) -> "ActionSpec":
        """Describe a Gymnasium action space.

        Raises:
            ConfigError: The space is not one this package can act in.
        """
        match space:
            case gym.spaces.Discrete():
                return cls("discrete", (int(space.n),), (int(space.start),))
            case gym.spaces.MultiDiscrete() if space.nvec.ndim == 1:
                return cls("vector", tuple(space.nvec.tolist()), tuple(space.start.tolist()))
            case gym.spaces.MultiBinary() if len(space.shape) == 1:
                return cls("vector", (2,) * int(space.shape[0]), (0,) * int(space.shape[0]))
            case gym.spaces.Box():
                raise ConfigError(
                    f"the action space {space} is continuous; this software is for discrete actions: use an "
                    f"environment with a Discrete action space, or a wrapper that offers a few of the actions"
                )
        raise ConfigError(
            f"the action space {space} is not supported; supported are Discrete, and one-dimensional MultiDiscrete and "
            f"MultiBinary"
        )

    @property
    def num_groups(self) -> int:
        """Choices that make up an action, G."""
        return len(self.sizes)

    @property
    def num_logits(self) -> int:
        """Logits over all groups, A."""
        return sum(self.sizes)

    def check_mask(self, mask: npt.NDArray[np.generic], count: int | None) -> npt.NDArray[np.bool_]:
        """Make sure that a mask fits and allows at least one choice in every group.

        Args:
            mask: [A], or [count, A].
            count: Rows expected; None for a single action.

        Returns:
            [count or 1, A] boolean.

        Raises:
            ValueError: Its shape is another, or a row allows no action.
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
        """Which rows of masks [B, A] leave at least one choice in every group, [B]."""
        starts = np.cumsum((0, *self.sizes[:-1]))
        return np.asarray(np.logical_or.reduceat(masks, starts, axis=1).all(1))

    def to_document(self) -> dict[str, Any]:
        """A JSON document that :meth:`from_document` reads back."""
        return {"kind": self.kind, "sizes": list(self.sizes), "starts": list(self.starts)}

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "ActionSpec":
        """Read what :meth:`to_document` wrote."""
        return cls(document["kind"], tuple(document["sizes"]), tuple(document["starts"]))

    def to_environment(self, choices: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Turn choices [..., G] into actions of the environment: [...] if discrete, else [..., G]."""
        actions = choices + np.array(self.starts)
        return actions[..., 0] if self.kind == "discrete" else actions


@dataclass(frozen=True)
class ObservationSpec:
    """An observation space as one array per observation.

    Attributes:
        kind: "box" (numbers, used as they are) or "categories" (integers, each one-hot encoded).
        shape: Shape of one observation as an array.
        dtype: NumPy name of the dtype it is stored with.
        sizes: Categories of each entry in row-major order; empty for a box.
        starts: The lowest category of each entry; empty for a box.
    """

    kind: Literal["box", "categories"]
    shape: tuple[int, ...]
    dtype: str
    sizes: tuple[int, ...] = ()
    starts: tuple[int, ...] = ()

    @classmethod
    def from_space(cls, space: gym.Space[Any]) -> "ObservationSpec":
        """Describe a Gymnasium observation space.

        Raises:
            ConfigError: The space is not one this package can read.
        """
        match space:
            case gym.spaces.Box() | gym.spaces.MultiBinary():
                # 32-bit floats are what the networks compute in; integers and booleans are kept small until then.
                dtype = "float32" if np.issubdtype(space.dtype, np.floating) else np.dtype(space.dtype).name
                return cls("box", space.shape, dtype)
            case gym.spaces.Discrete():
                return cls("categories", (), "int64", (int(space.n),), (int(space.start),))
            case gym.spaces.MultiDiscrete():
                sizes, starts = space.nvec.flatten().tolist(), space.start.flatten().tolist()
                return cls("categories", space.shape, "int64", tuple(sizes), tuple(starts))
            case gym.spaces.Dict() | gym.spaces.Tuple():
                mend = (
                    'wrap it so that it returns one array: with "gymnasium.wrappers:FlattenObservation", or a wrapper '
                    'of its own package such as "minigrid.wrappers:ImgObsWrapper"'
                )
            case gym.spaces.Text() | gym.spaces.Graph() | gym.spaces.Sequence():
                mend = "wrap it so that it returns an array of fixed shape"
            case _:
                mend = "supported are Box, Discrete, MultiDiscrete and MultiBinary"
        raise ConfigError(f"the observation space {space} is not supported; {mend}")

    @property
    def num_features(self) -> int:
        """Numbers that the networks see per observation."""
        return sum(self.sizes) if self.kind == "categories" else int(np.prod(self.shape))

    def as_batch(self, observation: Any) -> tuple[npt.NDArray[np.generic], bool]:
        """A batch of one or more observations, as an array of its own.

        Args:
            observation: One observation, or a batch [B, *shape].

        Returns:
            The batch, and whether a single observation was given.

        Raises:
            ValueError: Its shape, dtype or categories do not fit.
        """
        array = np.asarray(observation)
        is_single = array.shape == self.shape
        if not is_single and (array.ndim == 0 or array.shape[1:] != self.shape):
            expected = f"{self.shape}, or a batch ({', '.join(map(str, ('B', *self.shape)))})"
            raise ValueError(f"observation: shape {array.shape} does not fit; expected {expected}")
        if not np.can_cast(array.dtype, self.dtype, "same_kind"):
            raise ValueError(f"observation: dtype {array.dtype} does not fit; expected {self.dtype}")
        if not self.contains(array):
            raise ValueError("observation: a category is outside its space")
        return np.array(array.reshape(-1, *self.shape) if is_single else array, self.dtype), is_single

    def contains(self, array: npt.NDArray[np.generic]) -> bool:
        """Whether all categories in an array of shape [..., *shape] are there; true for a box."""
        if self.kind == "box":
            return True
        low = np.array(self.starts).reshape(self.shape)
        high = low + np.array(self.sizes).reshape(self.shape)
        return bool(((array >= low) & (array < high)).all())

    def to_document(self) -> dict[str, Any]:
        """A JSON document that :meth:`from_document` reads back."""
        return {
            "kind": self.kind,
            "shape": list(self.shape),
            "dtype": self.dtype,
            "sizes": list(self.sizes),
            "starts": list(self.starts),
        }

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "ObservationSpec":
        """Read what :meth:`to_document` wrote."""
        sizes, starts = tuple(document["sizes"]), tuple(document["starts"])
        return cls(document["kind"], tuple(document["shape"]), document["dtype"], sizes, starts)
