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

from actor_critic.cli.leaving import Leaving, ending_signals, here_alone
from actor_critic.cli.notes import log, notes
from actor_critic.cli.places import as_typed
from actor_critic.cli.screen import console, printable, say, say_as_is
from actor_critic.config import DEFAULT_LOG, Settings
from actor_critic.errors import ActorCriticError, CheckpointError, ConfigError
from actor_critic.files import write_durably
from actor_critic.ops.statistics import plainly, summarize_seeds
from actor_critic.process import Interrupted, command_line, cores, resume_command
from actor_critic.seeding import Purpose, generator
from actor_critic.storage import new_folder, newest_sound
from actor_critic.training import INTERRUPTED, Trainer

_MEANING = "interquartile mean over seeds, with a 95% bootstrap interval whose unit is the seed"
_SIGNALS = ending_signals()
_PATIENCE = 0.2  # seconds until a signal is passed on


def run_seeds(settings: Settings, seeds: tuple[int, ...], wanted: Path, screen: Console, again: list[str]) -> int:
    """Train every seed in a process of its own, as many at a time as there are cores for, and report them together.

    A seed that fails ends no other one. A signal ends all.

    Args:
        settings: Of every run, but for the seed.
        seeds: Different ones.
        wanted: The folder to make, with a run folder ``seed_1`` … for each seed and ``seeds.json`` for all.
        screen: Where to tell of it.
        again: The words of the command that trains one seed by itself, which follows them.

    Returns:
        The exit code.

    Raises:
        ConfigError: The folder cannot be made.
        ActorCriticError: Some seeds failed; its exit code is that of the first one.
    """
    folder = new_folder(wanted)
    at_a_time = max(1, min(len(seeds), cores.available() // settings.cores))
    say(screen, f"{len(seeds)} seeds, {at_a_time} at a time, in {as_typed(folder)}")
    documents: dict[int, dict[str, Any]] = {}
    failures: dict[int, Exception] = {}
    with _noted_signals(screen) as received, _Processes() as processes:
        waiting = [(seed, settings.replace(seed=seed), folder / f"seed_{seed}") for seed in seeds]
        while processes.running or (waiting and not processes.are_told):
            while waiting and len(processes.running) < at_a_time and not received and not processes.are_told:
                processes.start(*waiting.pop(0))
            if received:
                processes.tell_to_stop()
            for seed, outcome in processes.ended(_PATIENCE):
                if isinstance(outcome, Exception):
                    failures[seed] = outcome
                    _tell(screen, f"seed {seed} failed: {outcome}")
                elif outcome is not None:
                    documents[seed] = outcome
                    _tell(screen, _scores(seed, outcome))
    stopped = [seed for seed in seeds if seed not in documents and seed not in failures]
    if not stopped:
        _keep_summary(screen, folder, {seed: documents[seed] for seed in seeds if seed in documents}, failures)
    else:
        say(screen, "stopped; go on with each seed by itself:")
    for seed in seeds:
        if seed not in documents:
            say_as_is(screen, f"go on with seed {seed}: {_way_on(folder / f'seed_{seed}', settings, seed, again)}")
    if stopped or received:
        return 128 + (received[0] if received else signal.SIGTERM)  # the latter where only a seed was asked to stop
    if failures:
        raise _Failed(failures, len(seeds))
    return 0


class _Failed(ActorCriticError):  # noqa: N818 - the seeds have failed, not the program
    """Some seeds failed; the message names each."""

    def __init__(self, failures: dict[int, Exception], count: int) -> None:
        each = "; ".join(f"seed {seed}: {error}" for seed, error in failures.items())
        super().__init__(each if len(failures) == 1 else f"{len(failures)} of {count} seeds failed: {each}")
        first = next(iter(failures.values()))
        self.exit_code = first.exit_code if isinstance(first, ActorCriticError) else ActorCriticError.exit_code


def _way_on(folder: Path, settings: Settings, seed: int, again: list[str]) -> str:
    """The command that goes on with a seed by itself, from its last checkpoint where it has one."""
    try:
        newest_sound(folder)
    except CheckpointError:
        return command_line(*again, seed)
    return resume_command(as_typed(folder), bool(settings.code_to_trust))


@contextlib.contextmanager
def _noted_signals(screen: Console) -> Iterator[list[int]]:
    """Do no more than note Ctrl-C, SIGTERM or SIGHUP while the block runs; gives the signals that came.

    A handler runs between any two lines, and whatever else it did could wait for a lock that the line before has taken.
    """
    received: list[int] = []
    is_terminal = screen.is_terminal

    def on_signal(number: int, _: FrameType | None) -> None:
        if received:  # a second one, of any kind, ends the process at once
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        received.append(number)
        if number not in (signal.SIGINT, signal.SIGTERM):
            screen.quiet = is_terminal  # which is gone

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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.tell_to_stop()
        while self.running:
            for _seed, _outcome in self.ended(None):
                pass

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

    def ended(self, timeout: float | None) -> Iterator[tuple[int, dict[str, Any] | Exception | None]]:
        """Wait for some that end: each seed with its evaluation, its error, or None where it was stopped."""
        ready = multiprocessing.connection.wait(list(self.running), timeout)
        for connection in [each for each in self.running if each in ready]:
            seed, process = self.running.pop(connection)
            try:
                outcome = connection.recv()
            except (EOFError, OSError):
                process.join()
                outcome = ActorCriticError(f"its process was ended from outside (exit code {process.exitcode})")
            process.join()
            connection.close()
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
    """Ends a seed after its epoch on SIGTERM or SIGHUP, a word from the command, or its death, whichever is first.

    Ctrl-C is left to the command, which is told of it as well by a terminal, and by a mere ``kill -INT`` alone.
    """

    def __init__(self, command: Connection) -> None:
        self.is_asked = command.poll()  # at once, as the thread below may be slow to begin
        self._trainer: Trainer | None = None
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for number in _SIGNALS:
            if number != signal.SIGINT:
                signal.signal(number, here_alone(self._on_signal))
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
        except Interrupted:
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
                raise Interrupted  # only an evaluation is cut short
            self._trainer.stop(INTERRUPTED)


def _train_one(settings: Settings, folder: Path, command: Connection) -> None:
    """Train a seed, and send its evaluation to the command; None where it was stopped, or the error that ended it."""
    leaving, stop = Leaving(), _Stop(command)
    outcome: dict[str, Any] | Exception | None = None
    try:
        if not stop.is_asked:
            with notes(console(), f"seed {settings.seed}: ") as heard:
                heard.show_warnings_only()
                trainer = Trainer(settings, folder)
                with heard.log_to(folder / DEFAULT_LOG), stop.ends(trainer):
                    for _ in trainer:
                        pass
            outcome = trainer.evaluation.to_document() if trainer.evaluation else None
    except ActorCriticError as error:
        outcome = error
    except Exception:  # a defect: told as text, as not every exception survives a pipe
        outcome = RuntimeError(traceback.format_exc())
    with contextlib.suppress(OSError):  # nobody may be there any more
        command.send(outcome)
    leaving.end(0)


# --- in the command ---


def _tell(screen: Console, line: str) -> None:
    log.info("%s", printable(line))
    say(screen, line)


def _scores(seed: int, document: dict[str, Any]) -> str:
    means = {mode: plainly(document[mode]["mean"]) for mode in ("greedy", "sampled")}
    return f"seed {seed}: greedy {means['greedy']}, sampled {means['sampled']}"


def _keep_summary(
    screen: Console, folder: Path, documents: dict[int, dict[str, Any]], failures: dict[int, Exception]
) -> None:
    """Print and keep what the seeds that have finished say together."""
    summary = _summarize(documents) if documents else {"seeds": []}
    if failures:
        summary["failed"] = {str(seed): printable(str(error)) for seed, error in failures.items()}
    try:
        write_durably(folder / "seeds.json", (json.dumps(summary, indent=2) + "\n").encode())
    except OSError as error:
        raise ConfigError(f"{as_typed(folder)} cannot be written: {error.strerror or error}") from None
    if documents:
        count = len(documents) + len(failures)
        _print(screen, summary, f"{len(documents)} of {count} seeds" if failures else f"{count} seeds")
    say_as_is(screen, f"kept in {as_typed(folder)}")


def _summarize(documents: dict[int, dict[str, Any]]) -> dict[str, Any]:
    summary: dict[str, Any] = {"seeds": list(documents), "meaning": _MEANING}
    for mode in ("greedy", "sampled"):
        scores = [document[mode]["mean"] for document in documents.values()]
        mean, low, high = summarize_seeds(np.array(scores), generator(0, Purpose.BOOTSTRAP))
        summary[mode] = {"interquartile_mean": mean, "low": low, "high": high, "each": scores}
    return summary


def _print(screen: Console, summary: dict[str, Any], seeds: str) -> None:
    say(screen, f"last weights, {seeds}")
    table = Table(box=None, pad_edge=False)
    for column in ("policy", "interquartile mean", "95% interval over seeds", "least", "most"):
        table.add_column(column, justify="left" if column == "policy" else "right")
    for mode in ("greedy", "sampled"):
        figures = summary[mode]
        interval = f"{plainly(figures['low'])} to {plainly(figures['high'])}"
        least, most = min(figures["each"]), max(figures["each"])
        table.add_row(mode, plainly(figures["interquartile_mean"]), interval, plainly(least), plainly(most))
    screen.print(table)
