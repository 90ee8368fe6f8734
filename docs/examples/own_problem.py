"""Your own environment, with Dict observations (a map and a fuel gauge) and action masks, and your own encoder."""

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor, nn

from actor_critic import Config, Trainer, evaluate

MOVES = np.array([(-1, 0), (1, 0), (0, -1), (0, 1)])


class Courier(gym.Env[dict[str, Any], np.int64]):
    """Reach the parcel on a 5 x 5 map before the fuel runs out; moves off the map are masked."""

    observation_space = gym.spaces.Dict(
        {"map": gym.spaces.Box(0, 1, (5, 5, 2), np.uint8), "fuel": gym.spaces.Box(0.0, 1.0, (1,))}
    )
    action_space = gym.spaces.Discrete(4)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Place the courier and the parcel on different cells."""
        super().reset(seed=seed)
        cells = self.np_random.choice(25, 2, replace=False)
        self.courier, self.parcel = np.array(divmod(cells[0], 5)), np.array(divmod(cells[1], 5))
        self.fuel = 20
        return self._observe(), self._info()

    def step(self, action: np.int64) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Move by one cell."""
        self.courier = self.courier + MOVES[action]
        self.fuel -= 1
        is_there = bool((self.courier == self.parcel).all())
        return self._observe(), float(is_there) - 0.05, is_there or self.fuel == 0, False, self._info()

    def _observe(self) -> dict[str, Any]:
        seen = np.zeros((5, 5, 2), np.uint8)
        seen[(*self.courier, 0)] = seen[(*self.parcel, 1)] = 1
        return {"map": seen, "fuel": np.array([self.fuel / 20], np.float32)}

    def _info(self) -> dict[str, Any]:
        there = self.courier + MOVES
        return {"action_mask": ((there >= 0) & (there < 5)).all(1)}


class MapAndGauge(nn.Module):
    """A convolution over the map, concatenated with the fuel gauge."""

    def __init__(self, shapes: dict[str, tuple[int, ...]], *, filters: int = 16) -> None:
        super().__init__()
        channels, height, width = shapes["map"]  # images are channels-first
        self.map = nn.Sequential(nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU(), nn.Flatten())
        self.output_dim = filters * height * width + 1

    def forward(self, observation: dict[str, Tensor]) -> Tensor:
        """Return features [B, output_dim] for a dict of tensors [B, ...]."""
        return torch.cat([self.map(observation["map"]), observation["fuel"]], 1)


gym.register("Courier-v0", Courier)  # type: ignore[arg-type]


def main() -> None:
    """Train for 30,000 steps and print the mean return. The best possible return is 1 - 0.05 x the distance."""
    trainer = Trainer(
        Config(environment="Courier-v0", total_timesteps=30_000, learning_rate=0.002, seed=1), encoder=MapAndGauge
    )
    for report in trainer:
        if report.epoch % 10 == 0:
            print(report.epoch, report.mean_return)
    print("greedy", evaluate(trainer.agent).greedy.mean)


if __name__ == "__main__":
    main()
