"""Measure scaling: how time and memory grow with the size of the work.

    python -m benchmarks.speed.scaling

One size at a time is raised; all others stay. Each point runs in its own process. It gives the seconds of an epoch
(median without the first) and the peak memory. Exponents are computed between the last two points; 1 is linear in the
size. Writes benchmarks/results/scaling.json for docs/benchmarks.md.
"""

import json
import math
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

RESULTS = Path(__file__).parents[1] / "results/scaling.json"

BASE: dict[str, Any] = {
    "preset": "none",
    "algorithm": "ppo",
    "num_envs": 64,
    "num_steps": 16,
    "num_minibatches": 4,
    "update_epochs": 2,
    "hidden_dim": 64,
    "clip_coef": 0.2,
    "normalize_advantages": True,
}

# For each raised size: the points, and the quantity in which the cost should be linear.
AXES: dict[str, tuple[list[dict[str, Any]], str]] = {
    "environments": ([{"num_envs": n, "num_minibatches": 1} for n in (1, 8, 64, 512, 4096)], "num_envs"),
    "hidden width": ([{"hidden_dim": n} for n in (16, 64, 256, 1024)], "weights"),
    "minibatch size": ([{"num_envs": 512, "num_minibatches": 8192 // n} for n in (32, 256, 2048, 8192)], "minibatch"),
    "actions": ([{"output_dim": n} for n in (2, 10, 100, 1000, 10_000)], "output_dim"),
    "rollout length": ([{"num_envs": 8, "num_steps": n} for n in (16, 128, 1024, 8192)], "num_steps"),
}


def _point(changes: dict[str, Any]) -> dict[str, float]:
    """Return seconds per epoch and peak memory in MB of a run in this process."""
    from actor_critic import Config, Trainer

    epochs, seconds = 12, []
    trainer = Trainer(Config(**BASE | changes, num_epochs=epochs))
    started = time.perf_counter()
    for _ in trainer:
        seconds.append(time.perf_counter() - started)
        started = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)
    return {"seconds": statistics.median(seconds[1:]), "megabytes": peak}


def _long_run(epochs: int) -> dict[str, float]:
    """Return the memory in MB after a tenth of a long run, and at its end."""
    from actor_critic import Config, Trainer

    process, held = psutil.Process(), 0.0
    for report in Trainer(Config(environment="CartPole-v1", num_envs=8, num_steps=8, num_epochs=epochs)):
        if report.epoch == epochs // 10:
            held = process.memory_info().rss / 1e6
    return {"epochs": epochs, "early": held, "late": process.memory_info().rss / 1e6}


def _size(changes: dict[str, Any], named: str) -> float:
    settings = {"output_dim": 2} | BASE | changes
    if named == "weights":
        hidden = settings["hidden_dim"]
        return float(2 * (10 * hidden + hidden * hidden) + 3 * hidden)
    if named == "minibatch":
        return settings["num_envs"] * settings["num_steps"] / settings["num_minibatches"]
    return float(settings[named])


def _in_a_process(*arguments: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.speed.scaling", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    answer: dict[str, float] = json.loads(result.stdout.splitlines()[-1])
    return answer


def main() -> None:
    """Measure all points, or one with ``--point``."""
    if sys.argv[1:2] == ["--point"]:
        print(json.dumps(_point(json.loads(sys.argv[2]))))
        return
    if sys.argv[1:2] == ["--long"]:
        print(json.dumps(_long_run(int(sys.argv[2]))))
        return
    results: dict[str, Any] = {}
    for axis, (points, named) in AXES.items():
        found = [_in_a_process("--point", json.dumps(changes)) for changes in points]
        sizes = [_size(changes, named) for changes in points]
        exponents = {
            figure: math.log(found[-1][figure] / found[-2][figure]) / math.log(sizes[-1] / sizes[-2])
            for figure in ("seconds", "megabytes")
        }
        results[axis] = {"size": named, "sizes": sizes, "found": found, "exponents": exponents}
        print(axis, [f"{each['seconds'] * 1e3:.2f} ms {each['megabytes']:.0f} MB" for each in found], exponents)
    results["long run"] = _in_a_process("--long", "20000")
    print("long run", results["long run"])
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
