"""Our side of a measurement, with the same input and output as the modules in benchmarks/peers.

Besides "speed" and "learn", it measures two baselines: the environment alone, and a plain PyTorch loop.
"""

import json
import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

EVALUATION_SEED = 10_000_000
TARGET_INTERVAL, TARGET_EPISODES = 5_000, 20


def _trainer(job: dict[str, Any], folder: Path) -> Any:
    """Make a run with log, metrics and checkpoints at their defaults."""
    from actor_critic import Config, Trainer

    logging.getLogger("actor_critic").addHandler(logging.FileHandler(folder / "training.log"))
    logging.getLogger("actor_critic").setLevel(logging.INFO)
    settings = {"preset": "none"} | job["work"] if job["work"] else {}
    if job["work"].get("zoo"):  # our best settings, which are the general defaults
        settings = {"environment": job["work"]["environment"]}
    settings["num_epochs" if job["epochs"] else "total_timesteps"] = job["epochs"] or 100_000
    return Trainer(Config(**settings | job["settings"], seed=job["seed"]), folder / "run")


def speed(job: dict[str, Any]) -> dict[str, Any]:
    """Measure steps per second without the first epoch."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = _trainer(job, Path(folder))
        started, steps = 0.0, 0
        for report in trainer:
            if report.epoch == 1:
                started, steps = time.perf_counter(), report.env_steps
            elif report.epoch == job["epochs"]:
                seconds = time.perf_counter() - started
                settings = trainer.settings
                how = f"{settings.vectorization}, {settings.workers} process" + "es" * (settings.workers > 1)
                return {"rate": (report.env_steps - steps) / seconds, "vectorization": how}
    raise AssertionError("the run is shorter than two epochs")


def learn(job: dict[str, Any]) -> dict[str, Any]:
    """Return the mean greedy return of the last weights; or, with a target, the time to reach it."""
    import gymnasium as gym

    with tempfile.TemporaryDirectory() as folder:
        trainer = _trainer(job, Path(folder))
        from actor_critic.environments import EnvironmentMaker

        make = EnvironmentMaker(trainer.settings)

        def greedy(episodes: int) -> float:
            env: gym.Env[Any, Any] = make()
            total = 0.0
            for episode in range(episodes):
                observation, _ = env.reset(seed=EVALUATION_SEED + episode)
                ended = False
                while not ended:
                    action = trainer.agent.act(observation, deterministic=True)
                    observation, reward, terminated, truncated, _ = env.step(action)
                    total += float(reward)
                    ended = terminated or truncated
            env.close()
            return total / episodes

        started, looked, reached = time.perf_counter(), 0, False
        for report in trainer:
            if job["target"] is not None and report.env_steps - looked >= TARGET_INTERVAL:
                looked = report.env_steps
                if greedy(TARGET_EPISODES) >= job["target"]:
                    reached = True
                    break
        seconds = time.perf_counter() - started
        if job["target"] is not None:
            return {"reached": reached, "steps": report.env_steps, "seconds": seconds}
        return {"return": greedy(job["episodes"]), "seconds": seconds}


def environment(job: dict[str, Any]) -> dict[str, Any]:
    """Measure steps per second of the environment alone in one process, without learning."""
    import gymnasium as gym
    import numpy as np

    steps = job["epochs"] * job["work"]["num_envs"] * job["work"]["num_steps"]
    env = gym.make(job["work"]["environment"], disable_env_checker=True)
    assert isinstance(env.action_space, gym.spaces.Discrete)
    actions = list(np.random.default_rng(0).integers(env.action_space.n, size=steps))
    env.reset(seed=0)
    started = time.perf_counter()
    for action in actions:
        _, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            env.reset()
    return {"rate": steps / (time.perf_counter() - started)}


def plain_loop(job: dict[str, Any]) -> dict[str, Any]:
    """Measure states per second of a plain PyTorch loop on random states: two networks, one Adam, no records."""
    import torch

    torch.set_num_threads(job["threads"])
    torch.manual_seed(job["seed"])

    def network(outputs: int) -> torch.nn.Module:
        layers = torch.nn.Linear(10, 256), torch.nn.Tanh(), torch.nn.Linear(256, 256), torch.nn.Tanh()
        return torch.nn.Sequential(*layers, torch.nn.Linear(256, outputs))

    policy, value = network(2), network(1)
    optimizer = torch.optim.Adam([*policy.parameters(), *value.parameters()], 1e-4)
    direction = torch.randn(10)
    updates, started = job["epochs"], 0.0
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
    return {"rate": 32 * (updates - updates // 10) / (time.perf_counter() - started)}


TASKS = {"speed": speed, "learn": learn, "environment": environment, "plain loop": plain_loop}

if __name__ == "__main__":
    document = json.loads(sys.argv[1])
    print(json.dumps(TASKS[document["task"]](document)))
