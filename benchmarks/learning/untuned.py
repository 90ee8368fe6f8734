"""Compare defaults: ours and those of peers, untuned, on the problems of :mod:`benchmarks.learning.suite`.

    python -m benchmarks.learning.untuned [--seeds N] [--only NAME ...] [--contender NAME] [--at-once N]

Each contender trains with its own defaults for the same number of environment steps, in eight environments unless the
problem or the contender says otherwise; the presets of environments are left aside. The last weights are evaluated on
new episodes.
benchmarks/results/untuned.json stores each finished run, so a stopped script continues there; ours runs
again when a default changes. A change of the networks or the algorithm is not noticed: delete its results then. Writes
docs/untuned.md.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from actor_critic.config import Config, Layer, resolve
from actor_critic.environments.functional import TWINS
from actor_critic.files import write_durably
from actor_critic.ops.comparison import summarize_seeds
from actor_critic.ops.statistics import plainly
from actor_critic.seeding import Purpose, generator
from benchmarks.learning.digest import digest
from benchmarks.learning.scores import improvement, interval, normalized, pooled
from benchmarks.learning.suite import PROBLEMS, Problem

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks/results/untuned.json"
PAGE = ROOT / "docs/untuned.md"
PEER = ROOT / "benchmarks/.peers/stable_baselines3/bin/python"


CLEANRL = {
    "num_envs": 4,
    "num_steps": 128,
    "num_minibatches": 4,
    "update_epochs": 4,
    "learning_rate": 2.5e-4,
    "anneal_lr": True,
    "adam_epsilon": 1e-5,
    "gamma": 0.99,
    "gae_lambda": 0.95,
    "clip_coef": 0.2,
    "clip_vloss": True,
    "normalize_advantages": True,
    "min_advantage_std": 0.0,
    "normalize_observations": False,
    "normalize_rewards": False,
    "ent_coef": 0.01,
    "vf_coef": 0.5,
    "max_grad_norm": 0.5,
    "target_kl": "off",
    "hidden_layers": 2,
    "hidden_dim": 64,
    "activation": "tanh",
}
TIANSHOU = CLEANRL | {
    "num_envs": 8,  # its own number is that of the CPU cores
    "num_steps": 256,
    "num_minibatches": 32,
    "update_epochs": 1,
    "learning_rate": 1e-3,
    "anneal_lr": False,
    "adam_epsilon": 1e-8,
    "clip_vloss": False,
    "vf_coef": 1.0,  # its value loss lacks the factor ½
    "max_grad_norm": "off",
    "activation": "relu",
}


@dataclass(frozen=True)
class Contender:
    """One whose defaults are measured.

    Attributes:
        name: Its name in the tables.
        algorithm: "ppo" or "a2c".
        settings: What it sets in our program; None for Stable-Baselines3, which is run itself.
        takes: Whether it is measured on a problem.
    """

    name: str
    algorithm: Literal["ppo", "a2c"] = "ppo"
    settings: dict[str, Any] | None = None
    takes: Callable[[Problem], bool] = lambda problem: True


def _is_plain(problem: Problem) -> bool:
    """Return whether a problem needs neither masks nor memory nor Dict observations, and only seconds a run."""
    return not (problem.has_masks or problem.has_memory or problem.is_long) and problem.peers_can


def _has_twin(problem: Problem) -> bool:
    return problem.environment in TWINS


CONTENDERS = {
    "ours": Contender("ours", settings={}),
    "sb3": Contender("Stable-Baselines3", takes=lambda problem: problem.peers_can),
    "cleanrl": Contender("settings of CleanRL", settings=CLEANRL, takes=_is_plain),
    "tianshou": Contender("settings of Tianshou", settings=TIANSHOU, takes=_is_plain),
    "ours_sync": Contender("ours, environments not compiled", settings={"vectorization": "sync"}, takes=_has_twin),
    "ours_a2c": Contender("ours, A2C", "a2c", {}, _is_plain),
    "sb3_a2c": Contender("Stable-Baselines3, A2C", "a2c", takes=_is_plain),
}
OURS = {"ppo": "ours", "a2c": "ours_a2c"}
MOST_SEEDS = 10

Runs = dict[str, dict[str, Any]]


def config(problem: Problem, seed: int, settings: dict[str, Any], algorithm: Literal["ppo", "a2c"] = "ppo") -> Config:
    """Return the settings of a run in our program: the general defaults, and what is set besides."""
    others: dict[str, Any] = {} if problem.num_envs is None else {"num_envs": problem.num_envs}
    if problem.has_memory:
        others["memory"] = "gru"
    return Config(
        environment=problem.environment,
        environment_kwargs=problem.kwargs,
        max_episode_steps=problem.limit,
        total_timesteps=problem.steps,
        algorithm=algorithm,
        preset="none",
        seed=seed,
        **(settings | others),
    )


def _config_of(contender: str, problem: Problem, seed: int) -> Config:
    found = CONTENDERS[contender]
    return config(problem, seed, found.settings or {}, found.algorithm)


def train_ours(contender: str, problem: Problem, seed: int) -> dict[str, float]:
    """Train and evaluate in our program; runs in a process of its own."""
    import torch

    from actor_critic import Trainer, evaluate

    torch.set_num_threads(1)
    started = time.perf_counter()
    trainer = Trainer(_config_of(contender, problem, seed))
    for _ in trainer:
        pass
    seconds = time.perf_counter() - started
    found = evaluate(trainer.agent, episodes=problem.episodes)
    return {"greedy": found.greedy.mean, "sampled": found.sampled.mean, "seconds": seconds}


def key(contender: str, problem: Problem, seed: int) -> str:
    """Return a key with everything that decides the result."""
    document: dict[str, Any] = {"steps": problem.steps, "kwargs": problem.kwargs, "episodes": problem.episodes}
    is_peer = CONTENDERS[contender].settings is None
    if is_peer and problem.num_envs is not None:
        document["num_envs"] = problem.num_envs
    settings = None if is_peer else resolve(Layer("suite", _config_of(contender, problem, seed))).settings
    return f"{problem.name}, {contender}, seed {seed}, {digest(document, settings)[:12]}"


def measure(contender: str, problem: Problem, seed: int) -> dict[str, Any]:
    """Run a contender in a process of its own."""
    found = CONTENDERS[contender]
    ours = [sys.executable, "-m", "benchmarks.learning.untuned", "--run", contender, problem.name, str(seed)]
    theirs = [str(PEER), "-m", "benchmarks.peers.untuned_stable_baselines3", found.algorithm, problem.name, str(seed)]
    command = theirs if found.settings is None else ours
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if result.returncode:
        raise RuntimeError(f"{problem.name}, {contender}, seed {seed}: {result.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(result.stdout.strip().splitlines()[-1])
    return answer


def runs_of(runs: Runs, contender: str, problem: Problem, seeds: int) -> list[dict[str, Any]]:
    """Return the finished runs among the seeds."""
    if not CONTENDERS[contender].takes(problem):
        return []
    found = [runs.get(key(contender, problem, seed)) for seed in range(1, seeds + 1)]
    return [run for run in found if run]


def page(runs: Runs, seeds: int) -> str:
    """Return the page of all problems that ours has finished."""
    found = {name: {problem.name: runs_of(runs, name, problem, seeds) for problem in PROBLEMS} for name in CONTENDERS}
    sections = {algorithm: [_results(found, algorithm), _pairs(found, algorithm)] for algorithm in OURS}
    each = ["| problem | defaults of | greedy return of each seed |", "|---|---|---|"]
    for problem in PROBLEMS:
        for name, contender in CONTENDERS.items():
            if scores := [plainly(run["greedy"]) for run in found[name][problem.name]]:
                each.append(f"| {problem.name} | {contender.name} | {', '.join(scores)} |")
    ppo, a2c = ("\n\n".join("\n".join(table) for table in sections[algorithm]) for algorithm in OURS)
    return _PAGE.format(seeds=seeds, ppo=ppo, a2c=a2c, each="\n".join(each))


Found = dict[str, dict[str, list[dict[str, Any]]]]  # the finished runs of each contender on each problem


def _results(found: Found, algorithm: str) -> list[str]:
    """Return the table of returns: a row for each problem, a column for each contender."""
    columns = [name for name, contender in CONTENDERS.items() if contender.algorithm == algorithm]
    names = " | ".join(CONTENDERS[name].name for name in columns)
    lines = [f"| problem | steps | role | {names} |", "|---|---|---|" + "---|" * len(columns)]
    for problem in PROBLEMS:
        if not found[OURS[algorithm]][problem.name]:
            continue
        cells = [_cell(np.array([run["greedy"] for run in found[name][problem.name]])) for name in columns]
        half = "chosen on" if problem.tuned_on else "confirms"
        lines.append(f"| {problem.name} | {problem.steps:,} | {half} | {' | '.join(cells)} |")
    return lines


def _pairs(found: Found, algorithm: str) -> list[str]:
    """Return the table of sums: ours beside each peer, over the problems that both have finished."""
    lines = [
        "| beside | problems | number | score of ours | score of the other | ours is higher with probability | time |",
        "|---|---|---|---|---|---|---|",
    ]
    ours = OURS[algorithm]
    for name, contender in CONTENDERS.items():
        if name == ours or contender.algorithm != algorithm:
            continue
        for title, roles in (("all", (True, False)), ("chosen on", (True,)), ("confirming", (False,))):
            tables: dict[str, list[npt.NDArray[np.float64]]] = {ours: [], name: []}
            seconds = {ours: 0.0, name: 0.0}
            for problem in PROBLEMS:
                common = min(len(found[each][problem.name]) for each in tables)  # the same weight for both
                if not common or problem.tuned_on not in roles:
                    continue
                for each, table in tables.items():
                    pair = found[each][problem.name][:common]
                    table.append(normalized(problem, np.array([run["greedy"] for run in pair])))
                    seconds[each] += float(np.mean([run["seconds"] for run in pair]))
            if not tables[ours]:
                continue
            scores = " | ".join(_bounds(interval(table, pooled), 3) for table in tables.values())
            chance = _bounds(interval([*tables[ours], *tables[name]], improvement), 2)
            ratio = f"{seconds[ours] / seconds[name]:.2f}"
            lines.append(f"| {contender.name} | {title} | {len(tables[ours])} | {scores} | {chance} | {ratio} |")
    return lines


def _bounds(found: tuple[float, float, float], digits: int) -> str:
    mean, low, high = found
    return f"**{mean:.{digits}f}** [{low:.{digits}f}, {high:.{digits}f}]"


def _cell(returns: npt.NDArray[np.float64]) -> str:
    """Return the interquartile mean over seeds with its interval, and the number of seeds."""
    if not len(returns):
        return "–"
    mean, low, high = map(plainly, summarize_seeds(returns, generator(0, Purpose.BOOTSTRAP)))
    return f"**{mean}** [{low}, {high}] ({len(returns)})"


_PAGE = """# Untuned

What one learns without tuning anything: the general defaults here (`--preset none`) beside the defaults of peers, after
the same number of environment steps. All take eight environments, unless the name of the problem or the text below
says otherwise. Seeds begin with 1, up to {seeds} of them. A score is the mean greedy return of the last weights over
100 new episodes (FrozenLake-v1 and Taxi: 1,000; random states: 5,000). "Chosen on" marks the problems that our defaults
were chosen on, with other seeds; the others only confirm. The tables show the interquartile mean over seeds, its 95 %
interval, and the number of seeds. A dash marks what was not measured; an interval over one or two seeds says little.

The peers:

- Stable-Baselines3 2.9.2 itself, with `PPO("MlpPolicy", ...)`; of sb3-contrib, MaskablePPO for masks and RecurrentPPO
  for memory, which has a GRU in ours. It takes whole rollouts of 2,048 steps in each environment, so with eight of them
  up to 16,384 steps more than given. It sees MiniGrid through ImgObsWrapper and a flattening wrapper, since it cannot
  read the environment as it comes.
- The settings of CleanRL's `ppo.py` (four environments) and of Tianshou's high-level interface (one pass over each
  rollout), in our program. These rows compare settings, not libraries: CleanRL's script, for example, does not accept
  the integer observations of FrozenLake, which our program gives to the network one-hot.

## PPO

{ppo}

A score is normalised: 0 is random, 1 the best known return. Each row takes the problems that both have finished, and
the seeds that both have. It shows the interquartile mean over problems and seeds, the probability that a run of ours
scores higher than one of the other on the same problem, both with a stratified bootstrap interval (Agarwal et al.,
2021), and the training time of ours as a fraction of the other's. "Environments not compiled" is ours on Gymnasium's
own environments instead of their compiled twins. Other work ran on the machine during most of these runs, so the times
are rough.

Where ours is lower or fails:

- In 2,048 steps of "repeat one of 70", both policies stay nearly uniform. Sampled, ours earns 9.0 to 9.7 of 100,
  Stable-Baselines3 7.4 to 7.9, and random actions 6.7. The most probable action of such a policy is better after one
  large rollout than after sixteen small ones. With eight environments and 16,384 steps ours is higher in both.

## A2C

{a2c}

A2C takes one optimizer step for each rollout. In these budgets it solves neither MountainCar nor LunarLander, and the
FrozenLake of 8 x 8 that is not slippery only on some seeds. LunarLander has a preset for A2C
([Learning results](learning.md)).

## Each seed

{each}

`python -m benchmarks.learning.untuned` repeats these measurements. If stopped, it continues where it was.
"""


def _load() -> Runs:
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}


def _save(runs: Runs) -> None:
    write_durably(RESULTS, (json.dumps(runs, indent=1, sort_keys=True) + "\n").encode())


def main() -> None:
    """Measure the missing runs, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, choices=range(1, MOST_SEEDS + 1), metavar="N")
    parser.add_argument("--only", nargs="+", help="names of problems")
    parser.add_argument("--contender", choices=CONTENDERS)
    parser.add_argument("--at-once", type=int, default=2, help="runs at a time")
    parser.add_argument("--run", nargs=3, help=argparse.SUPPRESS)
    said = parser.parse_args()
    if said.run:
        contender, name, seed = said.run
        problem = next(problem for problem in PROBLEMS if problem.name == name)
        print(json.dumps(train_ours(contender, problem, int(seed))))
        return
    runs = _load()
    wanted = [problem for problem in PROBLEMS if not said.only or problem.name in said.only]
    jobs = [
        (contender, problem, seed)
        for seed in range(1, said.seeds + 1)
        for problem in wanted
        for contender in CONTENDERS
        if said.contender in (None, contender)
        and CONTENDERS[contender].takes(problem)
        and key(contender, problem, seed) not in runs
    ]
    with ThreadPoolExecutor(said.at_once) as pool:
        running = {pool.submit(measure, *job): key(*job) for job in jobs}
        for future in as_completed(running):
            try:
                found = future.result()
            except RuntimeError as error:
                print(error, flush=True)
                continue
            print(running[future], json.dumps(found), flush=True)
            _save(_load() | {running[future]: found})  # read again: another script may measure another contender
    every = (
        (c, p, s) for c in CONTENDERS for p in PROBLEMS if CONTENDERS[c].takes(p) for s in range(1, MOST_SEEDS + 1)
    )
    current = {key(*job) for job in every}
    runs = {name: run for name, run in _load().items() if name in current}
    _save(runs)
    PAGE.write_text(page(runs, said.seeds))
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
