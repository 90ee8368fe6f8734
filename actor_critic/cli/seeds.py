"""`train --seeds`: the same run on several seeds, side by side, and what they say together."""

import json
import multiprocessing
import os
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from actor_critic.cli.running import log, log_to
from actor_critic.cli.screen import say
from actor_critic.config import DEFAULT_LOG, Settings
from actor_critic.errors import ConfigError
from actor_critic.files import write_durably
from actor_critic.runs import new_folder
from actor_critic.seeding import Purpose, generator
from actor_critic.statistics import summarize_seeds
from actor_critic.trainer import Trainer

_MEANING = "interquartile mean over seeds, with a 95% bootstrap interval whose unit is the seed"


def run_seeds(settings: Settings, seeds: tuple[int, ...], wanted: Path, screen: Console) -> int:
    """Train every seed in a process of its own, as many at a time as there are cores for, and report them together.

    Args:
        settings: Of every run, but for the seed.
        seeds: Different ones.
        wanted: The folder to make, with a run folder ``seed_1`` … for each seed and ``seeds.json`` for all.
        screen: Where to tell of it.

    Returns:
        The exit code.

    Raises:
        ConfigError: The folder cannot be made.
        ActorCriticError: A run failed; the others are kept.
    """
    folder = new_folder(wanted)
    at_a_time = max(1, min(len(seeds), (os.cpu_count() or 1) // settings.cores))
    say(screen, f"{len(seeds)} seeds, {at_a_time} at a time, in {folder}")
    documents: dict[int, dict[str, Any]] = {}
    # Spawned, not forked: a fork would copy the thread pools of a process that has already computed something.
    with ProcessPoolExecutor(at_a_time, multiprocessing.get_context("spawn")) as pool:
        running: dict[Future[dict[str, Any]], int] = {
            pool.submit(_train_one, settings.replace(seed=seed), folder / f"seed_{seed}"): seed for seed in seeds
        }
        try:
            for future in as_completed(running):
                documents[running[future]] = future.result()
                _tell(screen, running[future], documents[running[future]])
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    summary = _summarize({seed: documents[seed] for seed in seeds})
    try:
        write_durably(folder / "seeds.json", (json.dumps(summary, indent=2) + "\n").encode())
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error.strerror or error}") from None
    _print(screen, summary, len(seeds))
    say(screen, f"kept in {folder}")
    return 0


def _train_one(settings: Settings, folder: Path) -> dict[str, Any]:
    trainer = Trainer(settings, folder)
    with log_to(str(folder / DEFAULT_LOG)):
        for _ in trainer:
            pass
    assert trainer.evaluation is not None
    return trainer.evaluation.to_document()


def _tell(screen: Console, seed: int, document: dict[str, Any]) -> None:
    line = f"seed {seed}: greedy {document['greedy']['mean']:.4g}, sampled {document['sampled']['mean']:.4g}"
    log.info(line)
    say(screen, line)


def _summarize(documents: dict[int, dict[str, Any]]) -> dict[str, Any]:
    summary: dict[str, Any] = {"seeds": list(documents), "meaning": _MEANING}
    for mode in ("greedy", "sampled"):
        scores = [document[mode]["mean"] for document in documents.values()]
        mean, low, high = summarize_seeds(np.array(scores), generator(0, Purpose.BOOTSTRAP))
        summary[mode] = {"interquartile_mean": mean, "low": low, "high": high, "each": scores}
    return summary


def _print(screen: Console, summary: dict[str, Any], count: int) -> None:
    table = Table(title=f"last weights, {count} seeds", title_justify="left", box=None, pad_edge=False)
    for column in ("policy", "interquartile mean", "95% interval over seeds", "least", "most"):
        table.add_column(column, justify="left" if column == "policy" else "right")
    for mode in ("greedy", "sampled"):
        figures = summary[mode]
        interval = f"{figures['low']:.4g} to {figures['high']:.4g}"
        least, most = min(figures["each"]), max(figures["each"])
        table.add_row(mode, f"{figures['interquartile_mean']:.4g}", interval, f"{least:.4g}", f"{most:.4g}")
    screen.print(table)
