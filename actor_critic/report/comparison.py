"""Which of several groups of runs is better, and whether their seeds are enough to say so."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from actor_critic.errors import ConfigError
from actor_critic.ops.comparison import bootstrap, difference, improvements, p_value, seeds_needed, summarize_seeds
from actor_critic.ops.statistics import interquartile_means, plainly
from actor_critic.report.records import Group, Records, read_group
from actor_critic.seeding import Purpose, generator
from actor_critic.storage import here

SCORES = ("greedy", "sampled")
ENOUGH_SEEDS = 5
_SIGNIFICANT = 0.05
_ENOUGH_PAIRS = 6  # with five pairs, the smallest p value is 2/32
_MANY_SEEDS = 1000
_POINTS, _BAND_RESAMPLES = 60, 1000

Array = npt.NDArray[np.float64]
_Played = tuple[str, dict[str, Any]]


def is_decided(fewest: int, p_value: float) -> bool:
    """Return whether seeds are enough to tell two groups apart: at least five of each, and p < 0.05.

    Args:
        fewest: The smaller number of seeds.
        p_value: Of a permutation test of the difference.
    """
    return fewest >= ENOUGH_SEEDS and p_value < _SIGNIFICANT


@dataclass(frozen=True)
class Standing:
    """The scores of one group.

    Attributes:
        name: The name of the group.
        seeds: Its seeds.
        scores: The score of each seed.
        mean: Their interquartile mean.
        low: Lower end of its 95 % bootstrap interval over seeds.
        high: Upper end.
        env_steps: Environment steps of a run, the mean over seeds.
        seconds: Seconds of collecting and updating, the mean over seeds.
    """

    name: str
    seeds: list[int]
    scores: list[float]
    mean: float
    low: float
    high: float
    env_steps: float
    seconds: float


@dataclass(frozen=True)
class Contrast:
    """One group against another.

    Attributes:
        name: The name of the group.
        against: The name of the other one.
        difference: The interquartile mean of the group minus that of the other one.
        low: Lower end of its 95 % bootstrap interval over seeds.
        high: Upper end.
        probability: The probability that a seed of the group scores higher than one of the other group.
        probability_low: Lower end of its 95 % bootstrap interval.
        probability_high: Upper end.
        p_value: Of a permutation test of the difference.
        is_paired: Whether both groups have the same seeds. These are then resampled together for the interval of the
            difference, and from six seeds on the test exchanges scores within pairs.
        fewest: The smaller number of seeds.
        needed: About how many seeds of each group would show a difference of this size; None if it is 0, or unknown
            with a single seed.
    """

    name: str
    against: str
    difference: float
    low: float
    high: float
    probability: float
    probability_low: float
    probability_high: float
    p_value: float
    is_paired: bool
    fewest: int
    needed: int | None

    @property
    def is_decided(self) -> bool:
        """Whether the seeds are enough to tell the groups apart."""
        return is_decided(self.fewest, self.p_value)

    def verdict(self) -> str:
        """Return in words which group is better, or how many seeds would tell."""
        if self.is_decided:
            return f"{self.name} is {'better' if self.difference > 0 else 'worse'} than {self.against}"
        if self.fewest < 2:
            more = f"train at least {ENOUGH_SEEDS} seeds of each"
        elif self.needed is None:
            more = "their means are equal"
        elif self.needed > _MANY_SEEDS:
            more = f"more than {_MANY_SEEDS:,} seeds of each would be needed"
        else:
            count = max(ENOUGH_SEEDS, self.needed, self.fewest + 1)
            more = f"about {count} seeds of each would tell, if the difference is what it seems"
        few = "too few seeds to decide" if self.fewest < ENOUGH_SEEDS else "not decided"
        return f"{self.name} and {self.against}: {few}; {more}"


@dataclass(frozen=True)
class Curve:
    """The training return of a group: the interquartile mean over seeds, with 95 % bootstrap intervals.

    Attributes:
        name: The name of the group.
        places: [K], environment steps or seconds.
        mean: [K]; NaN before the first episode of a seed ended.
        low: [K].
        high: [K].
    """

    name: str
    places: Array
    mean: Array
    low: Array
    high: Array


@dataclass(frozen=True)
class Comparison:
    """A comparison of groups of runs.

    Attributes:
        environment: The environment of all of them.
        score: "greedy" or "sampled": the actions of the evaluation whose mean return is the score of a seed.
        groups: The groups, as they were given.
        standings: The scores of each group.
        contrasts: Each group after the first against the first.
        differing: The settings that differ, each with its value in every group.
        by_steps: The training return of each group over environment steps, up to where all have runs.
        by_seconds: The same over seconds of collecting and updating.
    """

    environment: str
    score: str
    groups: list[Group]
    standings: list[Standing]
    contrasts: list[Contrast]
    differing: dict[str, list[Any]]
    by_steps: list[Curve]
    by_seconds: list[Curve]

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return the header and the rows of a table of the standings."""
        header = ["group", "seeds", "interquartile mean", "95% interval", "least", "most", "steps", "seconds"]
        rows = [
            [each.name, str(len(each.seeds)), plainly(each.mean), f"{plainly(each.low)} to {plainly(each.high)}",
             plainly(min(each.scores)), plainly(max(each.scores)), f"{each.env_steps:,.0f}", f"{each.seconds:.1f}"]
            for each in self.standings
        ]  # fmt: skip
        return header, rows

    def to_document(self) -> dict[str, Any]:
        """Return a JSON document."""
        return {
            "environment": self.environment,
            "score": f"mean return of {self.score} actions in the final evaluation of a seed",
            "intervals": "95% bootstrap over seeds",
            "groups": [dict(vars(standing)) for standing in self.standings],
            "contrasts": [
                {**vars(contrast), "is_decided": contrast.is_decided, "verdict": contrast.verdict()}
                for contrast in self.contrasts
            ],
            "settings": self.differing,
            "training_return": {
                unit: [{"group": curve.name, **_points(curve, unit)} for curve in curves]
                for unit, curves in (("env_steps", self.by_steps), ("seconds", self.by_seconds))
            },
        }


def compare(*folders: str | Path, score: str = "greedy", names: Sequence[str] = ()) -> Comparison:
    """Compare groups of runs on one environment: each is a run folder, or a folder of ``train --seeds``.

    The score of a seed is the mean return of its final evaluation. Groups are compared by interquartile means and by
    the probability of improvement, with 95 % bootstrap intervals over seeds (Agarwal et al., 2021).

    Args:
        folders: At least two folders; each is compared with the first.
        score: The actions of the evaluation: "greedy" or "sampled".
        names: What to call the groups; the folders' names if empty.

    Raises:
        ConfigError: A path is no run folder, a run is not over, or the environments differ.
        CheckpointError: A file is missing, damaged or not readable.
    """
    if score not in SCORES:
        raise ConfigError(f"score: {score!r} is not allowed; expected {' or '.join(SCORES)}")
    if len(folders) < 2:
        raise ConfigError(f"compare: expected at least two folders; got {len(folders)}")
    labels = list(names) or group_names(folders)
    if len(labels) != len(folders) or len(set(labels)) < len(labels):
        raise ConfigError(f"names: {labels!r} is not allowed; expected {len(folders)} different names")
    groups = [read_group(here() / folder, name) for folder, name in zip(folders, labels, strict=True)]
    return compare_groups(groups, score)


def compare_groups(groups: list[Group], score: str = "greedy") -> Comparison:
    """Compare groups that were read; see :func:`compare`."""
    _check_are_comparable(groups)
    random = generator(0, Purpose.BOOTSTRAP)
    standings = [_standing(group, score, random) for group in groups]
    (first, *rest), scores = standings, [dict(zip(each.seeds, each.scores, strict=True)) for each in standings]
    contrasts = [
        contrast(each.name, own, first.name, scores[0], random) for each, own in zip(rest, scores[1:], strict=True)
    ]
    return Comparison(
        groups[0].settings.environment,
        score,
        groups,
        standings,
        contrasts,
        _differing(groups),
        _curves(groups, lambda run: run.metrics["env_steps"], random),
        _curves(groups, lambda run: run.seconds, random),
    )


def curve_over_seeds(
    group: Group, places: Callable[[Records], Array], last: float, random: np.random.Generator
) -> Curve:
    """Return the training return of a group at about 60 equal places.

    Args:
        group: The runs.
        places: Returns the environment steps or the seconds [epochs] of a run.
        last: The last place.
        random: Draws resamples of the seeds; all places share them.
    """
    grid = np.linspace(0.0, last, _POINTS + 1)[1:]
    rows = np.stack([_at(places(run), run.metrics["mean_return"], grid) for run in group.runs])
    chosen = random.integers(0, len(rows), (_BAND_RESAMPLES, len(rows)))
    with np.errstate(invalid="ignore"):
        means = np.stack([interquartile_means(rows[chosen, k]) for k in range(_POINTS)])
        low, high = np.quantile(means, [0.025, 0.975], axis=1)
        mean = np.where(np.isfinite(rows).all(0), interquartile_means(rows.T), np.nan)
        return Curve(group.name, grid, mean, low, high)


def _at(places: Array, values: Array, grid: Array) -> Array:
    known = np.isfinite(values)
    if not known.any():
        return np.full(len(grid), np.nan)
    return np.interp(grid, places[known], values[known], left=np.nan)


def _curves(groups: list[Group], places: Callable[[Records], Array], random: np.random.Generator) -> list[Curve]:
    last = min(float(places(run)[-1]) for group in groups for run in group.runs)
    return [curve_over_seeds(group, places, last, random) for group in groups]


def _points(curve: Curve, unit: str) -> dict[str, list[float | None]]:
    columns = {unit: curve.places, "mean": curve.mean, "low": curve.low, "high": curve.high}
    return {name: [float(x) if np.isfinite(x) else None for x in column] for name, column in columns.items()}


def group_names(paths: Sequence[str | Path]) -> list[str]:
    """Return short names for folders: their paths without what all of them begin or end with.

    Raises:
        ConfigError: A path is given twice.
    """
    parts = [Path(path).parts or (str(path),) for path in paths]
    if twice := next((path for path in paths if list(map(str, paths)).count(str(path)) > 1), None):
        raise ConfigError(f"{twice} is given twice; expected different folders")
    while min(map(len, parts)) > 1 and len({each[0] for each in parts}) == 1:
        parts = [each[1:] for each in parts]
    while min(map(len, parts)) > 1 and len({each[-1] for each in parts}) == 1:
        parts = [each[:-1] for each in parts]
    return [Path(*each).as_posix() for each in parts]


def _check_are_comparable(groups: list[Group]) -> None:
    first = groups[0]
    expected = _played(first.runs[0])
    for group in groups:
        for folder, run in zip(group.folders, group.runs, strict=True):
            if run.evaluation is None:
                done = f"{run.epochs} of {run.settings.num_epochs} epochs"
                raise ConfigError(
                    f"{folder} has no evaluation of its last weights ({done}), so it has no score; wait for its end, "
                    f"continue it with actor-critic resume, or leave it out"
                )
            if _played(run) != expected:
                raise ConfigError(f"{folder} {_how_it_differs(_played(run), expected, first.folders[0])}")


def _how_it_differs(one: _Played, other: _Played, folder: Path) -> str:
    """Return in words how what a run is evaluated on differs from another run's."""
    if one[0] != other[0]:
        return f"is evaluated on {one[0]}, and {folder} on {other[0]}; expected one environment"
    names = sorted(one[1].keys() | other[1].keys())
    name = next(each for each in names if one[1].get(each) != other[1].get(each))
    values = (one[1].get(name), other[1].get(name))
    return f"is evaluated with {name}={values[0]!r}, and {folder} with {values[1]!r}; expected one environment"


def _played(run: Records) -> _Played:
    """Return the environment of a run's evaluation, and its arguments."""
    settings = run.settings.for_evaluation()
    own = ["max_episode_steps", "evaluation_max_steps"]
    if settings.is_random_states:
        own = ["input_dim", "output_dim", "reward_model", "reward_model_kwargs"]
    return settings.environment, {**settings.environment_kwargs, **{name: getattr(settings, name) for name in own}}


def _standing(group: Group, score: str, random: np.random.Generator) -> Standing:
    evaluations = [run.evaluation for run in group.runs if run.evaluation]
    scores = np.array([evaluation.modes[score].returns.mean for evaluation in evaluations])
    mean, low, high = summarize_seeds(scores, random)
    steps = float(np.mean([run.metrics["env_steps"][-1] for run in group.runs]))
    seconds = float(np.mean([run.seconds[-1] for run in group.runs]))
    return Standing(group.name, group.seeds, scores.tolist(), mean, low, high, steps, seconds)


def contrast(
    name: str, scores: dict[int, float], against: str, others: dict[int, float], random: np.random.Generator
) -> Contrast:
    """Compare the scores of one group with those of another.

    Args:
        name: The name of the group.
        scores: The score of each seed.
        against: The name of the other group.
        others: The score of each of its seeds.
        random: Draws resamples and assignments.
    """
    is_paired = scores.keys() == others.keys() and len(scores) > 1
    ours, theirs = (np.array([each[seed] for seed in sorted(each)]) for each in (scores, others))
    fewest = min(len(ours), len(theirs))
    low, high = bootstrap(difference, [ours, theirs], random, is_paired=is_paired)
    least, most = bootstrap(improvements, [ours, theirs], random)
    return Contrast(
        name,
        against,
        float(difference(ours[None], theirs[None])[0]),
        low,
        high,
        float(improvements(ours[None], theirs[None])[0]),
        least,
        most,
        p_value(ours, theirs, random, is_paired and fewest >= _ENOUGH_PAIRS),
        is_paired,
        fewest,
        seeds_needed(ours, theirs, is_paired) if fewest > 1 else None,
    )


def _differing(groups: list[Group]) -> dict[str, list[Any]]:
    """Return the settings that differ between groups, without the seed."""
    documents = [group.settings.to_document() for group in groups]
    found = {}
    for name in documents[0]:
        values = [document.get(name) for document in documents]
        if name not in ("seed", "log_file") and any(value != values[0] for value in values):
            found[name] = values
    return found


def shown_value(value: Any) -> str:
    """Return the value of a setting for display."""
    return "off" if value is None else value if isinstance(value, str) else json.dumps(value)


def interval(mean: float, low: float, high: float) -> str:
    """Return a mean and its interval in words."""
    return f"{plainly(mean)} [{plainly(low)}, {plainly(high)}]"
