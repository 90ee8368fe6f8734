"""What is learned: the last weights of five seeds per environment, with the package's presets.

    python benchmarks/learning.py [ENVIRONMENT ...]      # all rows, or some

Two runs at a time. Each finished seed is kept in benchmarks/results/learning.json, so the script goes on where it was
stopped; a row is measured anew when its settings change. Writes docs/learning.md.
"""

import hashlib
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from actor_critic import Config, Trainer, evaluate
from actor_critic.config import Layer, find_preset, resolve
from actor_critic.files import write_durably
from actor_critic.seeding import Purpose, generator
from actor_critic.statistics import summarize_seeds

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks/results/learning.json"
PAGE = ROOT / "docs/learning.md"
SEEDS = (1, 2, 3, 4, 5)
EPISODES = 100


@dataclass(frozen=True)
class Row:
    """One environment and budget, what was published, and the least to be reached."""

    environment: str
    algorithm: str
    steps: int
    published: str
    at_least: float


ROWS = [
    Row("CartPole-v1", "ppo", 100_000, "500 at 100k (PPO, Stable-Baselines3 zoo)", 495),
    Row("Acrobot-v1", "ppo", 500_000, "−73.5 at 1M (PPO, zoo); −83.4 at 500k (A2C, zoo)", -80),
    Row("MountainCar-v0", "ppo", 1_000_000, "−110.4 at 1M (PPO, zoo)", -112),
    Row("MiniGrid-DoorKey-5x5-v0", "ppo", 100_000, "0.964 at 100k (PPO, zoo)", 0.95),
]


def _config(row: Row, seed: int) -> Config:
    return Config(environment=row.environment, algorithm=row.algorithm, total_timesteps=row.steps, seed=seed)


def _key(row: Row, seed: int) -> str:
    """A name for the settings that decide the result: with other settings it is another measurement."""
    document = resolve(Layer("benchmark", _config(row, seed))).settings.to_document()
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    return f"{row.environment} {row.algorithm} {seed} {digest[:16]}"


def _measure(row: Row, seed: int) -> dict[str, Any]:
    started = time.perf_counter()
    trainer = Trainer(_config(row, seed))
    for _ in trainer:
        pass
    seconds = time.perf_counter() - started
    evaluation = evaluate(trainer.agent, episodes=EPISODES)
    scores = {"greedy": evaluation.greedy.mean, "sampled": evaluation.sampled.mean}
    return {"environment": row.environment, "seed": seed, "seconds": round(seconds, 1), **scores}


def _load() -> dict[str, Any]:
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}


def _save(results: dict[str, Any]) -> None:
    write_durably(RESULTS, (json.dumps(results, indent=1, sort_keys=True) + "\n").encode())


def _table(results: dict[str, Any]) -> list[str]:
    lines = [
        "| environment | algorithm | steps | published | at least | reached [95 % over seeds] | each seed | policy |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in ROWS:
        mode = find_preset(row.environment, row.algorithm).evaluation
        scores = [results[key][mode] for key in (_key(row, seed) for seed in SEEDS) if key in results]
        if not scores:
            continue
        mean, low, high = summarize_seeds(np.array(scores), generator(0, Purpose.BOOTSTRAP))
        each = ", ".join(f"{score:.4g}" for score in scores)
        lines.append(
            f"| {row.environment} | {row.algorithm.upper()} | {row.steps:,} | {row.published} | {row.at_least:g} | "
            f"**{mean:.4g}** [{low:.4g}, {high:.4g}] | {each} | {mode} |"
        )
    return lines


_PAGE = """# What is learned

The last weights (not the best) of runs with the package's presets, on seeds {seeds}; presets were tuned on other seeds
(101 and up). Each score is the mean of {episodes} episodes that no run trained on, of the policy that the preset names.
Reached is the interquartile mean over seeds, with a bootstrap interval whose unit is the seed.

{table}

`python benchmarks/learning.py` measures this again, row by row, and goes on where it was stopped.
"""


def _write_page(results: dict[str, Any]) -> None:
    seeds = ", ".join(map(str, SEEDS))
    PAGE.write_text(_PAGE.format(seeds=seeds, episodes=EPISODES, table="\n".join(_table(results))))


def main() -> None:
    """Measure what is missing, then write the page."""
    wanted = sys.argv[1:]
    current = {_key(row, seed) for row in ROWS for seed in SEEDS}
    results = {key: result for key, result in _load().items() if key in current}
    RESULTS.parent.mkdir(exist_ok=True)
    rows = [row for row in ROWS if not wanted or row.environment in wanted]
    missing = [(row, seed) for row in rows for seed in SEEDS if _key(row, seed) not in results]
    _save(results)
    with ProcessPoolExecutor(2) as pool:
        running = {pool.submit(_measure, row, seed): _key(row, seed) for row, seed in missing}
        for future in as_completed(running):
            results[running[future]] = future.result()
            print(json.dumps(future.result()), flush=True)
            _save(results)
    _write_page(results)
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
