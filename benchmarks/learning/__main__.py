"""Measure learning: scores of the last weights over five seeds per environment, with the presets of the package.

    python -m benchmarks.learning [ROW ...]      # all rows, or those of some environments or labels

Two runs at a time. benchmarks/results/learning.json stores each finished seed, so a stopped script continues there. A
row is measured again when its settings change. Writes docs/learning.md.
"""

import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from actor_critic import Config, Trainer, evaluate
from actor_critic.config import Layer, find_preset, resolve
from actor_critic.files import write_durably
from actor_critic.ops.comparison import summarize_seeds
from actor_critic.seeding import Purpose, generator
from benchmarks.learning.digest import digest

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks/results/learning.json"
PAGE = ROOT / "docs/learning.md"
SEEDS = (1, 2, 3, 4, 5)
EPISODES = 100


@dataclass(frozen=True)
class Row:
    """One row of the table: an environment and budget, with published and required scores.

    Attributes:
        environment: Its id.
        algorithm: "ppo" or "a2c".
        steps: Environment steps.
        published: Published scores, with their budget.
        at_least: The required score; None for no requirement.
        label: Name of the row; empty for the id of the environment.
        settings: Settings besides the preset.
        is_peer: Whether Stable-Baselines3 is trained instead, with the same settings.
    """

    environment: str
    algorithm: str
    steps: int
    published: str
    at_least: float | None
    label: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    is_peer: bool = False


_PROBLEMS = "benchmarks.learning.problems"
_MAZE = f"{_PROBLEMS}:TMaze-v0"

_INVADERS = "MinAtar/SpaceInvaders-v1"
_SAME = "the row above"
_GENERAL: dict[str, Any] = {"preset": "none"}


def _twins(environment: str, algorithm: str, *published: Any) -> tuple[Row, Row]:
    """Return the rows of training on Gymnasium's own environment and on its compiled twin; both are tested on it."""
    own = Row(environment, algorithm, *published, settings={"vectorization": "sync"})
    steps, _, at_least = published
    name = f"{environment}, compiled"
    return own, Row(environment, algorithm, steps, _SAME, at_least, name, {"vectorization": "compiled"})


def _without_preset(environment: str, steps: int, at_least: float | None = None) -> Row:
    """Return the row of the general defaults for the budget of a preset, which shows whether the preset is worth it."""
    return Row(environment, "ppo", steps, _SAME, at_least, f"{environment}, general defaults", _GENERAL)


ROWS = [
    *_twins("CartPole-v1", "ppo", 100_000, "500 at 100k (PPO, Stable-Baselines3 zoo)", 495),
    Row("MiniGrid-DoorKey-5x5-v0", "ppo", 100_000, "0.964 at 100k (PPO, zoo)", 0.95),
    _without_preset("MiniGrid-DoorKey-5x5-v0", 100_000, 0.95),
    Row("LunarLander-v3", "ppo", 1_000_000, "242 at 1M (PPO, zoo, v2); 183 at 300k (SLM-Lab)", 242),
    Row(_MAZE, "ppo", 200_000, "0.5 is chance", 0.9, "T-maze of length 10, GRU", {"memory": "gru"}),
    Row(_MAZE, "ppo", 200_000, "0.5 is chance", None, "the same, without memory"),
    Row("LunarLander-v3", "a2c", 200_000, "−64 to 65 on five seeds, zoo's settings on v3; 155 (A2C, zoo, v2)", 65),
    Row("MinAtar/Breakout-v1", "ppo", 1_000_000, "", None),
    Row(_INVADERS, "ppo", 1_000_000, "", None),
    _without_preset(_INVADERS, 1_000_000),
    Row(_INVADERS, "ppo", 1_000_000, "", None, f"{_INVADERS} by Stable-Baselines3, the same work", is_peer=True),
]


def _config(row: Row, seed: int) -> Config:
    said = {"environment": row.environment, "algorithm": row.algorithm, "total_timesteps": row.steps, "seed": seed}
    return Config(**said, **row.settings)


def _key(row: Row, seed: int) -> str:
    """Return a key that contains all settings that decide the result."""
    settings = resolve(Layer("benchmark", _config(row, seed))).settings
    decides = digest({"num_epochs": settings.num_epochs}, settings)
    return f"{row.label or row.environment} {row.algorithm} {seed} {decides[:16]}"


def _measure(row: Row, seed: int) -> dict[str, Any]:
    started = time.perf_counter()
    name = row.label or row.environment
    if row.is_peer:
        from benchmarks.learning.stable_baselines3 import (
            train_and_evaluate,  # imported only where it is measured
        )

        peers = train_and_evaluate(_config(row, seed), EPISODES)
        seconds = time.perf_counter() - started
        return {"row": name, "seed": seed, "seconds": round(seconds, 1), "reached": None, **peers}
    trainer = Trainer(_config(row, seed))
    reached = None  # steps after which the mean return of the last 100 training episodes reached the required score
    bar = row.at_least if row.at_least is not None else _bar_beside(row)
    for report in trainer:
        is_judged = bar is not None and report.episodes >= 100 and report.mean_return is not None
        if reached is None and is_judged and report.mean_return >= bar:
            reached = report.env_steps
    seconds = time.perf_counter() - started
    evaluation = evaluate(trainer.agent, episodes=EPISODES)
    scores = {"greedy": evaluation.greedy.mean, "sampled": evaluation.sampled.mean, "reached": reached}
    return {"row": name, "seed": seed, "seconds": round(seconds, 1), **scores}


def _bar_beside(row: Row) -> float | None:
    """Return the required score of another row with the same environment."""
    bars = [other.at_least for other in ROWS if other.environment == row.environment and other.at_least is not None]
    return bars[0] if bars else None


def _load() -> dict[str, Any]:
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}


def _save(results: dict[str, Any]) -> None:
    write_durably(RESULTS, (json.dumps(results, indent=1, sort_keys=True) + "\n").encode())


def _table(results: dict[str, Any]) -> list[str]:
    lines = [
        "| environment | algorithm | steps | published | at least | reached [95 % over seeds] | each seed | policy "
        "| in training after |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in ROWS:
        mode = find_preset(row.environment, row.algorithm).evaluation
        found = [results[key] for key in (_key(row, seed) for seed in SEEDS) if key in results]
        if not found:
            continue
        scores = [result[mode] for result in found]
        mean, low, high = summarize_seeds(np.array(scores), generator(0, Purpose.BOOTSTRAP))
        each = ", ".join(f"{score:.4g}" for score in scores)
        reached = [result["reached"] for result in found]
        after = "–" if None in reached else f"{int(np.median(reached)):,}"
        bar = "–" if row.at_least is None else f"{row.at_least:g}"
        lines.append(
            f"| {row.label or row.environment} | {row.algorithm.upper()} | {row.steps:,} | {row.published} | {bar} | "
            f"**{mean:.4g}** [{low:.4g}, {high:.4g}] | {each} | {mode} | {after} |"
        )
    return lines


_PAGE = """# Learning results

The final weights (not the best) of runs on seeds {seeds}, with the preset of the environment if there is one, else with
the general defaults. The presets were tuned on other seeds (101 and up), and a preset stays only if it is better than
the general defaults. Each score is the mean return of 100 new episodes, with the policy that the preset names (greedy
or sampled). Rows that say "compiled" trained on the compiled twin of the environment; like all rows, they
are tested on Gymnasium's own. "Reached" is the interquartile mean over seeds with a bootstrap interval over seeds. "In
training after" is the number of steps until the mean return of the last 100 training episodes reached "at least" (of
the row above if a row has none). It is the median over seeds, and is given only if every seed reached this return. The
last bits, and with them the score of a seed, depend on the processor.

DoorKey's intervals overlap on five seeds. On fifteen, its preset reaches 0.9605 [0.9594, 0.9619], the general defaults
0.738 [0.388, 0.950].

{table}

`python -m benchmarks.learning` repeats these measurements row by row. If stopped, it continues where it was.
"""


def _write_page(results: dict[str, Any]) -> None:
    seeds = ", ".join(map(str, SEEDS))
    PAGE.write_text(_PAGE.format(seeds=seeds, table="\n".join(_table(results))))


def main() -> None:
    """Measure the missing rows, then write the page."""
    wanted = sys.argv[1:]
    current = {_key(row, seed) for row in ROWS for seed in SEEDS}
    results = {key: result for key, result in _load().items() if key in current}
    RESULTS.parent.mkdir(exist_ok=True)
    rows = [row for row in ROWS if not wanted or {row.environment, row.label} & set(wanted)]
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
