"""What a search has found: its trials, its winner, and the confirmation on fresh seeds."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from actor_critic.config import Settings
from actor_critic.display import html_table
from actor_critic.ops.statistics import plainly
from actor_critic.report import is_decided

_MEANING = "interquartile means over fresh seeds, with 95% bootstrap intervals whose unit is the seed"


@dataclass(frozen=True)
class TrialResult:
    """One trial.

    Attributes:
        number: Its number in the study, from 0.
        state: "complete", "pruned", "failed", "running" or "waiting".
        values: Its values of the searched settings.
        score: Its score; None unless it is complete.
        seconds: Seconds of training over its seeds, without evaluations. The first epoch, which may compile, counts as
            the mean of the others.
        scores: The score of each seed.
        pruned_at: The part of the run after which it was pruned.
        folder: Its folder.
        error: Why it failed.
    """

    number: int
    state: str
    values: dict[str, Any]
    score: float | None = None
    seconds: float | None = None
    scores: tuple[float, ...] = ()
    pruned_at: float | None = None
    folder: str | None = None
    error: str | None = None

    def describe(self) -> str:
        """Return the trial in one line."""
        values = ", ".join(f"{name} {_shown(value)}" for name, value in self.values.items())
        match self.state:
            case "complete":
                assert self.score is not None and self.seconds is not None
                return f"trial {self.number}: score {plainly(self.score)} in {plainly(self.seconds)} s; {values}"
            case "pruned":
                part = "" if self.pruned_at is None else f" after {self.pruned_at:.0%} of the run"
                return f"trial {self.number}: pruned{part}; {values}"
            case "failed":
                return f"trial {self.number} failed: {self.error}; {values}"
        return f"trial {self.number}: {self.state}; {values}"


@dataclass(frozen=True)
class Scores:
    """Scores over seeds.

    Attributes:
        mean: Interquartile mean over the seeds.
        low: Lower end of its 95 % bootstrap interval.
        high: Upper end.
        each: The score of each seed.
    """

    mean: float
    low: float
    high: float
    each: dict[int, float]

    def describe(self) -> str:
        """Return the scores in words."""
        return f"interquartile mean {plainly(self.mean)}, 95% interval {plainly(self.low)} to {plainly(self.high)}"


@dataclass(frozen=True)
class Confirmation:
    """The winner and the settings without search, on the same fresh seeds.

    Attributes:
        trial: The number of the winner.
        winner: Its scores.
        base: The scores of the settings without search.
        difference: Winner minus base, of the interquartile means.
        low: Lower end of the 95 % bootstrap interval of the difference.
        high: Upper end.
        p_value: Of a permutation test of the difference.
        failed: Why runs failed, if some did.
    """

    trial: int
    winner: Scores
    base: Scores
    difference: float
    low: float
    high: float
    p_value: float
    failed: dict[str, str]

    @property
    def is_better(self) -> bool:
        """Whether the winner is better, and the seeds are enough to say so."""
        return self.is_decided and self.difference > 0

    @property
    def is_decided(self) -> bool:
        """Whether the seeds are enough to tell the settings apart; see :func:`actor_critic.compare`."""
        return is_decided(min(len(self.winner.each), len(self.base.each)), self.p_value)

    def to_document(self) -> dict[str, Any]:
        """Return a JSON document."""
        return {"meaning": _MEANING, "seeds": list(self.winner.each), **asdict(self), "is_better": self.is_better}

    def describe(self) -> list[str]:
        """Return the confirmation in words, line by line."""
        if self.is_better:
            verdict = f"trial {self.trial} is better than the settings without search"
        elif self.is_decided:
            verdict = f"trial {self.trial} is worse than the settings without search: keep those"
        else:
            verdict = (
                f"{len(self.winner.each)} seeds do not show that trial {self.trial} is better than the settings "
                f"without search"
            )
        seeds = " ".join(str(seed) for seed in self.winner.each)
        interval = f"95% interval {plainly(self.low)} to {plainly(self.high)}"
        return [
            f"fresh seeds {seeds}:",
            f"trial {self.trial}: {self.winner.describe()}",
            f"without search: {self.base.describe()}",
            f"difference {plainly(self.difference)}, {interval}, p = {self.p_value:.2g}: {verdict}",
            *(f"{run} failed: {error}" for run, error in self.failed.items()),
        ]


@dataclass(frozen=True)
class SweepResult:
    """What a search has found.

    Attributes:
        folder: Its folder.
        trials: All trials of the study, in their order.
        best: The trial with the highest score; None if none is complete.
        front: The trials that no other trial equals or exceeds in both objectives; with one objective, the best alone.
        settings: The settings of the best trial, with the seed of the settings without search; None without a best one.
        confirmation: The confirmation; None without one.
        is_finished: Whether all trials are done, and the confirmation, if one was wanted.
    """

    folder: Path
    trials: tuple[TrialResult, ...]
    best: TrialResult | None
    front: tuple[TrialResult, ...]
    settings: Settings | None
    confirmation: Confirmation | None
    is_finished: bool

    def _repr_html_(self) -> str:
        rows = [(trial.number, trial.state, trial.score, json.dumps(trial.values)) for trial in self.trials]
        caption = "; ".join(self.confirmation.describe()) if self.confirmation else str(self.folder)
        return html_table(rows, ["trial", "state", "score", "values"], caption)


def best_of(trials: list[TrialResult]) -> TrialResult | None:
    """Return the trial with the highest score; of equal ones, the first."""
    complete = [trial for trial in trials if trial.score is not None]
    return max(complete, key=lambda trial: (trial.score or 0.0, -trial.number), default=None)


def front_of(trials: list[TrialResult]) -> list[TrialResult]:
    """Return the trials of the Pareto front of high score and little time, the highest score first."""
    complete = [trial for trial in trials if trial.score is not None and trial.seconds is not None]
    complete.sort(key=lambda trial: (-(trial.score or 0.0), trial.seconds or 0.0, trial.number))
    front: list[TrialResult] = []
    for trial in complete:
        if not front or (trial.seconds or 0.0) < (front[-1].seconds or 0.0):
            front.append(trial)
    return front


def documents(trials: list[TrialResult]) -> list[dict[str, Any]]:
    """Return the trials as JSON documents."""
    return [{name: value for name, value in asdict(trial).items() if value not in (None, ())} for trial in trials]


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value)
