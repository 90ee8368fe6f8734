"""Measure data-parallel training: scaling on this machine, the cost of its exchanges, and a model for more ranks.

    python -m benchmarks.speed.ranks [ROUNDS]

Weak scaling: K ranks step K times as many environments as one, with minibatches K times as large. The steps per
second are those of the training loop without the first epochs. One rank, two ranks and Stable-Baselines3, with the
faster of its two vectorizations, are measured in turn, each in processes of its own. Writes
benchmarks/results/ranks.json and docs/ranks.svg for docs/several_machines.md.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks/results/ranks.json"
CHART = ROOT / "docs/ranks.svg"

_PPO = {
    "preset": "none", "algorithm": "ppo", "hidden_dim": 64, "update_epochs": 4, "clip_coef": 0.2, "ent_coef": 0.0,
    "normalize_advantages": True,
}  # fmt: skip
WORK: dict[str, dict[str, Any]] = {
    "LunarLander-v3": {
        **_PPO, "environment": "LunarLander-v3", "num_envs": 16, "num_steps": 1024, "num_minibatches": 256,
        "learning_rate": 0.0003, "gamma": 0.999, "gae_lambda": 0.98, "ent_coef": 0.01, "num_epochs": 8,
    },
    "CartPole-v1, compiled": {
        **_PPO, "environment": "CartPole-v1", "num_envs": 8, "num_steps": 128, "num_minibatches": 4, "num_epochs": 300,
    },
}  # fmt: skip
"""The zoo's sizes of LunarLander, and those of CartPole in docs/benchmarks.md; per rank."""

_SKIPPED = 0.2  # of the epochs, at the beginning
_NUMBERS = (16, 1_000, 10_000, 100_000, 1_000_000)  # of an exchange
_RANKS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


def _train(settings: dict[str, Any]) -> dict[str, Any]:
    """Train on the ranks that this process belongs to; return the rate and where the time of an epoch goes."""
    from actor_critic import Config, Trainer
    from actor_critic.ranks import join

    ranks = join(600.0)
    trainer = Trainer(Config(**settings | {"num_envs": settings["num_envs"] * ranks.size}))
    marks = [(time.perf_counter(), report.env_steps) for report in trainer]
    first = int(len(marks) * _SKIPPED)
    seconds = (marks[-1][0] - marks[first][0]) / (len(marks) - 1 - first)
    steps = marks[-1][1] // len(marks)
    gradients = len(trainer.agent.parameters.gradients)
    updates = settings["num_minibatches"] * settings["update_epochs"]
    return {
        "ranks": ranks.size, "rate": steps / seconds, "seconds": seconds, "updates": updates,
        "bytes_per_update": 4 * (gradients + 6), "steps_per_rank": steps // ranks.size,
    }  # fmt: skip


def _exchange() -> dict[str, Any]:
    """Return the microseconds of a sum over ranks, by the count of numbers: in memory, and through gloo."""
    import torch

    from actor_critic.ranks import join
    from actor_critic.ranks.group import Network

    ranks, found = join(600.0), {}
    for name, run in (("memory", ranks.sum), ("gloo", Network(600.0).sum)):
        found[name] = {}
        for count in _NUMBERS:
            numbers, repeats = torch.zeros(count), 400 if count < 10**5 else 40
            for _ in range(repeats // 4):
                run(numbers)
            started = time.perf_counter()
            for _ in range(repeats):
                run(numbers)
            found[name][count] = (time.perf_counter() - started) / repeats * 1e6
    return found


def _on_ranks(count: int, *words: str) -> dict[str, Any]:
    """Run this module on some ranks, and return what rank 0 prints last."""
    start = [sys.executable]
    if count > 1:
        start += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [*start, "-m", "benchmarks.speed.ranks", *words], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    if result.returncode:
        raise SystemExit(result.stderr[-2000:])
    answer: dict[str, Any] = json.loads([line for line in result.stdout.splitlines() if line.startswith("{")][-1])
    return answer


def _peer(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the steps per second of Stable-Baselines3 with each of its vectorizations, without the first rollout."""
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

    class Marks(BaseCallback):
        marks: list[tuple[float, int]]

        def _on_training_start(self) -> None:
            self.marks = []

        def _on_rollout_start(self) -> None:
            self.marks.append((time.perf_counter(), self.num_timesteps))

        def _on_step(self) -> bool:
            return True

    rates, envs, steps = {}, settings["num_envs"], settings["num_steps"]
    for kind in (DummyVecEnv, SubprocVecEnv):
        torch.set_num_threads(1 if kind is DummyVecEnv else 2)
        vector = make_vec_env(settings["environment"], envs, vec_env_cls=kind)
        model = PPO(
            "MlpPolicy", vector, n_steps=steps, batch_size=envs * steps // settings["num_minibatches"],
            n_epochs=settings["update_epochs"], device="cpu", seed=1,
        )  # fmt: skip
        marks, rollouts = Marks(), 3 if envs * steps > 10_000 else 16
        model.learn(rollouts * envs * steps, callback=marks)
        (began, before), (ended, after) = marks.marks[1], marks.marks[-1]
        rates[kind.__name__] = (after - before) / (ended - began)
        vector.close()
    return {"rate": max(rates.values()), "rates": rates}


def _model(one: dict[str, Any], exchange: dict[str, dict[str, float]]) -> dict[str, list[float]]:
    """Return the efficiency of weak scaling for more ranks, by the seconds that an update spends in its exchange.

    An epoch of K ranks takes the time of one rank, plus the exchanges of its updates. A ring sends 2 (K − 1) messages
    of 1/K of the gradient, one after the other. The seconds of a message are α + β · bytes, from gloo on two ranks of
    this machine: a ring of two sends two messages of half of the bytes. On hosts, α and β are those of their network.
    """
    small, large = exchange["gloo"][str(_NUMBERS[0])] / 2e6, exchange["gloo"][str(_NUMBERS[-1])] / 2e6
    per_byte = (large - small) / (2 * _NUMBERS[-1])
    found: dict[str, list[float]] = {"this machine's gloo": [], "10 Gbit/s, 20 µs": []}
    for name, (latency, byte) in zip(found, ((small, per_byte), (20e-6, 8 / 10e9)), strict=True):
        for ranks in _RANKS:
            message = latency + byte * one["bytes_per_update"] / ranks
            spent = one["updates"] * 2 * (ranks - 1) * message
            gathered = 14 * one["steps_per_rank"] * (ranks - 1) * byte  # rewards, ends, advantages and returns
            found[name].append(one["seconds"] / (one["seconds"] + spent + gathered))
    return found


def _draw(results: dict[str, Any]) -> None:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "ranks", "font.family": "sans-serif", "font.size": 10}):
        figure = Figure((9, 3.6), layout="constrained")
        for place, (name, model) in enumerate(results["model"].items(), start=1):
            axes = figure.add_subplot(1, len(results["model"]), place)
            for network, values in model.items():
                axes.plot(_RANKS, values, marker="o", markersize=3, label=network)
            measured = results["scaling"][name]
            axes.plot([2], [measured["ratio"] / 2], "k*", markersize=9, label="measured, one machine")
            axes.set(xscale="log", ylim=(0, 1.05), xlabel="ranks", ylabel="efficiency", title=name)
            axes.set_xticks(_RANKS[::2], [str(count) for count in _RANKS[::2]])
            axes.legend(frameon=False, fontsize=8)
        figure.savefig(CHART, metadata={"Date": None})


def main() -> None:
    """Measure everything; with words, run one measurement on the ranks that this process belongs to."""
    if sys.argv[1:2] == ["--train"]:
        answer = _train(json.loads(sys.argv[2]))
    elif sys.argv[1:2] == ["--exchange"]:
        answer = _exchange()
    elif sys.argv[1:2] == ["--peer"]:
        answer = _peer(json.loads(sys.argv[2]))
    else:
        _measure(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
        return
    if os.environ.get("RANK", "0") == "0":
        print(json.dumps(answer))


def _measure(rounds: int) -> None:
    results: dict[str, Any] = {"scaling": {}, "model": {}, "exchange": _on_ranks(2, "--exchange")}
    print("microseconds of a sum over two ranks", results["exchange"])
    for name, settings in WORK.items():
        found: dict[str, list[float]] = {"one": [], "two": [], "Stable-Baselines3": []}
        for _ in range(rounds):
            one = _on_ranks(1, "--train", json.dumps(settings))
            found["one"].append(one["rate"])
            found["two"].append(_on_ranks(2, "--train", json.dumps(settings))["rate"])
            found["Stable-Baselines3"].append(_on_ranks(1, "--peer", json.dumps(settings))["rate"])
            print(name, {who: f"{rates[-1]:,.0f}" for who, rates in found.items()}, flush=True)
        ratio = statistics.median(two / one for one, two in zip(found["one"], found["two"], strict=True))
        results["scaling"][name] = {"rates": found, "ratio": ratio, **one}
        beside = [two / peer for two, peer in zip(found["two"], found["Stable-Baselines3"], strict=True)]
        results["scaling"][name]["beside"] = statistics.median(beside)
        results["model"][name] = _model(one, results["exchange"])
        print(name, "two ranks / one:", ratio, "/ Stable-Baselines3:", results["scaling"][name]["beside"])
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    _draw(results)


if __name__ == "__main__":
    main()
