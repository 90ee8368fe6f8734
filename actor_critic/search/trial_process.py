"""One trial in a process of its own: its seeds in turn, and its learning curve on the way."""

import contextlib
import functools
import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from actor_critic.config import Settings
from actor_critic.errors import ActorCriticError
from actor_critic.training import (
    SeedProcesses,
    Start,
    StopRequest,
    Trainer,
    begun_or_continued,
    send_outcome,
    start_here,
)

Outcome = dict[str, Any] | Exception | None


@dataclass(frozen=True)
class Curve:
    """The points of a learning curve, and the pipe that takes them.

    Attributes:
        points: Number of points.
        pipe: Sends a point and the mean return, and receives whether the trial goes on.
    """

    points: int
    pipe: Connection

    def goes_on(self, before: int, now: int, mean_return: float) -> bool:
        """Send the points after ``before``, and return whether the trial goes on."""
        try:
            for point in range(before + 1, now + 1):
                self.pipe.send((point, mean_return))
                if not self.pipe.recv():
                    return False
        except (EOFError, OSError):  # the parent has ended; its stop request follows
            return True
        return True


class TrialProcess:
    """The process of one trial, as its parent sees it.

    Attributes:
        curve: The pipe of the learning curve; None after its end.
    """

    def __init__(
        self, settings: Settings, folder: Path, seeds: Sequence[int], points: int, start: Start = start_here
    ) -> None:
        """Start the process.

        Args:
            settings: The settings of the trial, except the seed.
            folder: Its folder, with a run folder ``seed_1`` … for each seed.
            seeds: The seeds.
            points: Number of points of the learning curve.
            start: Starts a process, here or on another machine.
        """
        ours, theirs = multiprocessing.get_context("spawn").Pipe()
        self.curve: Connection | None = ours
        self._processes = SeedProcesses(functools.partial(_train, seeds=tuple(seeds), points=points), start)
        self._processes.start(0, settings, folder, theirs)

    @property
    def pipes(self) -> list[Connection]:
        """The pipes to wait for."""
        return [*self._processes.running, *([self.curve] if self.curve else [])]

    def stop(self) -> None:
        """Ask the process to stop after the epoch."""
        self._processes.tell_to_stop()

    def point(self) -> tuple[int, float] | None:
        """Return the next point of the learning curve if there is one; :meth:`answer` must follow."""
        try:
            if self.curve and self.curve.poll():
                received: tuple[int, float] = self.curve.recv()
                return received
        except (EOFError, OSError):
            self._close_curve()
        return None

    def answer(self, goes_on: bool) -> None:
        """Say whether the trial goes on after a point."""
        if self.curve:
            with contextlib.suppress(OSError):  # it has just ended
                self.curve.send(goes_on)

    def ended(self) -> list[Outcome]:
        """Return the outcome if the process has ended, else nothing."""
        outcomes = [outcome for _, outcome in self._processes.ended(0)]
        if outcomes:
            self._close_curve()
        return outcomes

    def _close_curve(self) -> None:
        if self.curve:
            self.curve.close()
            self.curve = None


def why(error: Exception) -> str:
    """Return an error in one line; for the traceback of a bug, its last line."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return lines[0] if isinstance(error, ActorCriticError) else lines[-1].strip()


# --- in the process of a trial ---


def _train(
    settings: Settings, folder: Path, parent: Connection, curve: Connection, seeds: Sequence[int], points: int
) -> None:
    """Train the seeds in turn, and send their evaluations, an error, or None (if stopped) to the parent."""
    send_outcome(parent, lambda stop: _train_seeds(settings, folder, stop, seeds, Curve(points, curve)))


def _train_seeds(
    settings: Settings, folder: Path, stop: StopRequest, seeds: Sequence[int], curve: Curve
) -> dict[str, Any] | None:
    seconds = 0.0
    evaluations: list[dict[str, Any]] = []
    for seed in seeds:
        if stop.is_asked:
            return None
        trainer = begun_or_continued(settings.replace(seed=seed), folder / f"seed_{seed}")
        with stop.ends(trainer):
            is_first = not evaluations
            pruned_at, took = _train_one(trainer, curve if is_first else None)
        seconds += took
        if pruned_at is not None:
            return {"pruned_at": pruned_at, "seconds": seconds}
        if trainer.evaluation is None:
            return None
        evaluations.append(trainer.evaluation.to_document())
    return {"evaluations": evaluations, "seconds": seconds}


def _train_one(trainer: Trainer, curve: Curve | None) -> tuple[float | None, float]:
    """Train a seed.

    Returns:
        The part of the run after which it was pruned, or None; and the seconds of training, without the evaluation.
        The first epoch, which may compile, counts as the mean of the others.
    """
    total = trainer.settings.total_timesteps
    point, pruned_at = (curve.points * trainer.env_steps // total if curve else 0), None
    times = [time.perf_counter()]
    for report in trainer:
        times.append(time.perf_counter())
        if curve is None:
            continue
        before, point = point, curve.points * report.env_steps // total
        if report.mean_return is None or not before < point < curve.points:
            continue
        if not curve.goes_on(before, point, report.mean_return):
            pruned_at = report.env_steps / total
            break  # keeps a checkpoint, and makes no evaluation
    epochs = len(times) - 1
    seconds = (times[-1] - times[1]) * epochs / (epochs - 1) if epochs > 1 else times[-1] - times[0]
    return pruned_at, seconds
