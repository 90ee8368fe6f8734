# %% [markdown]
# # A game with masked moves and a curriculum
#
# Nim: three heaps of 2, 3 and 4 matches. A move takes any number from one heap; who takes the last match wins. Moves
# that are not possible are masked. The opponent plays perfectly with probability `skill`, which grows as the agent
# wins.

# %%
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from actor_critic import Config, Trainer, evaluate

Array = npt.NDArray[np.int64]

HEAPS = (2, 3, 4)
MOVES = [(heap, count) for heap, size in enumerate(HEAPS) for count in range(1, size + 1)]


class Nim(gym.Env[Array, np.int64]):
    """Nim against an opponent; a win pays 1, a loss -1."""

    observation_space = gym.spaces.MultiDiscrete([size + 1 for size in HEAPS])
    action_space = gym.spaces.Discrete(len(MOVES))

    def __init__(self, skill: float = 0.0) -> None:
        self.skill = skill

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        super().reset(seed=seed)
        self.heaps = np.array(HEAPS)
        return self.heaps.copy(), {"action_mask": self._possible()}

    def step(self, action: np.int64) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        for player, reward in ((action, 1.0), (None, -1.0)):
            heap, count = MOVES[self._answer() if player is None else int(player)]
            self.heaps[heap] -= count
            if not self.heaps.any():
                return self.heaps.copy(), reward, True, False, {"action_mask": self._possible()}
        return self.heaps.copy(), 0.0, False, False, {"action_mask": self._possible()}

    def _possible(self) -> npt.NDArray[np.bool_]:
        return np.array([count <= self.heaps[heap] for heap, count in MOVES])

    def _answer(self) -> int:
        """Return the opponent's move: one that leaves a nim-sum of 0, or a random one."""
        possible = np.flatnonzero(self._possible())
        if self.np_random.random() < self.skill:
            for move in possible:
                heap, count = MOVES[move]
                left = self.heaps.copy()
                left[heap] -= count
                if np.bitwise_xor.reduce(left) == 0:
                    return int(move)
        return int(self.np_random.choice(possible))


# %% [markdown]
# `trainer.change` sets an attribute (or calls a method) of every environment before its next episode. The run records
# it, so that resuming and verifying repeat it. `trainer.log` adds a number to the history. Evaluations always play
# against the perfect opponent.

# %%
config = Config(total_timesteps=150_000, seed=2, evaluation_environment_kwargs={"skill": 1.0})
trainer = Trainer(config, environment=Nim)
skill = 0.0
for report in trainer:
    trainer.log("skill", skill)
    if skill < 1 and report.mean_return is not None and report.mean_return > 0.5:
        skill = round(skill + 0.25, 2)
        trainer.change(environment={"skill": skill})
        print(f"epoch {report.epoch}: return {report.mean_return:.2f}, skill {skill}")

# %% [markdown]
# From 2, 3, 4 the first player can always win, with a first move that leaves a nim-sum of 0: 3 from the heap of 4.

# %%
print(f"won {evaluate(trainer.agent, episodes=200).greedy.mean / 2 + 0.5:.0%} against the perfect opponent")
observation, info = Nim().reset(seed=0)
chances = trainer.agent.probabilities(observation, action_mask=info["action_mask"])
heap, count = MOVES[int(chances.argmax())]
print(f"first move: {count} from the heap of {HEAPS[heap]}, probability {chances.max():.2f}")
