"""Normalised scores over several problems, with intervals (Agarwal et al., 2021)."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from actor_critic.ops.statistics import interquartile_mean
from actor_critic.seeding import Purpose, generator
from benchmarks.learning.suite import Problem

RESAMPLES = 2000


def normalized(problem: Problem, returns: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Scale returns: 0 is random, 1 the best known; lower than random counts as random."""
    return np.clip((returns - problem.random) / (problem.best - problem.random), 0.0, None)


def interval(
    tables: list[npt.NDArray[np.float64]], statistic: Callable[[list[npt.NDArray[np.float64]]], float]
) -> tuple[float, float, float]:
    """Return a statistic of the scores of all problems, and its 95 % interval by a bootstrap within each problem.

    (Agarwal et al., 2021, "Deep reinforcement learning at the edge of the statistical precipice", section 4.)
    """
    random = generator(0, Purpose.BOOTSTRAP)
    drawn = [
        statistic([table[random.integers(0, len(table), len(table))] for table in tables]) for _ in range(RESAMPLES)
    ]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return statistic(tables), float(low), float(high)


def improvement(tables: list[npt.NDArray[np.float64]]) -> float:
    """Return the mean over problems of P(ours > theirs), where equal scores count half.

    Args:
        tables: The scores of ours on each problem, and after them the scores of the peer.
    """
    found = []
    for ours, theirs in zip(tables[: len(tables) // 2], tables[len(tables) // 2 :], strict=True):
        larger, equal = ours[:, None] > theirs[None, :], ours[:, None] == theirs[None, :]
        found.append(float(larger.mean() + 0.5 * equal.mean()))
    return float(np.mean(found))


def pooled(tables: list[npt.NDArray[np.float64]]) -> float:
    """Return the interquartile mean over all problems and seeds."""
    return interquartile_mean(np.concatenate(tables))
