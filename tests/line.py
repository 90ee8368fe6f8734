"""An environment, wrappers, a reward function and an encoder as a user defines them in a script or a notebook."""

from typing import Any

import gymnasium as gym
import numpy as np
import torch


class Line(gym.Env):
    """Walk on a line; the position is the reward, and an episode takes ``length`` steps."""

    observation_space = gym.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, length: int = 8) -> None:
        self.length, self.start = length, 0.0

    def begin_at(self, start: float) -> None:
        self.start = float(start)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.time, self.place = 0, self.start + self.np_random.uniform(-0.5, 0.5)
        return self._observe(), {}

    def step(self, action: int) -> Any:
        self.time += 1
        self.place = float(np.clip(self.place + (0.1 if action else -0.1), -1, 1))
        return self._observe(), self.place, False, self.time >= self.length, {}

    def _observe(self) -> Any:
        return np.array([self.place, self.time / self.length], np.float32).clip(-1, 1)


class Scaled(gym.RewardWrapper):
    def __init__(self, env: gym.Env, by: float = 2.0) -> None:
        super().__init__(env)
        self.by = by

    def reward(self, reward: Any) -> Any:
        return reward * self.by


def bonus(states: np.ndarray, actions: np.ndarray) -> np.ndarray:
    return np.where(actions == 1, 1.0, 0.0) + states[:, 0]


class Small(torch.nn.Module):
    def __init__(self, shape: Any) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(shape[0], 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x).tanh()


OBJECTS: dict[str, Any] = {
    "environment": Line,
    "wrappers": [(Scaled, {"by": 3.0}), lambda env: gym.wrappers.ClipReward(env, -2, 2)],
    "reward_model": bonus,
    "encoder": Small,
}
RUN: dict[str, Any] = {"num_envs": 4, "batch_size": 128, "num_epochs": 4, "seed": 1, "evaluation_episodes": 4}
