"""Shared code of the peer scripts: job, clock, evaluation and answer.

Each script runs in the virtual environment of its peer, as `python -m benchmarks.peers.PEER`. It takes one argument, a
JSON document with the fields of `Job`, where ``work`` has the fields of `Workload`. Its last output line is its answer,
one JSON object.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

EVALUATION_SEED = 10_000_000  # episode k of an evaluation begins with reset(seed=EVALUATION_SEED + k)
EVALUATION_STEPS = 10_000  # limit for environments without their own, where a policy may never finish
TARGET_EPISODES = 20
TARGET_INTERVAL = 5_000  # environment steps between checks of the target


@dataclass(frozen=True)
class Workload:
    """The settings of a measurement, the same for every contender; names as in our settings."""

    environment: str
    algorithm: str
    num_envs: int
    num_steps: int
    update_epochs: int
    num_minibatches: int
    hidden_dim: int
    hidden_layers: int
    activation: str
    encoder: str
    learning_rate: float
    anneal_lr: bool
    gamma: float
    gae_lambda: float
    clip_coef: float | str
    ent_coef: float
    vf_coef: float
    max_grad_norm: float
    normalize_advantages: bool
    adam_epsilon: float
    shared_encoder: bool = False
    zoo: bool = False

    @property
    def batch_size(self) -> int:
        """Steps per rollout, over all environments."""
        return self.num_envs * self.num_steps

    @property
    def minibatch_size(self) -> int:
        """Steps per minibatch."""
        return self.batch_size // self.num_minibatches


@dataclass(frozen=True)
class Job:
    """A task on a workload.

    Attributes:
        task: "speed" measures the rate; "learn" trains and evaluates.
        threads: Number of threads that the peer may use.
        seed: Seed of the training.
        epochs: Number of rollouts, each followed by an update.
        episodes: Episodes of the final evaluation.
        target: Mean greedy return at which training stops; None trains to the end.
        work: The workload.
    """

    task: str
    threads: int
    seed: int
    epochs: int
    episodes: int
    target: float | None
    work: Workload

    @property
    def total_steps(self) -> int:
        """Environment steps of the whole training."""
        return self.epochs * self.work.batch_size


class Clock:
    """Measure the rate, without the first ``left_out`` rollouts (start-up)."""

    def __init__(self, left_out: int = 1) -> None:
        self.left_out = left_out
        self._begun = 0
        self._started = 0.0

    def rollout_begins(self) -> None:
        """Count a rollout; call this before each one."""
        if self._begun == self.left_out:
            self._started = time.perf_counter()
        self._begun += 1

    def answer(self, work: Workload) -> dict[str, Any]:
        """Return the rate; call this after the last update."""
        seconds = time.perf_counter() - self._started
        steps = (self._begun - self.left_out) * work.batch_size
        return {"rate": steps / seconds, "steps": steps}


def read_job() -> Job:
    """Read the job from the command line, and set the threads of PyTorch."""
    document = json.loads(sys.argv[1])
    job = Job(**document | {"work": Workload(**document["work"])})
    try:
        import torch
    except ImportError:
        return job
    torch.set_num_threads(job.threads)
    return job


def require(possible: bool, what: str) -> None:
    """Exit with an error answer unless the script supports this work."""
    if not possible:
        refuse(f"this script does not do {what}")


def refuse(why: str) -> NoReturn:
    """Print an error as the answer, and exit."""
    print(json.dumps({"error": why}))
    sys.exit(3)


def answer(**fields: Any) -> None:
    """Print the answer."""
    print(json.dumps(fields), flush=True)


def make_environment(name: str) -> Any:
    """Make an environment without the checker of Gymnasium, which takes time at every step."""
    import gymnasium as gym

    if name.startswith("MinAtar/") and name not in gym.registry:
        from minatar.gym import register_envs

        register_envs()
    return gym.make(name, disable_env_checker=True)


def greedy_return(act: Callable[[npt.NDArray[Any]], int], environment: str, episodes: int) -> float:
    """Return the mean return of a policy over new episodes, the same for every peer."""
    env = make_environment(environment)
    returns = []
    for episode in range(episodes):
        observation, _ = env.reset(seed=EVALUATION_SEED + episode)
        total = 0.0
        for _ in range(EVALUATION_STEPS):
            observation, reward, terminated, truncated, _ = env.step(act(observation))
            total += float(reward)
            if terminated or truncated:
                break
        returns.append(total)
    env.close()
    return float(np.mean(returns))
