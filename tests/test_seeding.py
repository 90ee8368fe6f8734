import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from actor_critic.seeding import MAX_SEED, Purpose, episode_seed, generator, integer_seed

Key = tuple[int, Purpose, tuple[int, ...]]

seeds = st.integers(0, MAX_SEED)
indices = st.integers(0, 2**32 - 1)
keys = st.tuples(seeds, st.sampled_from(Purpose), st.lists(indices, max_size=3).map(tuple))


@settings(deadline=None)
@given(keys)
def test_equal_arguments_give_equal_numbers_whatever_was_drawn_before(
    key: Key,
) -> None:
    seed, purpose, index = key
    first = generator(seed, purpose, *index).random(5)
    generator(seed, purpose, *index, 1).random(100)
    np.testing.assert_array_equal(generator(seed, purpose, *index).random(5), first)


@settings(deadline=None)
@given(keys, keys)
def test_different_seed_purpose_or_index_gives_a_different_stream(one: Key, other: Key) -> None:
    assume(one != other)
    draws = [generator(seed, purpose, *index).bytes(16) for seed, purpose, index in (one, other)]
    assert draws[0] != draws[1]


def test_every_bit_of_the_seed_counts() -> None:
    assert len({generator(seed, Purpose.ACTIONS).bytes(16) for seed in (0, *(2**bit for bit in range(32)))}) == 33


def test_a_trailing_zero_index_is_another_stream() -> None:
    assert len({generator(0, Purpose.ACTIONS, *[0] * n).bytes(16) for n in range(6)}) == 6


def test_neighbouring_streams_are_uncorrelated() -> None:
    # 64 streams of 4,000 numbers: off-diagonal correlations have deviation 1/√4000 = 0.016; six of them are 0.095.
    streams = np.stack([generator(3, Purpose.ACTIONS, epoch).random(4000) for epoch in range(64)])
    correlations = np.corrcoef(streams) - np.eye(64)
    assert np.abs(correlations).max() < 0.095


def test_numpy_global_generator_is_left_alone() -> None:
    before = np.random.get_state(legacy=True)[1].copy()
    generator(0, Purpose.ACTIONS).random(10)
    episode_seed(0, Purpose.EPISODES, 0, 0)
    np.testing.assert_array_equal(np.random.get_state(legacy=True)[1], before)


@settings(deadline=None)
@given(seeds, indices, indices)
def test_episode_seeds_of_training_selection_and_test_lie_in_disjoint_31_bit_ranges(
    seed: int, environment: int, episode: int
) -> None:
    assert 0 <= episode_seed(seed, Purpose.EPISODES, environment, episode) < 2**30
    assert 2**30 <= episode_seed(seed, Purpose.SELECTION, environment, episode) < 2**30 + 2**29
    assert 2**30 + 2**29 <= episode_seed(seed, Purpose.TEST, environment, episode) < 2**31


@pytest.mark.parametrize(
    ("purpose", "low", "high"),
    [
        (Purpose.EPISODES, 0, 2**30),
        (Purpose.SELECTION, 2**30, 2**30 + 2**29),
        (Purpose.TEST, 2**30 + 2**29, 2**31),
    ],
)
def test_episode_seeds_fill_their_range_evenly(purpose: Purpose, low: int, high: int) -> None:
    found = np.array([episode_seed(1, purpose, i, k) for i in range(20) for k in range(100)])
    # 2,000 seeds over 4 quarters: 500 each, deviation 19.
    counts = np.histogram(found, 4, (low, high))[0]
    assert counts.sum() == 2000
    assert np.abs(counts - 500).max() < 100
    assert len(set(found.tolist())) > 1990


def test_streams_are_the_ones_that_saved_runs_were_made_with() -> None:
    # A checkpoint resumes bit for bit only while these numbers stay: a change here is a change of its schema.
    assert {purpose.name: int(purpose) for purpose in Purpose} == {
        "PARAMETERS": 0,
        "ACTIONS": 1,
        "MINIBATCHES": 2,
        "EPISODES": 3,
        "SELECTION": 4,
        "TEST": 5,
        "REWARD_MODEL": 6,
        "PREDICTION": 7,
        "BOOTSTRAP": 8,
        "EVALUATION_ACTIONS": 9,
        "ENCODER": 10,
        "GLOBAL": 11,
        "SEARCH": 12,
    }
    assert generator(7, Purpose.ACTIONS, 5).integers(2**32, size=2).tolist() == [2549391285, 2568428215]
    assert integer_seed(7, Purpose.PARAMETERS) == 1201125462
    assert episode_seed(7, Purpose.TEST, 2, 3) == 1823235380
