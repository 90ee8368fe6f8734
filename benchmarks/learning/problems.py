"""Environments and wrappers that only the benchmarks use."""

from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt


class TMaze(gym.Env[npt.NDArray[np.float32], int]):
    """A corridor that ends in a fork; a hint at the start shows the right turn (Bakker, 2001).

    An observation is (hint: +1, -1 or 0; 1 at the fork, else 0). Only the first observation shows the hint, and all
    places between the start and the fork look the same. Action 0 goes forward; actions 1 and 2 turn, which has an
    effect only at the fork. There, each turn ends the episode, and the right one earns 1. Without memory, the best mean
    return is 0.5.
    """

    observation_space = gym.spaces.Box(-1.0, 1.0, (2,))
    action_space = gym.spaces.Discrete(3)

    def __init__(self, length: int = 10) -> None:
        self._length = length

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
        """Return to the start, with a new hint."""
        super().reset(seed=seed)
        self._place = 0
        self._right_turn = int(self.np_random.integers(1, 3))
        return np.array([3 - 2 * self._right_turn, 0], np.float32), {}

    def step(self, action: int) -> tuple[npt.NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Go forward, or turn."""
        at_fork = self._place == self._length
        turned = at_fork and action != 0
        reward = float(turned and action == self._right_turn)
        if action == 0 and not at_fork:
            self._place += 1
        return np.array([0, self._place == self._length], np.float32), reward, turned, False, {}


class Corridor(gym.Env[npt.NDArray[np.float32], int]):
    """Thirty places in a row; the only reward, 1, is at the right end, and the episode ends there.

    The observation is the place, between 0 and 1. Action 0 goes left and action 1 goes right, but the wind turns one
    step of ten around.
    """

    observation_space = gym.spaces.Box(0.0, 1.0, (1,))
    action_space = gym.spaces.Discrete(2)
    places = 30

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
        """Return to the left end."""
        super().reset(seed=seed)
        self._place = 0
        return self._observe(), {}

    def step(self, action: int) -> tuple[npt.NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Go one place to the left or right."""
        goes_right = (action == 1) != (self.np_random.random() < 0.1)
        self._place = max(0, self._place + (1 if goes_right else -1))
        is_there = self._place == self.places - 1
        return self._observe(), float(is_there), is_there, False, {}

    def _observe(self) -> npt.NDArray[np.float32]:
        return np.array([self._place / (self.places - 1)], np.float32)


class Rewarded(gym.Env[npt.NDArray[np.float32], int]):
    """Twenty steps through random observations; what is rewarded depends on ``kind``.

    "none" never rewards, "constant" rewards 1 at every step, and "noise" rewards a random number from a normal
    distribution. No action changes anything.
    """

    observation_space = gym.spaces.Box(-np.inf, np.inf, (4,))
    action_space = gym.spaces.Discrete(3)

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
        """Begin an episode."""
        super().reset(seed=seed)
        self._steps = 0
        return self._observe(), {}

    def step(self, action: int) -> tuple[npt.NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Go on."""
        self._steps += 1
        reward = {"none": 0.0, "constant": 1.0, "noise": self.np_random.normal()}[self._kind]
        return self._observe(), float(reward), self._steps == 20, False, {}

    def _observe(self) -> npt.NDArray[np.float32]:
        return self.np_random.normal(size=4).astype(np.float32)


class Repeat(gym.Env[Any, np.int64]):
    """Repeat what the observation shows: 100 steps, each with a new choice and a reward of 1 for the same action.

    Some of the other actions are masked, each time others; in a share of the states, all of them. (As the identity
    environments that Stable-Baselines3 and its contrib package are tested with.)
    """

    def __init__(self, choices: int = 10, masked: int = 0, forced: float = 0.0) -> None:
        self.observation_space = self.action_space = gym.spaces.Discrete(choices)
        self._masked, self._forced = masked, forced

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        super().reset(seed=seed)
        self._steps = 0
        return self._next()

    def step(self, action: np.int64) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Reward a repetition, and show the next choice."""
        reward = float(action == self._shown)
        self._steps += 1
        observation, info = self._next()
        return observation, reward, False, self._steps == 100, info

    def _next(self) -> tuple[Any, dict[str, Any]]:
        choices = self.action_space.n  # type: ignore[attr-defined]
        self._shown = int(self.np_random.integers(choices))
        mask = np.ones(choices, np.int8)
        is_forced = self._forced and self.np_random.random() < self._forced
        masked = choices - 1 if is_forced else self._masked
        mask[self.np_random.permutation(np.delete(np.arange(choices), self._shown))[:masked]] = 0
        return self._shown, {"action_mask": mask} if self._masked else {}


class States(gym.Env[npt.NDArray[np.float32], int]):
    """One decision in a random state of ten numbers, each from a standard normal distribution; four actions.

    The reward is that of a fixed random model: "linear", action a pays (Us)_a, or "nonlinear", it pays (V tanh(Us))_a.
    """

    observation_space = gym.spaces.Box(-np.inf, np.inf, (10,))
    action_space = gym.spaces.Discrete(4)

    def __init__(self, rewards: str) -> None:
        weights = np.random.default_rng(0)
        hidden = {"linear": 4, "nonlinear": 32}[rewards]
        self._first = weights.normal(size=(hidden, 10)) / np.sqrt(10)
        self._second = weights.normal(size=(4, hidden)) / np.sqrt(hidden) if rewards == "nonlinear" else None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
        """Draw a state."""
        super().reset(seed=seed)
        self._state = self.np_random.normal(size=10)
        return self._state.astype(np.float32), {}

    def step(self, action: int) -> tuple[npt.NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Pay for an action; the episode ends."""
        return self._state.astype(np.float32), float(self.payments()[action]), True, False, {}

    def payments(self) -> npt.NDArray[np.float64]:
        """Return what each action pays in the present state."""
        scores = self._first @ self._state
        return scores if self._second is None else self._second @ np.tanh(scores)


class FarAway(gym.ObservationWrapper[npt.NDArray[np.float32], int, npt.NDArray[np.float32]]):
    """Show the observations of CartPole in the thousands, around 5,000."""

    def __init__(self) -> None:
        super().__init__(gym.make("CartPole-v1", disable_env_checker=True).unwrapped)
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (4,))

    def observation(self, observation: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Scale and shift an observation."""
        return (1000 * observation + 5000).astype(np.float32)


class Thousands(gym.RewardWrapper[npt.NDArray[np.float32], int]):
    """CartPole with rewards of 1,000."""

    def __init__(self) -> None:
        super().__init__(gym.make("CartPole-v1", disable_env_checker=True).unwrapped)

    def reward(self, reward: Any) -> float:
        """Scale a reward."""
        return 1000 * float(reward)


gym.register("TMaze-v0", TMaze, max_episode_steps=100)
gym.register("Repeat-v0", Repeat)
gym.register("States-v0", States)
gym.register("Rewarded-v0", Rewarded)
gym.register("Corridor-v0", Corridor, max_episode_steps=200)
gym.register("FarAway-v0", FarAway, max_episode_steps=500)
gym.register("Thousands-v0", Thousands, max_episode_steps=500)
