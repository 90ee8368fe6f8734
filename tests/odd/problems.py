"""The document of an odd environment: its spaces, return values, habits and fault.

The problem is always the same, and its best policy is known. Each step has a code. One part of the observation, the
signal, encodes it; all other parts are noise. Each choice of the action that fits the code earns an equal share of a
reward of 1, so the best return of an episode is its length.
"""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

Random = np.random.Generator
Node = dict[str, Any]
"""A space as a JSON object of one entry: {"Box": fields}, {"Tuple": [nodes]}, {"Dict": {name: node}} …"""


@dataclass(frozen=True)
class Box:
    """Numbers around ``middle``, at most ``spread`` away; the signal is below it or above it.

    Attributes:
        bounds: "close" (the values fill them), "far" (those of the dtype), "half" (only a lower bound) or "none".
        is_image: Whether the signal is the brightness of the whole array, not only its first number.
    """

    shape: list[int]
    dtype: str = "float32"
    middle: float = 0.0
    spread: float = 1.0
    bounds: str = "close"
    is_image: bool = False

    codes = 2

    def space(self) -> gym.Space[Any]:
        if self.dtype == "bool":
            return gym.spaces.Box(0, 1, tuple(self.shape), np.bool_)
        kind = np.dtype(self.dtype)
        if kind.kind == "f":
            low, high = {
                "close": (self.middle - self.spread, self.middle + self.spread),
                "far": (float(np.finfo(kind).min), float(np.finfo(kind).max)),
                "half": (self.middle - self.spread, math.inf),
                "none": (-math.inf, math.inf),
            }[self.bounds]
        elif self.bounds == "close":
            low, high = int(self.middle - self.spread), int(self.middle + self.spread)
        else:
            low, high = int(np.iinfo(kind).min), int(np.iinfo(kind).max)
        return gym.spaces.Box(low, high, tuple(self.shape), kind.type)

    def show(self, code: int | None, random: Random) -> npt.NDArray[Any]:
        away = random.uniform(-1, 1, self.shape)
        if code is not None:
            away.reshape(-1)[: None if self.is_image else 1] = (2 * code - 1) * random.uniform(0.6, 1)
        if self.dtype == "bool":
            return np.asarray(away > 0)
        numbers = self.middle + self.spread * away
        kind = np.dtype(self.dtype)
        return np.asarray(numbers if kind.kind == "f" else np.rint(numbers)).astype(kind)


@dataclass(frozen=True)
class Discrete:
    """A category; the signal is one of the first."""

    n: int
    start: int = 0
    dtype: str = "int64"

    @property
    def codes(self) -> int:
        return min(self.n, 3)

    def space(self) -> gym.Space[Any]:
        kind = np.dtype(self.dtype).type
        return gym.spaces.Discrete(self.n, start=self.start, dtype=kind)

    def show(self, code: int | None, random: Random) -> Any:
        drawn = random.integers(self.n)
        return np.dtype(self.dtype).type(self.start + (drawn if code is None else code))


@dataclass(frozen=True)
class MultiDiscrete:
    """Several categories; the signal is in the first."""

    sizes: Any  # a list, or a list of lists
    start: int = 0
    dtype: str = "int64"

    @property
    def codes(self) -> int:
        return min(int(np.ravel(self.sizes)[0]), 3)

    def space(self) -> gym.Space[Any]:
        start = np.full(np.shape(self.sizes), self.start)
        return gym.spaces.MultiDiscrete(np.array(self.sizes), dtype=np.dtype(self.dtype).type, start=start)

    def show(self, code: int | None, random: Random) -> npt.NDArray[Any]:
        drawn = random.integers(np.array(self.sizes))
        if code is not None:
            drawn.reshape(-1)[0] = code
        return (self.start + drawn).astype(self.dtype)


@dataclass(frozen=True)
class MultiBinary:
    """Bits; the signal is the first."""

    shape: list[int]

    codes = 2

    def space(self) -> gym.Space[Any]:
        return gym.spaces.MultiBinary(self.shape)

    def show(self, code: int | None, random: Random) -> npt.NDArray[Any]:
        drawn = random.integers(2, size=self.shape).astype(np.int8)
        if code is not None:
            drawn.reshape(-1)[0] = code
        return drawn


Leaf = Box | Discrete | MultiDiscrete | MultiBinary
LEAVES: dict[str, type[Any]] = {kind.__name__: kind for kind in (Box, Discrete, MultiDiscrete, MultiBinary)}


def leaf(part: Leaf) -> Node:
    """Return a part as a node."""
    return {type(part).__name__: asdict(part)}


def leaves_of(node: Node) -> Iterator[Leaf]:
    """Yield the parts of a space, in the space's own order."""
    ((kind, content),) = node.items()
    match kind:
        case "Dict":
            for name in sorted(content):  # as Gymnasium orders a dict that it is given
                yield from leaves_of(content[name])
        case "Tuple":
            for inner in content:
                yield from leaves_of(inner)
        case _:
            yield LEAVES[kind](**content)


def space_of(node: Node) -> gym.Space[Any]:
    """Return the Gymnasium space."""
    ((kind, content),) = node.items()
    match kind:
        case "Dict":
            return gym.spaces.Dict({name: space_of(inner) for name, inner in content.items()})
        case "Tuple":
            return gym.spaces.Tuple([space_of(inner) for inner in content])
        case _:
            return LEAVES[kind](**content).space()


def value_of(node: Node, values: Iterator[Any]) -> Any:
    """Build a nested value from the values of its parts, in the space's own order."""
    ((kind, content),) = node.items()
    match kind:
        case "Dict":
            shown = {name: value_of(content[name], values) for name in sorted(content)}
            return {name: shown[name] for name in content}
        case "Tuple":
            return tuple(value_of(inner, values) for inner in content)
        case _:
            return next(values)


def choices_of(node: Node, action: Any) -> list[int]:
    """Return the choices in an action, each counted from 0, in the space's own order."""
    ((kind, content),) = node.items()
    match kind:
        case "Dict":
            return [choice for name in sorted(content) for choice in choices_of(content[name], action[name])]
        case "Tuple":
            return [choice for inner, part in zip(content, action, strict=True) for choice in choices_of(inner, part)]
        case "MultiBinary":
            return [int(bit) for bit in np.ravel(action)]
        case _:
            return [int(number) - content["start"] for number in np.ravel(action)]


def sizes_of(node: Node) -> list[int]:
    """Return the number of choices in each group of an action."""
    sizes: list[int] = []
    for part in leaves_of(node):
        match part:
            case Discrete():
                sizes.append(part.n)
            case MultiDiscrete():
                sizes += np.ravel(part.sizes).tolist()
            case MultiBinary():
                sizes += [2] * math.prod(part.shape)
    return sizes


@dataclass(frozen=True)
class Odd:
    """One odd environment; :mod:`tests.odd.kinds` lists the values of its fields.

    Attributes:
        observation: Its space.
        signal: Which part of it shows the code.
        action: Its space.
        length: Steps of an episode.
        ending: How an episode ends.
        returns: Type of the parts of a returned observation.
        reward: Type of the reward.
        flags: Type of terminated and truncated.
        mask: Place of the mask of allowed choices; None for an environment without masks.
        mask_form: Type of the mask.
        habits: Side effects on the process, each with the call that causes it.
        unsupported: An unsupported space that replaces the observation or action space.
        fault: The exception or the broken return value.
        fault_call: The call with the fault.
        fault_after: Number of such calls before the fault, counted over all instances in a process.
        excludes_another: Whether a second instance cannot be made while one is open.
    """

    observation: Node
    action: Node
    signal: int = 0
    length: int = 4
    ending: str = "terminated"
    returns: str = "arrays of the space's dtype"
    reward: str = "a float"
    flags: str = "bool"
    mask: str | None = None
    mask_form: str = "an array of bool"
    habits: tuple[tuple[str, str], ...] = ()
    unsupported: str | None = None
    fault: str | None = None
    fault_call: str = "step"
    fault_after: int = 1
    excludes_another: bool = False

    @property
    def codes(self) -> int:
        """Return the number of codes."""
        return list(leaves_of(self.observation))[self.signal].codes

    def to_document(self) -> dict[str, Any]:
        """Return a JSON document."""
        return {**asdict(self), "habits": [list(habit) for habit in self.habits]}

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "Odd":
        return cls(**{**document, "habits": tuple((what, when) for what, when in document["habits"])})
