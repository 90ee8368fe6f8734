"""The confirmation: the winner and the settings without search, trained on the same fresh seeds."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from actor_critic.config import Settings
from actor_critic.ops.comparison import summarize_seeds
from actor_critic.report import contrast
from actor_critic.search.plan import Plan
from actor_critic.search.results import Confirmation, Scores
from actor_critic.search.trial_process import why
from actor_critic.seeding import Purpose, generator
from actor_critic.storage import read_evaluation
from actor_critic.training import SeedProcesses, Start, train_seed

FOLDER = "confirmation"
_PATIENCE = 0.2  # seconds between two looks at signals
_BASE = "without_search"


@dataclass(frozen=True)
class _Run:
    name: str
    seed: int
    settings: Settings
    folder: Path

    def score(self, mode: str) -> float | None:
        """Return the score that the run, or an earlier one in this place, has kept."""
        for folder in (self.folder, *sorted(self.folder.parent.glob(f"{self.folder.name}_*"))):
            document = read_evaluation(folder) or {}
            if mode in document:
                return float(document[mode]["mean"])
        return None


def fresh_seeds(plan: Plan) -> list[int]:
    """Return the seeds of the confirmation: the first from 1 on that no trial has."""
    return list(
        itertools.islice((seed for seed in itertools.count(1) if seed not in plan.trial_seeds), plan.confirm_seeds)
    )


def confirm(
    plan: Plan,
    folder: Path,
    trial: int,
    settings: Settings,
    tell: Callable[[str], None],
    is_stopped: Callable[[], bool],
    start: Start,
) -> Confirmation | None:
    """Train the winner and the settings without search on fresh seeds; runs that are there already are not repeated.

    Args:
        plan: The plan of the search.
        folder: The folder of the search.
        trial: The number of the winner.
        settings: Its settings.
        tell: Takes lines for the user.
        is_stopped: Whether the user has asked to stop.
        start: Starts the process of a run, here or on another machine.

    Returns:
        The comparison; None if it was stopped, or if too many runs failed.
    """
    place = folder / FOLDER
    place.mkdir(exist_ok=True)
    both = {f"trial_{trial:04d}": settings, _BASE: plan.base}
    runs = [
        _Run(name, seed, each.replace(seed=seed), place / name / f"seed_{seed}")
        for seed in fresh_seeds(plan)
        for name, each in both.items()
    ]
    lock = FileLock(place / ".lock")  # two processes of one folder train each run once
    while not lock.is_locked:
        try:
            lock.acquire(timeout=_PATIENCE)
        except Timeout:
            if is_stopped():
                return None
    with lock:
        failed = _train([run for run in runs if run.score(plan.score) is None], plan, tell, is_stopped, start)
    if failed is None:
        return None
    found = {(run.name, run.seed): score for run in runs if (score := run.score(plan.score)) is not None}
    winner, base = ({seed: score for (name, seed), score in found.items() if name == each} for each in both)
    if min(len(winner), len(base)) < 2:
        tell("the winner is not confirmed: too many runs failed: " + "; ".join(f"{n}: {e}" for n, e in failed.items()))
        return None
    found_between = contrast("winner", winner, _BASE, base, generator(0, Purpose.BOOTSTRAP))
    figures = found_between.difference, found_between.low, found_between.high, found_between.p_value
    return Confirmation(trial, _scores(winner), _scores(base), *figures, failed)


def _train(
    runs: list[_Run], plan: Plan, tell: Callable[[str], None], is_stopped: Callable[[], bool], start: Start
) -> dict[str, str] | None:
    """Train runs in parallel; return why some failed, or None if the user stopped them."""
    failed: dict[str, str] = {}
    waiting = list(enumerate(runs))
    has_stopped = False
    with SeedProcesses(train_seed, start) as processes:
        while processes.running or (waiting and not processes.are_told):
            while waiting and len(processes.running) < plan.at_a_time() and not is_stopped():
                number, run = waiting.pop(0)
                processes.start(number, run.settings, run.folder)
            if is_stopped():
                processes.tell_to_stop()
            for number, outcome in processes.ended(_PATIENCE):
                run = runs[number]
                if isinstance(outcome, Exception):
                    failed[f"{run.name} seed {run.seed}"] = why(outcome)
                elif outcome is None:
                    has_stopped = True
                else:
                    tell(f"{run.name} seed {run.seed}: {_shown(outcome, plan.score)}")
    return None if has_stopped or waiting else failed


def _shown(outcome: dict[str, Any], mode: str) -> str:
    return f"score {outcome[mode]['mean']:.4g}"


def _scores(each: dict[int, float]) -> Scores:
    mean, low, high = summarize_seeds(np.array(list(each.values())), generator(0, Purpose.BOOTSTRAP))
    return Scores(mean, low, high, each)
