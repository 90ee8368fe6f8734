"""`train --seeds`: the same run on several seeds, side by side, and what they say together."""

import contextlib
import json
import multiprocessing
import multiprocessing.connection
import signal
import threading
import traceback
from collections.abc import Iterator
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import FrameType
from typing import Any, Self

import numpy as np
from rich.console import Console
from rich.table import Table

from actor_critic import cores
from actor_critic.cli.running import log, log_to
from actor_critic.cli.screen import say
from actor_critic.config import DEFAULT_LOG, Settings
from actor_critic.errors import ActorCriticError, ConfigError
from actor_critic.files import write_durably
from actor_critic.runs import new_folder
from actor_critic.seeding import Purpose, generator
from actor_critic.statistics import summarize_seeds
from actor_critic.trainer import INTERRUPTED, Trainer

_MEANING = "interquartile mean over seeds, with a 95% bootstrap interval whose unit is the seed"
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_PATIENCE = 0.2  # seconds until a signal is passed on


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
    at_a_time = max(1, min(len(seeds), cores.available() // settings.cores))
    say(screen, f"{len(seeds)} seeds, {at_a_time} at a time, in {folder}")
    documents: dict[int, dict[str, Any]] = {}
    with _noted_signals() as received, _Processes() as processes:
        waiting = [(seed, settings.replace(seed=seed), folder / f"seed_{seed}") for seed in seeds]
        while processes.running or (waiting and not processes.are_told):
            while waiting and len(processes.running) < at_a_time and not received and not processes.are_told:
                processes.start(*waiting.pop(0))
            if received:
                processes.tell_to_stop()
            for seed, document in processes.ended(_PATIENCE):
                if document is not None:
                    documents[seed] = document
                    _tell(screen, seed, document)
    if len(documents) < len(seeds):
        say(
            screen, f"stopped; go on with each seed of {folder} by itself, such as: actor-critic resume {folder}/seed_…"
        )
        return 128 + (received[0] if received else signal.SIGTERM)  # the latter where only a seed was asked to stop
    summary = _summarize({seed: documents[seed] for seed in seeds})
    try:
        write_durably(folder / "seeds.json", (json.dumps(summary, indent=2) + "\n").encode())
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error.strerror or error}") from None
    _print(screen, summary, len(seeds))
    say(screen, f"kept in {folder}")
    return 128 + received[0] if received else 0


@contextlib.contextmanager
def _noted_signals() -> Iterator[list[int]]:
    """Do no more than note Ctrl-C or SIGTERM while the block runs; gives the signals that came.

    A handler runs between any two lines, and whatever else it did could wait for a lock that the line before has taken.
    """
    received: list[int] = []

    def on_signal(number: int, _: FrameType | None) -> None:
        received.append(number)
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_DFL)  # a second one, of either kind, ends the process at once

    previous = {number: signal.signal(number, on_signal) for number in _SIGNALS}
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class _Processes:
    """A process for each seed that is running, and a pipe to it: a word down asks it to stop, its outcome comes up.

    Leaving the block asks all to stop and waits for them.
    """

    def __init__(self) -> None:
        self.running: dict[Connection, tuple[int, SpawnProcess]] = {}
        self.are_told = False
        self._failure: Exception | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.tell_to_stop()
        while self.running:
            for _seed, _document in self.ended(None):
                pass
        if self._failure is not None:
            raise self._failure

    def start(self, seed: int, settings: Settings, folder: Path) -> None:
        """Begin with a seed."""
        # Spawned, not forked: a fork would copy the thread pools of a process that has already computed something.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_train_one, args=(settings, folder, theirs))
        with _held_back_signals():  # and in the process until it has handlers: importing PyTorch takes seconds
            process.start()
        theirs.close()  # else the pipe would not end with the process
        self.running[ours] = seed, process

    def tell_to_stop(self) -> None:
        """Ask all that are running to stop after their epoch, once."""
        if not self.are_told:
            self.are_told = True
            for connection in self.running:
                with contextlib.suppress(OSError):  # it has just ended
                    connection.send(None)

    def ended(self, timeout: float | None) -> Iterator[tuple[int, dict[str, Any] | None]]:
        """Wait for some that end: each seed with its evaluation, or None where it was stopped.

        Where one fails the others are asked to stop, and the block raises its error when they have.
        """
        ready = multiprocessing.connection.wait(list(self.running), timeout)
        for connection in [each for each in self.running if each in ready]:
            seed, process = self.running.pop(connection)
            try:
                outcome = connection.recv()
            except (EOFError, OSError):
                process.join()
                outcome = ActorCriticError(
                    f"the process of seed {seed} was ended from outside (exit code {process.exitcode}) and the other "
                    f"seeds have stopped; go on with each by itself: actor-critic resume"
                )
            process.join()
            connection.close()
            if isinstance(outcome, Exception):
                self._failure = self._failure or outcome
                self.tell_to_stop()
            else:
                yield seed, outcome


@contextlib.contextmanager
def _held_back_signals() -> Iterator[None]:
    """Hold signals back until the block is left; a process that is started in it holds them back until it says so."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # where the first process starts it, it would let the signals through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# --- in a seed's process ---


class _Stop:
    """Ends a seed after its epoch on SIGTERM, a word from the command, or the command's death, whichever comes first.

    Ctrl-C is left to the command, which is told of it as well by a terminal, and by a mere ``kill -INT`` alone.
    """

    def __init__(self, command: Connection) -> None:
        self.is_asked = command.poll()  # at once, as the thread below may be slow to begin
        self._trainer: Trainer | None = None
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._on_signal)
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        threading.Thread(target=self._listen, args=(command,), daemon=True).start()

    @contextlib.contextmanager
    def ends(self, trainer: Trainer) -> Iterator[None]:
        """End this run, which may have been asked for already, and close it."""
        self._trainer = trainer
        try:
            if self.is_asked:
                trainer.stop(INTERRUPTED)
            yield
        except KeyboardInterrupt:
            log.info("interrupted in the evaluation of the last weights")
        finally:
            self._trainer = None
            trainer.close()

    def _listen(self, command: Connection) -> None:
        with contextlib.suppress(EOFError, OSError):  # the command is dead
            command.recv()
        signal.raise_signal(signal.SIGTERM)  # what the main thread does in its handler, it does not do twice at a time

    def _on_signal(self, *_: object) -> None:
        if self.is_asked:
            return
        self.is_asked = True
        if self._trainer is not None:
            if self._trainer.is_over and self._trainer.evaluation is None:
                raise KeyboardInterrupt  # only an evaluation is cut short
            self._trainer.stop(INTERRUPTED)


def _train_one(settings: Settings, folder: Path, command: Connection) -> None:
    """Train a seed, and send its evaluation to the command; None where it was stopped, or the error that ended it."""
    stop = _Stop(command)
    outcome: dict[str, Any] | Exception | None = None
    try:
        if not stop.is_asked:
            trainer = Trainer(settings, folder)
            with log_to(str(folder / DEFAULT_LOG)), stop.ends(trainer):
                for _ in trainer:
                    pass
            outcome = trainer.evaluation.to_document() if trainer.evaluation else None
    except ActorCriticError as error:
        outcome = error
    except Exception:  # a defect: told as text, as not every exception survives a pipe
        outcome = RuntimeError(traceback.format_exc())
    with contextlib.suppress(OSError):  # nobody may be there any more
        command.send(outcome)


# --- in the command ---


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
