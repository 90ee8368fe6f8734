"""Statistics over seeds: the interval of one group of scores, and comparisons of two groups."""

import itertools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from actor_critic.ops.statistics import interquartile_mean, interquartile_means

_RESAMPLES = 50_000
_EXACT = 20_000  # up to so many rearrangements, each is tried

Scores = npt.NDArray[np.float64]


def improvements(scores: Scores, others: Scores) -> Scores:
    """Compute the probability that a score of one group is higher than one of another; ties count a half.

    P(X > Y) = mean over all pairs of [x > y] + ½ [x = y], the statistic of Mann and Whitney (Agarwal et al., 2021,
    "Deep Reinforcement Learning at the Edge of the Statistical Precipice", section 4.3).

    Args:
        scores: [R, n].
        others: [R, m].

    Returns:
        [R].
    """
    pairs = np.sign(scores[:, :, None] - others[:, None, :])
    found: Scores = 0.5 + pairs.mean((1, 2)) / 2
    return found


def difference(scores: Scores, others: Scores) -> Scores:
    """Compute the difference of the interquartile means of two groups [R, n] and [R, m]."""
    return interquartile_means(scores) - interquartile_means(others)


def bootstrap(
    statistic: Callable[..., Scores],
    groups: list[Scores],
    generator: np.random.Generator,
    level: float = 0.95,
    is_paired: bool = False,
) -> tuple[float, float]:
    """Compute a percentile bootstrap interval, stratified by group: each group is resampled by itself.

    (Efron and Tibshirani, 1993, chapter 13; Agarwal et al., 2021, section 4.2.)

    Args:
        statistic: Takes resamples [R, n] of each group, and returns [R].
        groups: [n] scores of each group.
        generator: Draws 50,000 resamples.
        level: Confidence level, in (0, 1).
        is_paired: Whether score k of every group is of the same seed; the groups then share their resamples.

    Returns:
        The lower and upper ends.
    """
    values = []
    most = max(len(group) for group in groups)
    at_a_time = max(1, min(_RESAMPLES, 2_000_000 // most**2))
    for first in range(0, _RESAMPLES, at_a_time):
        count = min(at_a_time, _RESAMPLES - first)
        places = [generator.integers(0, len(group), (count, len(group))) for group in groups]
        shared = places[:1] * len(groups) if is_paired else places
        values.append(statistic(*(group[each] for group, each in zip(groups, shared, strict=True))))
    low, high = np.quantile(np.concatenate(values), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def summarize_seeds(scores: Scores, generator: np.random.Generator, level: float = 0.95) -> tuple[float, float, float]:
    """Compute the interquartile mean over seeds and its percentile-bootstrap interval over seeds.

    Args:
        scores: [n], one score per seed.
        generator: Draws the 50,000 resamples.
        level: Confidence level, in (0, 1).

    Returns:
        The interquartile mean, and the lower and upper ends of the interval.

    Raises:
        ValueError: The sample is empty or not one-dimensional.
    """
    mean = interquartile_mean(scores)
    return mean, *bootstrap(interquartile_means, [scores], generator, level)


def p_value(scores: Scores, others: Scores, generator: np.random.Generator, is_paired: bool = False) -> float:
    """Compute how often a difference of interquartile means as large as this one arises by chance.

    A permutation test: if the groups were alike, every assignment of the scores to them would be as likely (for pairs:
    every exchange within pairs). All assignments are tried if they are few, else 20,000 random ones.

    Args:
        scores: [n].
        others: [m]; [n] for pairs.
        generator: Draws the random assignments.
        is_paired: Whether score k of both groups is of the same seed.

    Returns:
        The two-sided p value, in (0, 1].
    """
    seen = abs(float(difference(scores[None], others[None])[0]))
    if is_paired:
        found = _exchanged(scores, others, generator)
    else:
        found = _assigned(np.concatenate([scores, others]), len(scores), generator)
    is_exact = len(found) != _EXACT
    reached = int((np.abs(found) >= seen * (1 - 1e-9)).sum())
    return reached / len(found) if is_exact else (reached + 1) / (len(found) + 1)


def _exchanged(scores: Scores, others: Scores, generator: np.random.Generator) -> Scores:
    count = len(scores)
    if 2**count < _EXACT:
        swaps = np.array(list(itertools.product([False, True], repeat=count)))
    else:
        swaps = generator.random((_EXACT, count)) < 0.5
    return difference(np.where(swaps, others, scores), np.where(swaps, scores, others))


def _assigned(pooled: Scores, count: int, generator: np.random.Generator) -> Scores:
    chosen = list(itertools.islice(itertools.combinations(range(len(pooled)), count), _EXACT))
    if len(chosen) == _EXACT:
        order = generator.random((_EXACT, len(pooled))).argsort(1)
    else:
        rest = [sorted({*range(len(pooled))} - {*each}) for each in chosen]
        order = np.array([[*each, *left] for each, left in zip(chosen, rest, strict=True)])
    drawn = pooled[order]
    return difference(drawn[:, :count], drawn[:, count:])


def seeds_needed(scores: Scores, others: Scores, is_paired: bool = False) -> int | None:
    """Estimate how many seeds of each group would show a difference of this size in four of five experiments.

    n = (1.96 + 0.84)² (s² + t²) / d², with the difference d of the means and the standard deviations s and t of the
    groups; for pairs, the variance of their differences takes the place of s² + t² (Cohen, 1988, chapter 2).

    Args:
        scores: [n], at least two.
        others: [m], at least two; [n] for pairs.
        is_paired: Whether score k of both groups is of the same seed.

    Returns:
        The number; None if the groups have the same mean.
    """
    gap = float(scores.mean() - others.mean())
    if gap == 0.0:
        return None
    spread = (scores - others).var(ddof=1) if is_paired else scores.var(ddof=1) + others.var(ddof=1)
    return max(2, int(np.ceil(2.8**2 * float(spread) / gap**2)))
