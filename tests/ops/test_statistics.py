import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actor_critic.ops.comparison import summarize_seeds
from actor_critic.ops.statistics import Summary, interquartile_mean, plainly, summarize


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_mean_and_deviation_worked_out_by_hand() -> None:
    # 2, 4, 9: mean 5, squared deviations 9 + 1 + 16 = 26, deviation √(26/2)
    summary = summarize(np.array([2.0, 4.0, 9.0]), random())
    assert summary.mean == 5
    assert summary.std == pytest.approx(13**0.5)
    assert summary.level == 0.95


def test_interval_of_two_values_is_that_of_their_resampled_means() -> None:
    # Resamples of 0 and 1 have mean 0, ½, 1 with probability ¼, ½, ¼: the outer 5 % are at 0 and 1, and the middle
    # 40 % at ½.
    values = np.array([0.0, 1.0])
    assert summarize(values, random()) == Summary(0.5, 0.5**0.5, 0.0, 1.0, 0.95)
    assert summarize(values, random(), 0.4) == Summary(0.5, 0.5**0.5, 0.5, 0.5, 0.4)


@settings(deadline=None, max_examples=15)
@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=20))
def test_interval_contains_the_mean_and_stays_within_the_sample(numbers: list[int]) -> None:
    values = np.array(numbers, np.float64)
    summary = summarize(values, random())
    assert values.min() <= summary.low <= summary.mean <= summary.high <= values.max()


def test_interval_of_a_single_value_is_that_value() -> None:
    assert summarize(np.array([3.25]), random()) == Summary(3.25, 0.0, 3.25, 3.25, 0.95)


def test_equal_generators_give_equal_summaries() -> None:
    values = random(5).standard_normal(30)
    assert summarize(values, random(1)) == summarize(values, random(1))
    assert summarize(values, random(1)) != summarize(values, random(2))


def test_interval_covers_the_true_mean_about_95_times_in_100() -> None:
    samples = random(0).normal(3.0, 2.0, (100, 40))
    summaries = [summarize(sample, random(seed)) for seed, sample in enumerate(samples)]
    coverage = np.mean([summary.low <= 3.0 <= summary.high for summary in summaries])
    assert 0.9 <= coverage <= 0.99
    # And it is no wider than it must be: 2 · 1.96 σ/√n = 1.24.
    assert np.mean([summary.high - summary.low for summary in summaries]) == pytest.approx(1.24, rel=0.06)


def test_lower_level_gives_a_narrower_interval() -> None:
    values = random(0).standard_normal(50)
    wide, narrow = summarize(values, random(1), 0.95), summarize(values, random(1), 0.5)
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize("shape", [(0,), (), (3, 1)])
def test_sample_that_is_empty_or_not_one_dimensional_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected at least one value"):
        summarize(np.zeros(shape), random())


def test_the_interquartile_mean_leaves_out_a_quarter_at_each_end() -> None:
    assert interquartile_mean(np.array([100.0, 1.0, 2.0, 3.0, -50.0])) == 2.0
    assert interquartile_mean(np.array([4.0, 1.0, 2.0, 100.0])) == 3.0
    assert interquartile_mean(np.array([7.0])) == 7.0
    assert interquartile_mean(np.arange(100.0)) == 49.5
    with pytest.raises(ValueError, match="at least one value"):
        interquartile_mean(np.zeros(0))


def test_the_interval_over_seeds_holds_the_mean_and_narrows_with_more_seeds() -> None:
    random = np.random.default_rng(0)
    widths = []
    for count in (5, 500):
        mean, low, high = summarize_seeds(random.normal(size=count), np.random.default_rng(1))
        assert low <= mean <= high
        widths.append(high - low)
    assert widths[1] < widths[0] / 3
    assert summarize_seeds(np.full(5, 3.0), random) == (3.0, 3.0, 3.0)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (-10_000.0, "-10000"), (999_999_999.0, "999999999"), (1e9, "1e+09"), (12_345.6, "12346"), (1000.0, "1000"),
        (999.96, "1000"), (0.5632, "0.5632"), (-0.000012346, "-1.235e-05"), (0.0, "0"), (238.0, "238"),
    ],
)  # fmt: skip
def test_a_figure_is_shown_without_an_exponent_where_people_count(value: float, shown: str) -> None:
    assert plainly(value) == shown
