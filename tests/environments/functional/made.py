"""Functional environments put together from parts: state types, spaces, masks and parameters of many kinds."""

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
}
ACTIONS: dict[str, gym.Space[Any]] = {
    "discrete": gym.spaces.Discrete(4, start=-1),
    "several": gym.spaces.MultiDiscrete([[3, 2]], start=[[1, -4]]),
    "binary": gym.spaces.MultiBinary(3),
}


@dataclass(frozen=True)
class Parts:
    """What an environment is made of."""

    state: str
    observation: str
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
    assert space.shape is not None
    count = int(np.prod(space.shape))
    return np.zeros(count, np.int64), np.full(count, 2, np.int64)


def make(parts: Parts) -> type[FunctionalEnvironment]:
    """Return an environment class that draws, counts and ends, and writes all of its space."""
    space, actions = OBSERVATIONS[parts.observation], ACTIONS[parts.action]
    low, span = _bounds(space)
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

    def observation(state: Any, out: Any, parameters: Any) -> None:
        flat = out.reshape(-1)
        for k in range(flat.size):
            value = int(state.count) * (k + 1) + int(state.a) + int(state.b.reshape(-1)[k % state.b.size])
            flat[k] = low[k] + value % span[k]

    def action_mask(state: Any, mask: Any, parameters: Any) -> None:
        place = 0
        for size in sizes:
            for k in range(size):
                mask[place + k] = (int(state.count) + k) % 3 != 0 or k == int(state.count) % size
            place += size

    members: dict[str, Any] = {
        "observation_space": space,
        "action_space": actions,
        "state": np.dtype(STATES[parts.state]),
        "parameters": {"gain": 1.0, "rate": 0.75, "end": 0.125, "table": [[1, 2], [3, 4]]},
        "initial": staticmethod(initial),
        "transition": staticmethod(transition),
        "observation": staticmethod(observation),
    }
    if parts.has_masks:
        members["action_mask"] = staticmethod(action_mask)
    return type("Made", (FunctionalEnvironment,), members)
