"""`train --seeds`: the same run on several seeds, side by side, and what they say together."""

import contextlib
import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from actor_critic.cli.running import log, log_to, stopped_by_signals
from actor_critic.cli.screen import say
from actor_critic.config import DEFAULT_LOG, Settings
from actor_critic.errors import ConfigError
from actor_critic.files import write_durably
from actor_critic.runs import new_folder
from actor_critic.seeding import Purpose, generator
from actor_critic.statistics import summarize_seeds
from actor_critic.trainer import INTERRUPTED, Trainer

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
    with (
        ProcessPoolExecutor(at_a_time, multiprocessing.get_context("spawn"), _leave_with_parent) as pool,
        _passed_on_to_seeds(pool) as received,
    ):
        running: dict[Future[dict[str, Any] | None], int] = {
            pool.submit(_train_one, settings.replace(seed=seed), folder / f"seed_{seed}"): seed for seed in seeds
        }
        try:
            for future in as_completed(running):
                document = None if future.cancelled() else future.result()
                if document is not None:
                    documents[running[future]] = document
                    _tell(screen, running[future], document)
        except BrokenProcessPool:
            if not received:  # else a seed was stopped before it had begun
                raise
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    if len(documents) < len(seeds):
        say(
            screen, f"stopped; go on with each seed of {folder} by itself, such as: actor-critic resume {folder}/seed_…"
        )
        return 128 + received[0]
    summary = _summarize({seed: documents[seed] for seed in seeds})
    try:
        write_durably(folder / "seeds.json", (json.dumps(summary, indent=2) + "\n").encode())
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error.strerror or error}") from None
    _print(screen, summary, len(seeds))
    say(screen, f"kept in {folder}")
    return 0


@contextlib.contextmanager
def _passed_on_to_seeds(pool: ProcessPoolExecutor) -> Iterator[list[int]]:
    """Have every seed end its epoch where Ctrl-C or SIGTERM comes while the block runs; gives the signals that came."""
    received: list[int] = []

    def on_signal(number: int, _: FrameType | None) -> None:
        received.append(number)
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_DFL)
        pool.shutdown(wait=False, cancel_futures=True)
        if number == signal.SIGTERM:  # Ctrl-C reaches every process of a terminal by itself
            for process in multiprocessing.active_children():
                process.terminate()

    previous = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _train_one(settings: Settings, folder: Path) -> dict[str, Any] | None:
    """Train a seed; None where it was stopped."""
    trainer = Trainer(settings, folder)
    _training.append(trainer)
    with log_to(str(folder / DEFAULT_LOG)), stopped_by_signals(trainer) as received:
        for _ in trainer:
            pass
    _training.clear()
    if not _parent().is_alive():
        os._exit(1)
    return None if received or trainer.evaluation is None else trainer.evaluation.to_document()


_training: list[Trainer] = []  # in a seed's process


def _leave_with_parent() -> None:
    """Begin to watch the command that this process belongs to: where it is killed, a seed ends its epoch and leaves."""

    def watch() -> None:
        _parent().join()
        if not _training:
            os._exit(1)
        _training[0].stop(INTERRUPTED)

    threading.Thread(target=watch, daemon=True).start()


def _parent() -> multiprocessing.process.BaseProcess:
    parent = multiprocessing.parent_process()
    assert parent is not None
    return parent


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
