"""Compare two searches of equal size: `sweep`, and a loop of Optuna's own around Stable-Baselines3.

    python -m benchmarks.learning.sweep [--environment ID] [--steps N] [--trials N] [--seeds N] [--only NAME]

Both run one trial at a time on one core, search the same settings over the same ranges with TPE, and score a trial by
the mean greedy return of 100 episodes. Then the winner and the settings without search (the defaults of each library)
train on the same fresh seeds. Prints the scores, and the seconds of each part: by the clock, and on the processor,
which other work on the machine changes less. Ours also counts the start of a process for each trial.
benchmarks/results/sweep.json stores each finished search, which is not repeated.
"""

import argparse
import json
import logging
import os
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from actor_critic import Config, sweep
from actor_critic.files import write_durably
from actor_critic.ops.comparison import summarize_seeds
from actor_critic.report import contrast
from actor_critic.seeding import Purpose, generator

RESULTS = Path(__file__).parents[1] / "results/sweep.json"
_EPISODES = 100
_AT_ONCE = 8  # episodes of an evaluation of Stable-Baselines3


def _ours(environment: str, steps: int, trials: int, seeds: int) -> dict[str, Any]:
    config = Config(environment=environment, total_timesteps=steps, evaluation_episodes=_EPISODES)
    with tempfile.TemporaryDirectory() as folder:
        begun = _now()
        sweep(config, None, Path(folder) / "s", trials=trials, jobs=1, confirm_seeds=0)
        searched = _now()
        found = sweep(config, None, Path(folder) / "s", trials=trials, jobs=1, confirm_seeds=seeds)
    if found.best is None or found.confirmation is None:
        raise RuntimeError("the search has no winner, or it is the settings without search")
    return {
        "best": found.best.score,
        "values": found.best.values,
        "pruned": sum(trial.state == "pruned" for trial in found.trials),
        **_seconds(begun, searched, _now()),
        "winner": found.confirmation.winner.each,
        "without_search": found.confirmation.base.each,
    }


def _suggest(trial: Any) -> dict[str, Any]:
    """Return settings of Stable-Baselines3 from the default space of `sweep`."""
    envs, steps, minibatches = (
        trial.suggest_categorical(name, choices)
        for name, choices in (("n_envs", [4, 8, 16]), ("n_steps", [32, 64]), ("minibatches", [4, 8, 16, 32]))
    )
    return {
        "n_envs": envs,
        "n_steps": steps,
        "batch_size": envs * steps // minibatches,
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True),
        "ent_coef": trial.suggest_float("ent_coef", 1e-4, 0.1, log=True),
        "vf_coef": trial.suggest_float("vf_coef", 0.25, 1.0),
        "max_grad_norm": trial.suggest_categorical("max_grad_norm", [0.3, 0.5, 1.0, 2.0]),
        "gamma": trial.suggest_categorical("gamma", [0.95, 0.98, 0.99, 0.995, 0.999]),
        "gae_lambda": trial.suggest_float("gae_lambda", 0.8, 1.0),
        "clip_range": trial.suggest_categorical("clip_range", [0.1, 0.2, 0.3]),
        "n_epochs": trial.suggest_int("n_epochs", 3, 20, log=True),
    }


def _train_theirs(environment: str, steps: int, values: dict[str, Any], seed: int) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings of the library
        from stable_baselines3 import PPO
        from stable_baselines3.common.env_util import make_vec_env
        from stable_baselines3.common.evaluation import evaluate_policy

        settings = dict(values)
        training = make_vec_env(environment, n_envs=settings.pop("n_envs", 1), seed=seed)
        model = PPO("MlpPolicy", training, seed=seed, device="cpu", **settings).learn(steps)
        testing = make_vec_env(environment, n_envs=_AT_ONCE, seed=seed + 10_000)
        mean, _ = evaluate_policy(model, testing, n_eval_episodes=_EPISODES, deterministic=True)
    return float(mean)


def _theirs(environment: str, steps: int, trials: int, seeds: int) -> dict[str, Any]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    torch.set_num_threads(1)
    begun = _now()

    def objective(trial: optuna.Trial) -> float:
        values = _suggest(trial)
        trial.set_user_attr("values", values)
        return _train_theirs(environment, steps, values, 1)

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
    study.optimize(objective, n_trials=trials)
    searched = _now()
    best = study.best_trial.user_attrs["values"]
    fresh = range(2, 2 + seeds)
    winner, base = ({seed: _train_theirs(environment, steps, values, seed) for seed in fresh} for values in (best, {}))
    return {
        "best": study.best_value,
        "values": best,
        "pruned": 0,
        **_seconds(begun, searched, _now()),
        "winner": winner,
        "without_search": base,
    }


def _now() -> tuple[float, float]:
    """Return seconds by the clock, and those on the processor of this process and its children that have ended."""
    return time.perf_counter(), sum(os.times()[:4])


def _seconds(
    begun: tuple[float, float], searched: tuple[float, float], confirmed: tuple[float, float]
) -> dict[str, Any]:
    parts = {"search": (begun, searched), "confirmation": (searched, confirmed)}
    return {
        f"{name}_seconds": [late - early for early, late in zip(*ends, strict=True)] for name, ends in parts.items()
    }


def _lines(result: dict[str, Any]) -> list[str]:
    """Return a result in words."""
    groups = {name: {int(s): x for s, x in result[name].items()} for name in ("winner", "without_search")}
    gap = contrast("winner", groups["winner"], "without search", groups["without_search"], _random())
    times = []
    for part in ("search", "confirmation"):
        both = zip(result[f"{part}_seconds"], ("by the clock", "on the processor"), strict=False)
        times.append(f"{part}: " + ", ".join(f"{seconds:.0f} s {where}" for seconds, where in both))
    return [
        *times,
        f"best score {result['best']:.1f}, {result['pruned']} pruned",
        *(f"{name}: {_summary(scores)}" for name, scores in groups.items()),
        f"difference {gap.difference:.1f} [{gap.low:.1f}, {gap.high:.1f}], p = {gap.p_value:.2g}",
    ]


def _summary(scores: dict[int, float]) -> str:
    mean, low, high = summarize_seeds(np.array(list(scores.values())), _random())
    return f"{mean:.1f} [{low:.1f}, {high:.1f}]"


def _random() -> np.random.Generator:
    return generator(0, Purpose.BOOTSTRAP)


_CONTENDERS = {"actor-critic": _ours, "stable-baselines3": _theirs}


def main() -> None:
    """Run the searches, and print what they found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environment", default="Acrobot-v1")
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", choices=_CONTENDERS)
    given = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name, search in _CONTENDERS.items():
        if given.only in (None, name):
            key = f"{name} on {given.environment}, {given.trials} trials of {given.steps:,} steps, {given.seeds} seeds"
            print(key, flush=True)
            if key not in results:
                results[key] = search(given.environment, given.steps, given.trials, given.seeds)
                write_durably(RESULTS, (json.dumps(results, indent=1) + "\n").encode())
            for line in _lines(results[key]):
                print(f"  {line}", flush=True)


if __name__ == "__main__":
    main()
