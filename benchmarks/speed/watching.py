"""Measure what watching a run costs: the live view, TensorBoard, and the loggers, on CartPole.

    python -m benchmarks.speed.watching [STEPS]

Runs with and without alternate in one process, so that both see the same machine. The ratio is of the time of training
and records, without the start of the loggers, which is given in seconds.
"""

import io
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from actor_critic import Config, Trainer
from actor_critic.report.live import TerminalView

REPEATS = 5
WATCHED: dict[str, dict[str, Any]] = {
    "run folder alone": {},
    "live view": {"view": True},
    "wandb": {"logger": ["wandb"]},
    "mlflow": {"logger": ["mlflow"]},
    "all of them": {"view": True, "logger": ["wandb", "mlflow"]},
}


def seconds(steps: int, vectorization: str, logger: list[str] | None = None, view: bool = False) -> tuple[float, float]:
    """Return the seconds until the first epoch has ended, and those of the other epochs and the end."""
    config = Config(
        environment="CartPole-v1", vectorization=vectorization, total_timesteps=steps, logger=logger, seed=1
    )  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(config, Path(folder) / "run")
        shown = TerminalView(Console(file=io.StringIO(), force_terminal=True, width=80), trainer.settings, 0)
        began = time.perf_counter()
        started = 0.0
        with shown if view else open(os.devnull):
            for report in trainer:
                started = started or time.perf_counter()
                if view:
                    shown.show(report)
                if report.epoch == trainer.settings.num_epochs:
                    break
        trainer.close()
        return started - began, time.perf_counter() - started


def main() -> None:
    """Print the table."""
    steps = int(sys.argv[1]) if sys.argv[1:] else 400_000
    for vectorization in ("sync", "compiled"):
        seconds(20_000, vectorization)  # compiles
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in WATCHED}
        for _ in range(REPEATS):
            for name, how in WATCHED.items():
                found[name].append(seconds(steps, vectorization, **how))
        plain = statistics.median(rest for _, rest in found["run folder alone"])
        print(f"CartPole-v1, {vectorization}, {steps:,} steps, median of {REPEATS}: {plain:.2f} s with a run folder")
        for name, pairs in found.items():
            start, rest = (statistics.median(column) for column in zip(*pairs, strict=True))
            print(f"  {name:18} {rest / plain - 1:+7.1%}   first epoch after {start:.2f} s")


if __name__ == "__main__":
    main()
