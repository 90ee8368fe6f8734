# %% [markdown]
# # An environment and a reward function of your own
#
# A greenhouse: the heating can be off, low or high. The environment knows the physics, and a plain function says what
# is wanted. Both are defined here and passed as they are.

# %%
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from actor_critic import Config, evaluate, train

Array = npt.NDArray[np.float32]


class Greenhouse(gym.Env[Array, np.int64]):
    """A day in a greenhouse: 48 steps of half an hour."""

    observation_space = gym.spaces.Box(-50.0, 50.0, (3,), np.float32)  # inside, outside, hour
    action_space = gym.spaces.Discrete(3)  # heating off, low, high

    def __init__(self, leak: float = 0.15) -> None:
        self.leak = leak

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        super().reset(seed=seed)
        self.time = 0
        self.mean = self.np_random.uniform(-5, 15)
        self.inside = self.np_random.uniform(5, 30)
        return self._observe(), {}

    def step(self, action: np.int64) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        self.inside += self.leak * (self._outside() - self.inside) + 2.0 * float(action)
        self.time += 1
        return self._observe(), 0.0, False, self.time == 48, {}  # the rewards come from the function below

    def _outside(self) -> float:
        return float(self.mean - 6 * np.cos(2 * np.pi * self.time / 48))

    def _observe(self) -> Array:
        return np.array([self.inside, self._outside(), self.time / 2], np.float32)


def comfort(states: Array, actions: npt.NDArray[np.int64], next_states: Array) -> Array:
    """Pay for warmth near 21 degrees, and charge for heating. It is called with many transitions at once."""
    return np.exp(-np.square((next_states[:, 0] - 21) / 3)) - 0.05 * actions


# %% [markdown]
# One call trains, and shows its progress. `history()` has the metrics of every epoch.

# %%
run = train(Config(total_timesteps=200_000, seed=1), environment=Greenhouse, reward_model=comfort)
print(run)

# %%
best = evaluate(run.agent, episodes=50).modes["greedy"]
assert best.model_returns is not None
print(f"greedy {best.model_returns.mean:.1f} of 48")

# %% [markdown]
# What the policy does on a cold day at noon, by the temperature inside:

# %%
for inside in (10, 18, 20, 22, 26):
    chances = run.agent.probabilities(np.array([inside, 0.0, 12.0], np.float32))
    print(f"{inside} degrees: off {chances[0]:.2f}, low {chances[1]:.2f}, high {chances[2]:.2f}")

# %% [markdown]
# The learning curve, with Matplotlib:

# %%
import matplotlib.pyplot as plt  # noqa: E402

history = run.history()
figure, axes = plt.subplots(figsize=(6, 3))
axes.plot(history["env_steps"], history["mean_model_return"])
axes.set_xlabel("environment steps")
axes.set_ylabel("comfort in training")
figure.tight_layout()
figure.savefig("greenhouse.png")
