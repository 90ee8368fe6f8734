"""Comparisons of groups of seeds: constants worked out by hand, and those of the reference implementation."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actor_critic.ops.comparison import bootstrap, difference, improvements, p_value, seeds_needed
from actor_critic.ops.statistics import interquartile_means

Scores = st.lists(st.integers(-1000, 1000).map(float), min_size=1, max_size=8).map(np.array)


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_improvements_worked_out_by_hand() -> None:
    # Of the 6 pairs of (1, 3) and (0, 1, 5): 1 > 0, 1 = 1, 1 < 5, 3 > 0, 3 > 1, 3 < 5: 3 wins and a tie.
    assert improvements(np.array([[1.0, 3.0]]), np.array([[0.0, 1.0, 5.0]])).tolist() == [3.5 / 6]


def test_figures_are_those_of_the_reference_implementation() -> None:
    # rliable 1.2.0 on arch 8.0.0: aggregate_iqm and probability_of_improvement, 50,000 and 20,000 resamples.
    generator = random(3)
    a, b = 100 + generator.normal(0, 20, 5), 110 + generator.normal(0, 30, 5)
    assert interquartile_means(a[None])[0] == pytest.approx(95.98453299, rel=1e-8)
    assert bootstrap(interquartile_means, [a], random()) == pytest.approx((62.13933554, 129.9995806), rel=1e-3)
    assert improvements(a[None], b[None])[0] == pytest.approx(0.48)
    assert bootstrap(improvements, [a, b], random()) == pytest.approx((0.12, 0.88), abs=1e-9)


@pytest.mark.parametrize(
    ("count", "other", "mean", "interval", "chance", "chances"),
    [
        (10, 7, 95.87570563, (89.90380591, 104.11089014), 0.12857143, (0.0, 0.34285714)),
        (20, 20, 100.68425533, (90.73517847, 109.20241152), 0.3825, (0.21, 0.57)),
    ],
)
def test_larger_groups_agree_with_the_reference_implementation(
    count: int, other: int, mean: float, interval: tuple[float, float], chance: float, chances: tuple[float, float]
) -> None:
    generator = random(3)
    for n, m in ((5, 5), (10, 7), (20, 20)):
        a, b = 100 + generator.normal(0, 20, n), 110 + generator.normal(0, 30, m)
        if n == count:
            break
    assert (len(a), len(b)) == (count, other)
    assert interquartile_means(a[None])[0] == pytest.approx(mean, rel=1e-8)
    assert bootstrap(interquartile_means, [a], random()) == pytest.approx(interval, rel=1e-3)
    assert improvements(a[None], b[None])[0] == pytest.approx(chance)
    assert bootstrap(improvements, [a, b], random()) == pytest.approx(chances, abs=5e-3)


@settings(deadline=None, max_examples=25)
@given(Scores, Scores)
def test_the_probabilities_of_two_groups_add_up_to_one(a: np.ndarray, b: np.ndarray) -> None:
    assert improvements(a[None], b[None])[0] + improvements(b[None], a[None])[0] == pytest.approx(1)
    assert difference(a[None], b[None])[0] == -difference(b[None], a[None])[0]


def test_the_p_value_counts_every_assignment() -> None:
    # Of the 20 assignments of six values to two groups of three, the two that split low and high are as extreme.
    low, high = np.array([0.0, 1.0, 2.0]), np.array([10.0, 11.0, 12.0])
    assert p_value(low, high, random()) == 2 / 20
    # Of the 8 exchanges within three pairs, the two that exchange all or none are as extreme.
    assert p_value(low, high, random(), is_paired=True) == 2 / 8
    assert p_value(low, low, random()) == 1.0


@pytest.mark.slow
def test_the_p_value_of_many_seeds_is_that_of_all_assignments() -> None:
    generator = random(1)
    a, b = generator.normal(0, 1, 9), generator.normal(0.8, 1, 9)  # 48,620 assignments: 20,000 are drawn
    pooled, seen, reached, count = np.concatenate([a, b]), abs(difference(a[None], b[None])[0]), 0, 0
    for chosen in itertools.combinations(range(18), 9):
        rest = np.setdiff1d(np.arange(18), chosen)
        count += 1
        first, second = np.sort(pooled[list(chosen)])[2:7].mean(), np.sort(pooled[rest])[2:7].mean()
        reached += abs(first - second) >= seen * (1 - 1e-9)
    assert p_value(a, b, random()) == pytest.approx(reached / count, abs=0.01)


def test_pairs_are_resampled_together() -> None:
    seeds = np.array([0.0, 100.0, 200.0, 300.0, 400.0])
    assert bootstrap(difference, [seeds + 1, seeds], random(), is_paired=True) == (1.0, 1.0)
    low, high = bootstrap(difference, [seeds + 1, seeds], random())
    assert low < -100 < 100 < high


def test_seeds_needed_worked_out_by_hand() -> None:
    # Means 1 and 3, variances 2 and 2: 2.8² · 4 / 2² = 7.84.
    a, b = np.array([0.0, 2.0]), np.array([2.0, 4.0])
    assert seeds_needed(a, b) == 8
    # The differences of the pairs are 2 and 2: no variance, and at least two seeds.
    assert seeds_needed(a, b, is_paired=True) == 2
    assert seeds_needed(a, a) is None


def test_equal_groups_are_seldom_called_different() -> None:
    generator, false = random(0), 0
    for _ in range(200):
        a, b = (-generator.exponential(1, 5) for _ in range(2))
        false += p_value(a, b, generator) < 0.05
    assert false <= 20  # 5 % are 10; 20 has a chance of 1 in 700
