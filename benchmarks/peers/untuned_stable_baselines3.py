"""Stable-Baselines3 with its own defaults on one problem: A2C, PPO, or MaskablePPO or RecurrentPPO of sb3-contrib.

Runs in the peer's virtual environment as `python -m benchmarks.peers.untuned_stable_baselines3 ALGORITHM NAME SEED`.
"""

import json
import sys
import time
import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import torch

from benchmarks.learning.suite import PROBLEMS, make_environment
from benchmarks.peers.common import EVALUATION_SEED, EVALUATION_STEPS

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # warnings of the library during import
    from sb3_contrib import MaskablePPO, RecurrentPPO
    from stable_baselines3 import A2C, PPO
    from stable_baselines3.common.vec_env import DummyVecEnv


class Masking(gym.Wrapper[Any, Any, Any, Any]):
    """Gives the masks of an environment's ``info`` to MaskablePPO, which asks for them by a method."""

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        """Reset the environment, and keep the mask."""
        observation, info = self.env.reset(**kwargs)
        self._mask = info["action_mask"]
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step the environment, and keep the mask."""
        *others, info = self.env.step(action)
        self._mask = info["action_mask"]
        return (*others, info)  # type: ignore[return-value]

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """Return the mask of the next action."""
        return np.asarray(self._mask, bool)


def main() -> None:
    """Train and evaluate; print the result as JSON."""
    algorithm, name, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
    problem = next(problem for problem in PROBLEMS if problem.name == name)
    torch.set_num_threads(1)

    def make() -> Any:
        env = make_environment(problem, problem.wrappers)
        return Masking(env) if problem.has_masks else env

    started = time.perf_counter()
    kind, policy = {"ppo": PPO, "a2c": A2C}[algorithm], "MlpPolicy"
    if problem.has_masks:
        kind = MaskablePPO
    if problem.has_memory:
        kind, policy = RecurrentPPO, "MlpLstmPolicy"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        environments = DummyVecEnv([make] * (problem.num_envs or 8))
        model = kind(policy, environments, seed=seed, device="cpu")
        model.learn(problem.steps)
    seconds = time.perf_counter() - started
    scores = {}
    for mode in ("greedy", "sampled"):
        env, returns = make(), []
        for episode in range(problem.episodes):
            observation, _ = env.reset(seed=EVALUATION_SEED + episode)
            total, state = 0.0, None
            for step in range(EVALUATION_STEPS):
                masks = {"action_masks": env.action_masks()} if problem.has_masks else {}
                memory = {"state": state, "episode_start": np.array([step == 0])} if problem.has_memory else {}
                action, state = model.predict(observation, deterministic=mode == "greedy", **masks, **memory)
                observation, reward, terminated, truncated, _ = env.step(int(action))
                total += float(reward)
                if terminated or truncated:
                    break
            returns.append(total)
        scores[mode] = float(np.mean(returns))
    print(json.dumps({**scores, "seconds": seconds}))


if __name__ == "__main__":
    main()
