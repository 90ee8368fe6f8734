"""Stable-Baselines3: PPO and A2C, set up as in the documentation of the library."""

import time
import warnings
from importlib import metadata
from typing import Any

import gymnasium as gym
from torch import Tensor, nn

from benchmarks.peers.common import (
    TARGET_EPISODES,
    TARGET_INTERVAL,
    Clock,
    Job,
    Workload,
    answer,
    greedy_return,
    make_environment,
    read_job,
    require,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # warnings of the library during import
    from stable_baselines3 import A2C, PPO
    from stable_baselines3.common.base_class import BaseAlgorithm
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
    from stable_baselines3.common.vec_env import DummyVecEnv

ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU}
ZOO_STEPS = 100_000
ZOO = {  # PPO settings of the RL Zoo for CartPole-v1; defaults of the library otherwise
    "n_steps": 32,
    "batch_size": 256,
    "n_epochs": 20,
    "gae_lambda": 0.8,
    "gamma": 0.98,
    "ent_coef": 0.0,
    "learning_rate": lambda left: 0.001 * left,
    "clip_range": lambda left: 0.2 * left,
}


class SmallCnn(BaseFeaturesExtractor):
    """The small CNN and the hidden layer after it, for channels-last images."""

    def __init__(self, observation_space: gym.spaces.Box, hidden_dim: int) -> None:
        super().__init__(observation_space, hidden_dim)
        height, width, channels = observation_space.shape
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 16, 3, 1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(16 * (height - 2) * (width - 2), hidden_dim),
            nn.ReLU(),
        )

    def forward(self, observations: Tensor) -> Tensor:
        """Return [B, hidden_dim] for images [B, H, W, C]."""
        encoded: Tensor = self.layers(observations.permute(0, 3, 1, 2))
        return encoded


class Watch(BaseCallback):
    """Notify the clock when a rollout begins, and stop once the target is reached."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.clock = Clock()
        self.reached_after: tuple[int, float] | None = None  # steps, seconds
        self._job = job
        self._started = time.perf_counter()
        self._next = TARGET_INTERVAL

    def look(self) -> None:
        """Evaluate the policy if there is a target and an evaluation is due."""
        if self._job.target is None or self.num_timesteps < self._next:
            return
        self._next = self.num_timesteps + TARGET_INTERVAL
        if self._job.target <= evaluate(self.model, self._job, TARGET_EPISODES):
            self.reached_after = self.num_timesteps, time.perf_counter() - self._started

    def _on_rollout_start(self) -> None:
        self.clock.rollout_begins()
        self.look()

    def _on_step(self) -> bool:
        return self.reached_after is None


def make_model(job: Job) -> BaseAlgorithm:
    """Make the algorithm, with its environments in one process."""
    work = job.work
    env = DummyVecEnv([lambda: make_environment(work.environment)] * work.num_envs)
    if work.zoo:
        require(work.environment == "CartPole-v1" and work.num_envs == 8, "zoo but on CartPole-v1, 8 environments")
        return PPO("MlpPolicy", env, seed=job.seed, device="cpu", **ZOO)
    common: dict[str, Any] = {
        "learning_rate": lambda left: work.learning_rate * (left if work.anneal_lr else 1.0),
        "n_steps": work.num_steps,
        "gamma": work.gamma,
        "gae_lambda": work.gae_lambda,
        "ent_coef": work.ent_coef,
        "vf_coef": work.vf_coef / 2,  # its value loss lacks the factor ½
        "max_grad_norm": work.max_grad_norm,
        "normalize_advantage": work.normalize_advantages,
        "policy_kwargs": policy(work) | {"optimizer_kwargs": {"eps": work.adam_epsilon}},
        "seed": job.seed,
        "device": "cpu",
    }
    if work.algorithm == "a2c":
        return A2C("MlpPolicy", env, use_rms_prop=False, **common)
    ppo = {"batch_size": work.minibatch_size, "n_epochs": work.update_epochs, "clip_range": work.clip_coef}
    return PPO("MlpPolicy", env, **ppo, **common)


def policy(work: Workload) -> dict[str, Any]:
    """Return the policy arguments for networks of the requested size."""
    if work.encoder == "mlp":
        sizes = [work.hidden_dim] * work.hidden_layers
        return {"net_arch": {"pi": sizes, "vf": sizes}, "activation_fn": ACTIVATIONS[work.activation]}
    known = (work.encoder, work.hidden_layers, work.activation) == ("small_cnn", 1, "relu")
    require(known, "an encoder other than small_cnn with one hidden layer of ReLU")
    return {
        "features_extractor_class": SmallCnn,
        "features_extractor_kwargs": {"hidden_dim": work.hidden_dim},
        "share_features_extractor": work.shared_encoder,
        "net_arch": [],
    }


def evaluate(model: BaseAlgorithm, job: Job, episodes: int) -> float:
    """Return the mean greedy return."""
    return greedy_return(lambda seen: int(model.predict(seen, deterministic=True)[0]), job.work.environment, episodes)


def main() -> None:
    """Train, and print the answer."""
    job = read_job()
    model = make_model(job)
    watch = Watch(job)
    started = time.perf_counter()
    model.learn(ZOO_STEPS if job.work.zoo else job.total_steps, callback=watch)
    version = metadata.version("stable_baselines3")
    if job.task == "speed":
        measured = watch.clock.answer(job.work)
        answer(**measured, version=version, vectorization="DummyVecEnv, one process", notes="")
        return
    seconds = time.perf_counter() - started
    fields: dict[str, Any] = {}
    if job.target is not None:
        if watch.reached_after is None:
            watch.look()
        steps, seconds = watch.reached_after or (model.num_timesteps, time.perf_counter() - started)
        fields = {"reached": watch.reached_after is not None, "steps": steps}
    score = evaluate(model, job, job.episodes)
    answer(**{"return": score}, seconds=seconds, version=version, **fields)


if __name__ == "__main__":
    main()
