"""How fast training is, side by side with Stable-Baselines3 and with the plain loop that the described job would be.

    python benchmarks/speed.py [ROUNDS]      # 3 rounds by default, about two minutes each

Every contender does the same work: same environment, networks, rollout, passes, minibatches. Each runs in a process of
its own; a round runs all of them one after the other, and a figure is the median over rounds. Ours writes its run
folder, log and checkpoints as it does by default. Start-up and the first epoch are left out, so compiling is, too.
Stable-Baselines3 and the plain loop run with 1 and with 2 threads, and the better one counts. Writes
docs/benchmarks.md.
"""

import json
import logging
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import psutil
import torch

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/benchmarks.md"

PPO = {
    "preset": "none",
    "algorithm": "ppo",
    "environment": "CartPole-v1",
    "num_envs": 8,
    "num_steps": 128,
    "update_epochs": 4,
    "num_minibatches": 4,
    "hidden_dim": 64,
    "learning_rate": 0.00025,
    "clip_coef": 0.2,
    "normalize_advantages": True,
    "ent_coef": 0.01,
    "adam_epsilon": 1e-5,
}
A2C = PPO | {
    "algorithm": "a2c",
    "num_steps": 5,
    "update_epochs": 1,
    "num_minibatches": 1,
    "clip_coef": "off",
    "normalize_advantages": False,
    "gae_lambda": 1.0,
}
MANY = PPO | {"num_envs": 64, "num_steps": 32, "num_minibatches": 8}


def ours(epochs: int, **settings: Any) -> float:
    """Environment steps per second of one of our runs, its records kept."""
    from actor_critic import Config, Trainer

    with tempfile.TemporaryDirectory() as folder:
        logging.getLogger("actor_critic").addHandler(logging.FileHandler(Path(folder) / "training.log"))
        logging.getLogger("actor_critic").setLevel(logging.INFO)
        trainer = Trainer(Config(**settings, num_epochs=epochs, seed=1), Path(folder) / "run")
        started, steps = 0.0, 0
        for report in trainer:
            if report.epoch == 1:
                started, steps = time.perf_counter(), report.env_steps
            elif report.epoch == epochs:
                return (report.env_steps - steps) / (time.perf_counter() - started)
    raise AssertionError("the run is shorter than two epochs")


def stable_baselines3(rollouts: int, **settings: Any) -> float:
    """The same of Stable-Baselines3."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import stable_baselines3 as sb3
        from stable_baselines3.common.callbacks import BaseCallback
        from stable_baselines3.common.vec_env import DummyVecEnv

        class Clock(BaseCallback):
            begun = 0
            started = 0.0

            def _on_step(self) -> bool:
                return True

            def _on_rollout_start(self) -> None:
                self.begun += 1
                if self.begun == 2:
                    self.started = time.perf_counter()

        count, steps = settings["num_envs"], settings["num_steps"]
        common = {
            "env": DummyVecEnv([lambda: gym.make(settings["environment"])] * count),
            "n_steps": steps,
            "learning_rate": settings["learning_rate"],
            "ent_coef": settings["ent_coef"],
            "policy_kwargs": {"net_arch": [settings["hidden_dim"]] * 2},
            "device": "cpu",
        }
        if settings["algorithm"] == "ppo":
            minibatch = count * steps // settings["num_minibatches"]
            model = sb3.PPO("MlpPolicy", batch_size=minibatch, n_epochs=settings["update_epochs"], **common)
        else:
            model = sb3.A2C("MlpPolicy", use_rms_prop=False, **common)
        clock = Clock()
        model.learn(rollouts * count * steps, callback=clock)
    return (rollouts - 1) * count * steps / (time.perf_counter() - clock.started)


def plain_loop(updates: int) -> float:
    """States per second of the described job as a plain PyTorch loop: batch 32, hidden 256, two networks, one Adam."""
    torch.manual_seed(1)

    def network(outputs: int) -> torch.nn.Module:
        layers = torch.nn.Linear(10, 256), torch.nn.Tanh(), torch.nn.Linear(256, 256), torch.nn.Tanh()
        return torch.nn.Sequential(*layers, torch.nn.Linear(256, outputs))

    policy, value = network(2), network(1)
    optimizer = torch.optim.Adam([*policy.parameters(), *value.parameters()], 1e-4)
    direction = torch.randn(10)
    started = 0.0
    for update in range(updates):
        if update == updates // 10:
            started = time.perf_counter()
        states = torch.randn(32, 10)
        distribution = torch.distributions.Categorical(logits=policy(states))
        actions = distribution.sample()
        rewards = torch.tanh((1 - 2 * actions) * (states @ direction))
        values = value(states).squeeze(-1)
        advantages = rewards - values.detach()
        loss = -(distribution.log_prob(actions) * advantages).mean() + 0.5 * (rewards - values).square().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*policy.parameters(), *value.parameters()], 0.5)
        optimizer.step()
        loss.item()
    return 32 * (updates - updates // 10) / (time.perf_counter() - started)


def environment_alone(steps: int) -> float:
    """Steps per second of CartPole itself, in one process, without any learning."""
    env = gym.make("CartPole-v1", disable_env_checker=True)
    actions = np.random.default_rng(0).integers(2, size=steps).tolist()
    env.reset(seed=0)
    started = time.perf_counter()
    for action in actions:
        _, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            env.reset()
    return steps / (time.perf_counter() - started)


# The works, and who does each: a name, how to run it, and the threads it may choose among. Ours comes first.
WORKS: dict[str, dict[str, tuple[Callable[[], float], tuple[int, ...]]]] = {
    "CartPole-v1, PPO, 8 x 128, 4 passes of 4 minibatches": {
        "ours": (lambda: ours(120, **PPO), (1,)),
        "ours, eager": (lambda: ours(40, **PPO, backend="eager"), (1,)),
        "Stable-Baselines3": (lambda: stable_baselines3(16, **PPO), (1, 2)),
        "the environment alone": (lambda: environment_alone(200_000), (1,)),
    },
    "CartPole-v1, A2C, 8 x 5": {
        "ours": (lambda: ours(1500, **A2C), (1,)),
        "ours, eager": (lambda: ours(800, **A2C, backend="eager"), (1,)),
        "Stable-Baselines3": (lambda: stable_baselines3(600, **A2C), (1, 2)),
    },
    "CartPole-v1, PPO, 64 x 32, 4 passes of 8 minibatches": {
        "ours, native vector form": (lambda: ours(100, **MANY, vectorization="native"), (1,)),
        "ours": (lambda: ours(60, **MANY), (1,)),
        "Stable-Baselines3": (lambda: stable_baselines3(12, **MANY), (1, 2)),
    },
    "the described job: random states, batch 32, hidden 256": {
        "ours": (lambda: ours(3000), (1,)),
        "ours, eager": (lambda: ours(1500, backend="eager"), (1,)),
        "plain PyTorch loop": (lambda: plain_loop(2000), (1, 2)),
    },
}


def _measure(work: str, who: str, threads: int) -> float:
    """One run in a process of its own."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, __file__, "--one", work, who, str(threads)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(result.stdout.splitlines()[-1])


def _table(rates: dict[tuple[str, str, int], list[float]]) -> list[str]:
    lines = ["| work | who | steps per second | ours is |", "|---|---|---|---|"]
    for work, contenders in WORKS.items():
        medians = {
            who: max(statistics.median(rates[work, who, threads]) for threads in choices)
            for who, (_, choices) in contenders.items()
        }
        first = next(iter(medians.values()))
        for index, (who, rate) in enumerate(medians.items()):
            ratio = "" if index == 0 else f"{first / rate:.2f} x"
            lines.append(f"| {work if index == 0 else ''} | {who} | {rate:,.0f} | {ratio} |")
    return lines


_PAGE = """# How fast training is

Environment steps collected and learned from per second, steady state: medians of {rounds} interleaved rounds in one run
of `python benchmarks/speed.py`, which does the same work with each contender and says how. Absolute figures are those
of one machine ({machine}); what carries over are the ratios.

{table}

Ours runs on the backend that `auto` picks, in one process on one thread, with log, metrics and checkpoints at their
defaults; Stable-Baselines3 and the plain loop at the better of 1 and 2 threads. Not measured yet: other libraries,
larger networks, worker processes, and time to a score.
"""


def main() -> None:
    """Run the rounds and write the page; or, with ``--one``, one contender."""
    if sys.argv[1:2] == ["--one"]:
        _, _, work, who, threads = sys.argv
        torch.set_num_threads(int(threads))
        print(WORKS[work][who][0]())
        return
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    rates: dict[tuple[str, str, int], list[float]] = {}
    for _ in range(rounds):
        for work, contenders in WORKS.items():
            for who, (_, choices) in contenders.items():
                for threads in choices:
                    rate = _measure(work, who, threads)
                    rates.setdefault((work, who, threads), []).append(rate)
                    print(json.dumps({"work": work, "who": who, "threads": threads, "rate": round(rate)}), flush=True)
    versions = f"Python {platform.python_version()}, PyTorch {torch.__version__.partition('+')[0]}"
    machine = f"{psutil.cpu_count()} cores, {platform.machine()}, {versions}"
    PAGE.write_text(_PAGE.format(rounds=rounds, machine=machine, table="\n".join(_table(rates))))
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
