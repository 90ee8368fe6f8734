"""Random numbers of functional environments: those of NumPy, and in Python those of compiled code."""

import math
from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from actor_critic.environments.functional.compiled.random import episode_seed, random_at, start
from actor_critic.environments.functional.random import RANDOM_METHODS, WORDS, Random
from actor_critic.seeding import MAX_SEED, Purpose, episode_seed_range
from actor_critic.seeding import episode_seed as episode_seed_in_python

SEEDS = st.integers(0, 2**64 - 1)


def _drawn(words: npt.NDArray[np.uint64], seed: Any, kinds: npt.NDArray[np.int64], numbers: Any, results: Any) -> None:
    """Draw one number of each kind in turn; the same source in Python and compiled."""
    start(words, seed)
    random = random_at(words)
    for i in range(len(kinds)):
        a, b = numbers[i, 0], numbers[i, 1]
        if kinds[i] == 0:
            results[i] = random.uniform(a, b)
        elif kinds[i] == 1:
            results[i] = random.integers(int(a), int(a) + 1 + int(abs(b)))
        elif kinds[i] == 2:
            results[i] = random.normal(a, b)
        elif kinds[i] == 3:
            results[i] = random.exponential(a)
        elif kinds[i] == 4:
            results[i] = random.poisson(abs(a) * 7.0)
        elif kinds[i] == 5:
            results[i] = random.choice(np.abs(numbers[i]))
        else:
            random.shuffle(results[: i + 1])


_compiled = njit(error_model="numpy")(_drawn)


def _in_python(words: npt.NDArray[np.uint64], seed: int, kinds: Any, numbers: Any, results: Any) -> None:
    own = _drawn.__globals__ | {
        "start": lambda words, seed: Random(words).seed(int(seed)),
        "random_at": Random,
    }
    type(_drawn)(_drawn.__code__, own)(words, seed, kinds, numbers, results)


@settings(deadline=None)
@given(seed=SEEDS, count=st.integers(1, 40))
def test_words_and_uniform_numbers_are_those_of_numpys_philox(seed: int, count: int) -> None:
    random = Random(np.zeros(WORDS, np.uint64))
    random.seed(seed)
    assert [random.next_word() for _ in range(count)] == np.random.Philox(key=seed).random_raw(count).tolist()
    random.seed(seed)
    expected = np.random.Generator(np.random.Philox(key=seed)).random(count)
    assert [random.uniform() for _ in range(count)] == expected.tolist()


@settings(deadline=None)
@given(
    seed=SEEDS,
    draws=st.lists(st.tuples(st.integers(0, 6), st.floats(-9, 9), st.floats(-9, 9)), min_size=1, max_size=30),
)
def test_compiled_numbers_of_every_kind_are_those_of_python(seed: int, draws: list[tuple[int, float, float]]) -> None:
    kinds = np.array([kind for kind, _, _ in draws], np.int64)
    numbers = np.array([numbers for _, *numbers in draws])
    numbers[np.abs(numbers) < 1e-3] = 0.5
    found = []
    for function in (_in_python, _compiled):
        words, results = np.zeros(WORDS, np.uint64), np.zeros(len(kinds))
        function(words, np.uint64(seed), kinds, numbers, results)
        found.append((words.tobytes(), results.tobytes()))
    assert found[0] == found[1]


@settings(deadline=None)
@given(
    seed=st.integers(0, MAX_SEED),
    purpose=st.sampled_from([Purpose.EPISODES, Purpose.SELECTION, Purpose.TEST]),
    environment=st.integers(0, 2**31),
    episode=st.integers(0, 2**31),
)
def test_compiled_episode_seeds_are_those_of_numpys_seed_sequence(
    seed: int, purpose: Purpose, environment: int, episode: int
) -> None:
    expected = episode_seed_in_python(seed, purpose, environment, episode)
    assert episode_seed(seed, int(purpose), *episode_seed_range(purpose), environment, episode) == expected


def _many(draw: Any, count: int = 4000) -> npt.NDArray[np.float64]:
    random = Random(np.zeros(WORDS, np.uint64))
    random.seed(5)
    return np.array([draw(random) for _ in range(count)], np.float64)


@pytest.mark.parametrize(
    ("draw", "mean", "deviation"),
    [
        (lambda random: random.uniform(-1.0, 3.0), 1.0, 4 / math.sqrt(12)),
        (lambda random: random.normal(2.0, 3.0), 2.0, 3.0),
        (lambda random: random.exponential(4.0), 4.0, 4.0),
        (lambda random: random.poisson(3.0), 3.0, math.sqrt(3)),
        (lambda random: random.poisson(1200.0), 1200.0, math.sqrt(1200)),
        (lambda random: random.integers(-2, 5), 1.0, 2.0),
        (lambda random: random.choice([1.0, 0.0, 3.0]), 1.5, math.sqrt(0.75)),
    ],
)
def test_each_distribution_has_its_mean_and_deviation(draw: Any, mean: float, deviation: float) -> None:
    found = _many(draw, 400 if mean > 100 else 4000)
    assert abs(found.mean() - mean) < 4.5 * deviation / math.sqrt(len(found))
    assert found.std() == pytest.approx(deviation, rel=0.15)


def test_a_shuffle_gives_every_order_equally_often() -> None:
    random = Random(np.zeros(WORDS, np.uint64))
    random.seed(1)
    counts: Counter[tuple[int, ...]] = Counter()
    for _ in range(6000):
        values = np.arange(3)
        random.shuffle(values)
        counts[tuple(values.tolist())] += 1
    assert len(counts) == 6
    assert all(abs(count - 1000) < 150 for count in counts.values())


def test_the_listed_methods_are_those_that_are_there() -> None:
    methods = {name for name in vars(Random) if not name.startswith("_")}
    assert methods == {*RANDOM_METHODS, "seed", "next_word"}
