"""Environments that do what none should: each kind of fault comes in the third step of an episode, or in a reset
with every fourth seed.
"""

import ctypes
import os
import time
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

NAN, INF = float("nan"), float("inf")

# Kinds that replace one of the five things that a step returns: observation, reward, terminated, truncated, info.
RETURNED: dict[str, tuple[int, Any]] = {
    "observation of nan": (0, np.array([0, NAN, 0], np.float32)),
    "observation of inf": (0, np.array([0, INF, 0], np.float32)),
    "observation of -inf": (0, np.array([0, -INF, 0], np.float32)),
    "observation beyond float32": (0, np.array([0, 1e300, 0])),
    "observation too short": (0, np.zeros(2, np.float32)),
    "observation of two dimensions": (0, np.zeros((1, 3), np.float32)),
    "observation None": (0, None),
    "observation of text": (0, "abc"),
    "observation complex": (0, np.zeros(3, np.complex64)),
    "observation of objects": (0, np.array([None, {}, []], object)),
    "observation ragged": (0, [[0.0], [0.0, 1.0], 2.0]),
    "observation a dict": (0, {"position": np.zeros(3, np.float32)}),
    "reward nan": (1, NAN),
    "reward inf": (1, INF),
    "reward -inf": (1, -INF),
    "reward beyond float32": (1, 1e300),
    "reward beyond float64": (1, 10**400),
    "reward None": (1, None),
    "reward of text": (1, "1.5"),
    "reward of two numbers": (1, np.ones(2)),
    "reward complex": (1, 1j),
    "terminated of text": (2, "no"),
    "terminated of two flags": (2, np.array([False, True])),
    "terminated 2": (2, 2),
    "truncated None": (3, None),
    "info None": (4, None),
    "info a list": (4, ["action_mask"]),
    "mask too long": (4, {"action_mask": np.ones(5, np.int8)}),
    "mask of nothing": (4, {"action_mask": np.zeros(2, np.int8)}),
    "mask of twos": (4, {"action_mask": np.full(2, 2)}),
    "mask of text": (4, {"action_mask": "01"}),
}
WHOLE: dict[str, Any] = {
    "four values": (np.zeros(3, np.float32), 1.0, False, {}),
    "six values": (np.zeros(3, np.float32), 1.0, False, False, {}, None),
    "the observation alone": np.zeros(3, np.float32),
    "nothing": None,
}
RAISED: dict[str, BaseException] = {
    "an error": RuntimeError("the simulator crashed"),
    "StopIteration": StopIteration(),
    "SystemExit": SystemExit(0),
    "MemoryError": MemoryError(),
}
RESET: dict[str, Any] = {
    "reset to the observation alone": np.zeros(3, np.float32),
    "reset to three values": (np.zeros(3, np.float32), {}, {}),
    "reset to nan": (np.full(3, NAN, np.float32), {}),
    "reset to nothing": None,
    "reset with an info of text": (np.zeros(3, np.float32), "info"),
}
KINDS = [*RETURNED, *WHOLE, *RAISED, *RESET, "an error in reset", "a final observation of nan"]


class Walk(gym.Env[Any, int]):
    """A random walk of five steps, drawn from its seed."""

    observation_space = gym.spaces.Box(-100.0, 100.0, (3,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self) -> None:
        self._position = np.zeros(3, np.float32)
        self.steps = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.steps = 0
        self._position = self.np_random.normal(size=3).astype(np.float32)
        return self._position.copy(), {}

    def step(self, action: int) -> Any:
        self.steps += 1
        self._position += (2 * action - 1) * self.np_random.normal(size=3).astype(np.float32)
        return self._position.copy(), float(self._position[0]), self.steps == 5, False, {}


class Bad(Walk):
    """A walk with a fault of some kind."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self._kind = kind

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        returned = super().reset(seed=seed)
        is_bad = seed is not None and seed % 4 == 1
        if is_bad and self._kind == "an error in reset":
            raise RuntimeError("the simulator crashed")
        return RESET.get(self._kind, returned) if is_bad else returned

    def step(self, action: int) -> Any:
        returned = list(super().step(action))
        if self.steps == 3 and self._kind in RETURNED:
            place, value = RETURNED[self._kind]
            returned[place] = value
        if self.steps == 3 and self._kind in WHOLE:
            return WHOLE[self._kind]
        if self.steps == 3 and self._kind in RAISED:
            raise RAISED[self._kind]
        if self.steps == 5 and self._kind == "a final observation of nan":
            returned[0] = np.full(3, NAN, np.float32)
        return tuple(returned)


class Reused(Walk):
    """A walk that shows one and the same array all the time, and spoils it when it is asked for more."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        observation, info = super().reset(seed=seed)
        self._shown = observation
        return self._shown, info

    def step(self, action: int) -> Any:
        self._shown[:] = NAN
        observation, *rest = super().step(action)
        self._shown[:] = observation
        return self._shown, *rest


class Dies(Walk):
    """A walk whose process dies or hangs in some step: once, and a file then says that it did; or again and again."""

    def __init__(self, how: str, after: int, marker: str | None = None) -> None:
        super().__init__()
        self._how, self._after, self._marker = how, after, marker
        self._taken = 0

    def step(self, action: int) -> Any:
        self._taken += 1
        if self._taken == self._after and not (self._marker and Path(self._marker).exists()):
            if self._marker:
                Path(self._marker).touch()
            match self._how:
                case "segfault":
                    ctypes.string_at(0)
                case "exit":
                    os._exit(7)
                case "abort":
                    os.abort()
                case "hang":
                    time.sleep(3600)
        return super().step(action)


class Boxed(Walk):
    """A walk whose rewards and ends come as arrays of one."""

    def step(self, action: int) -> Any:
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, np.array([reward]), np.bool_(terminated), int(truncated), info


class Sticky(Walk):
    """A walk that begins with the last action of the episode before, which no seed can tell."""

    def __init__(self) -> None:
        super().__init__()
        self._last = 0

    def step(self, action: int) -> Any:
        self._last, action = action, self._last if self.steps == 0 else action
        return super().step(action)


class Unseeded(Walk):
    """A walk that draws from a generator nobody seeds."""

    drawn = np.random.default_rng()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self._position = self.drawn.normal(size=3).astype(np.float32)
        return self._position.copy(), {}


class Changed(Walk):
    """A walk whose steps a later version of it makes longer."""

    scale = 1.0

    def step(self, action: int) -> Any:
        observation, *rest = super().step(action)
        return self.scale * observation, *rest


class Tile(Walk):
    """A walk whose place is told by a whole number, rounded to tiles of some size."""

    observation_space = gym.spaces.Discrete(1000)  # type: ignore[assignment]
    size = 0.01

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        observation, info = super().reset(seed=seed)
        return self._tile(observation), info

    def step(self, action: int) -> Any:
        observation, _, *rest = super().step(action)
        return self._tile(observation), 0.0, *rest

    def _tile(self, observation: Any) -> int:
        return int(np.clip(500 + observation[0] / self.size, 0, 999))


for made in (Walk, Bad, Reused, Dies, Sticky, Unseeded, Changed, Tile, Boxed):
    gym.register(f"{made.__name__}-v0", made)
