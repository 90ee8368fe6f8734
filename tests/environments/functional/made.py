"""Functional environments put together from parts: state types, spaces, masks and parameters of many kinds."""

import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from actor_critic.environments.functional import FunctionalEnvironment

STATES: dict[str, Any] = {
    "floats": [("a", np.float64), ("b", np.float64, (2, 2)), ("count", np.int64)],
    "mixed": [("flag", np.bool_), ("a", np.float32), ("b", np.int8, (3,)), ("count", np.uint16), ("c", np.uint8)],
    "integers": [("count", np.int32), ("a", np.int16), ("b", np.uint64, (2,))],
    "one": [("count", np.int64), ("a", np.float64), ("b", np.uint8, (1,))],
}
OBSERVATIONS: dict[str, gym.Space[Any]] = {
    "box": gym.spaces.Box(-8.0, 8.0, (3,)),
    "matrix": gym.spaces.Box(-8.0, 8.0, (2, 3), np.float64),
    "grid": gym.spaces.Box(0, 90, (4, 5, 2), np.uint8),
    "board": gym.spaces.Box(-1, 8, (4, 5, 2), np.int8),
    "bytes": gym.spaces.Box(0, 255, (4, 5, 2), np.uint8),
    "channels first": gym.spaces.Box(0, 200, (3, 36, 36), np.uint8),
    "picture": gym.spaces.Box(0.0, 1.0, (37, 36), np.float32),
    "small": gym.spaces.Box(-100, 100, (4,), np.int16),
    "flags": gym.spaces.Box(0, 1, (3,), np.bool_),
    "discrete": gym.spaces.Discrete(5, start=-2),
    "several": gym.spaces.MultiDiscrete([[3, 2], [4, 7]], start=[[0, 5], [-3, 1]]),
    "binary": gym.spaces.MultiBinary((2, 2)),
    "number": gym.spaces.Box(-8.0, 8.0, ()),
    "flag": gym.spaces.Box(0, 1, (), np.bool_),
    "large": gym.spaces.Box(0, 2**40, (2,), np.uint64),
}
PARTS = tuple(name for name in OBSERVATIONS if name != "flags")  # a record cannot have an array of bool
Tree = str | tuple[tuple[str, Any], ...]
"""An observation space: a name in ``OBSERVATIONS``, or the parts of a Dict; of a Tuple if their keys are "0", "1", …"""

DEEP: Tree = (
    ("image", "bytes"),
    ("inner", (("0", "discrete"), ("1", (("a key", "several"), ("board", "board"), ("size", "matrix"))), ("2", "box"))),
    ("on", "flag"),
    ("speed", "number"),
)
ACTIONS: dict[str, gym.Space[Any]] = {
    "discrete": gym.spaces.Discrete(4, start=-1),
    "several": gym.spaces.MultiDiscrete([[3, 2]], start=[[1, -4]]),
    "binary": gym.spaces.MultiBinary(3),
}


@dataclass(frozen=True)
class Parts:
    """What an environment is made of."""

    state: str
    observation: Tree
    action: str
    has_masks: bool


def _bounds(space: gym.Space[Any]) -> tuple[Any, Any]:
    """Return the lowest value and the number of values of each entry of an observation."""
    match space:
        case gym.spaces.Discrete():
            return np.array([space.start], np.int64), np.array([space.n], np.int64)
        case gym.spaces.MultiDiscrete():
            return space.start.reshape(-1).astype(np.int64), space.nvec.reshape(-1).astype(np.int64)
        case gym.spaces.Box():
            low, high = (bound.reshape(-1).astype(np.int64) for bound in (space.low, space.high))
            return low, high - low + 1
    assert isinstance(space, gym.spaces.MultiBinary)
    count = int(np.prod(space.shape))
    return np.zeros(count, np.int64), np.full(count, 2, np.int64)


def space_of(tree: Tree) -> gym.Space[Any]:
    """Return the space that a tree describes."""
    if isinstance(tree, str):
        return OBSERVATIONS[tree]
    if tree[0][0] == "0":
        return gym.spaces.Tuple([space_of(inner) for _, inner in tree])
    return gym.spaces.Dict([(key, space_of(inner)) for key, inner in tree])


def _leaves(tree: Tree, place: str = "out") -> Iterator[tuple[str, gym.Space[Any]]]:
    """Yield how a function names each part of an observation, and its space."""
    if isinstance(tree, str):
        yield place, OBSERVATIONS[tree]
        return
    for key, inner in tree:
        index = f"[{key}]" if key.isdigit() else f".{key}" if key in ("image", "inner", "speed") else f'["{key}"]'
        yield from _leaves(inner, place + index)


def _observation(tree: Tree) -> Any:
    """Return a function that writes all parts of an observation, each with a line or two of its own."""
    lines = ["def observation(state, out, parameters):"]
    scope: dict[str, Any] = {"__name__": __name__}
    for number, (place, space) in enumerate(_leaves(tree)):
        scope[f"low_{number}"], scope[f"span_{number}"] = _bounds(space)
        drawn = f"int(state.count) * (k + {number + 1}) + int(state.a) + int(state.b.reshape(-1)[k % state.b.size])"
        value = f"low_{number}[k] + ({drawn}) % span_{number}[k]"
        if place == "out" or space.shape:
            lines += [f"    flat = {place}.reshape(-1)", "    for k in range(flat.size):", f"        flat[k] = {value}"]
        else:
            lines += ["    k = 0", f"    {place} = {value}"]
    exec("\n".join(lines), scope)
    found: types.FunctionType = scope["observation"]
    return found


def make(parts: Parts) -> type[FunctionalEnvironment]:
    """Return an environment class that draws, counts and ends, and writes all of its space."""
    actions = ACTIONS[parts.action]
    is_one = isinstance(actions, gym.spaces.Discrete)
    sizes = (4,) if is_one else (3, 2) if parts.action == "several" else (2, 2, 2)

    def initial(state: Any, random: Any, parameters: Any) -> None:
        state.count = random.integers(0, 20)
        state.a = random.integers(-3, 4) * parameters.gain
        for k in range(state.b.size):
            state.b.reshape(-1)[k] = random.integers(0, 2)

    def of_one(action: Any) -> int:
        return action

    def of_several(action: Any) -> int:
        total = 0
        for k in range(action.size):
            total += (k + 1) * action.reshape(-1)[k]
        return total

    pressed = of_one if is_one else of_several

    def transition(state: Any, action: Any, random: Any, parameters: Any) -> tuple[float, bool]:
        number = pressed(action)
        state.count = int(state.count) + 1
        chance = random.uniform()
        if chance < 0.25:
            state.a = random.integers(-3, 4)
            state.b.reshape(-1)[random.integers(0, state.b.size)] = number % 2
        elif chance < 0.5:
            state.a = min(3, random.poisson(parameters.rate))
        return number * 0.25 + float(state.a), random.uniform() < parameters.end

    def action_mask(state: Any, mask: Any, parameters: Any) -> None:
        place = 0
        for size in sizes:
            for k in range(size):
                mask[place + k] = (int(state.count) + k) % 3 != 0 or k == int(state.count) % size
            place += size

    members: dict[str, Any] = {
        "observation_space": space_of(parts.observation),
        "action_space": actions,
        "state": np.dtype(STATES[parts.state]),
        "parameters": {"gain": 1.0, "rate": 0.75, "end": 0.125, "table": [[1, 2], [3, 4]]},
        "initial": staticmethod(initial),
        "transition": staticmethod(transition),
        "observation": staticmethod(_observation(parts.observation)),
    }
    if parts.has_masks:
        members["action_mask"] = staticmethod(action_mask)
    return type("Made", (FunctionalEnvironment,), members)
