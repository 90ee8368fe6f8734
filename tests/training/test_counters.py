"""Episodes counted over many collections, and means kept for as long as none ends."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actor_critic.training.counters import EpisodeTotals


def test_totals_count_episodes_across_collections() -> None:
    totals = EpisodeTotals(["return", "length"], 2)
    figures = np.stack([np.full((3, 2), 10, np.float32), np.ones((3, 2), np.float32)])
    ended = np.array([[False, True], [False, False], [False, False]])
    assert totals.mean("length") is None
    assert totals.update(figures, ended) == 1
    assert totals.mean("length") == 1.0
    assert totals.update(figures, ended) == 1  # environment 1 again, after 2 + 1 steps
    assert totals.mean("length") == 2.0
    assert totals.mean("return") == 20.0
    assert totals.mean("model_return") is None
    assert totals.running.tolist() == [[60.0, 20.0], [6.0, 2.0]]


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=12))
def test_a_mean_is_that_of_the_last_hundred_episodes_whenever_it_is_asked_for(seeds: list[int]) -> None:
    totals, returns = EpisodeTotals(["return", "length"], 3), [[0.0] for _ in range(3)]
    ended_returns: list[float] = []
    for seed in seeds:
        random = np.random.default_rng(seed)
        rewards = random.integers(-9, 9, (7, 3)).astype(np.float32)
        ended = random.random((7, 3)) < random.choice([0.0, 0.9])
        totals.update(np.stack([rewards, np.ones_like(rewards)]), ended)
        for t, env in np.ndindex(7, 3):
            returns[env].append(float(rewards[t, env]))
            if ended[t, env]:
                ended_returns.append(sum(returns[env]))
                returns[env] = []
        recent = ended_returns[-100:]
        assert totals.mean("return") == (np.mean(recent) if recent else None)
        assert totals.count_is_full == (len(recent) == 100)


@pytest.mark.parametrize("count", [99, 100, 101, 2048])
def test_a_window_holds_a_hundred_episodes_or_all_of_the_last_epoch(count: int) -> None:
    totals = EpisodeTotals(["return", "length"], 1)
    totals.update(np.ones((2, 60, 1), np.float32), np.ones((60, 1), np.bool_))
    assert (totals.count, totals.count_is_full) == (60, False)
    figures = np.ones((2, count, 1), np.float32)
    figures[0] = np.arange(count)[:, None]
    totals.update(figures, np.ones((count, 1), np.bool_))
    assert totals.count == max(100, count)
    last = [1.0] * (100 - count) + list(range(count)) if count < 100 else range(count)
    assert totals.mean("return") == np.mean(last)
    totals.update(np.ones((2, 5, 1), np.float32), np.zeros((5, 1), np.bool_))  # none ends: the last hundred again
    assert totals.count == 100
    assert totals.mean("return") == np.mean(last[-100:])


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.02, 0.1, 0.5]), st.booleans())
def test_a_mean_is_representative_where_what_still_runs_began_after_the_first_of_its_episodes(
    seed: int, often: float, is_resumed: bool
) -> None:
    random, totals = np.random.default_rng(seed), EpisodeTotals(["return", "length"], 7)
    begun, ended_at = np.zeros(7), []  # when the running episodes began; when those that ended had begun
    for epoch in range(25):
        ended = random.random((20, 7)) < often * np.arange(7) / 3  # environment 0 never ends an episode
        if epoch > 3:
            ended[:, 0] = random.random(20) < often
        totals.update(np.ones((2, 20, 7), np.float32), ended)
        for t, env in np.argwhere(ended):
            ended_at.append(begun[env])
            begun[env] = epoch * 20 + t + 1
        in_last = max(100, int(ended.sum()))
        window = ended_at[-in_last:]
        expected = len(window) >= 100 and min(window) < begun.min()
        assert totals.is_representative == expected
        if is_resumed:
            since, running, recent = totals.since_oldest, totals.running, totals.recent
            totals = EpisodeTotals(["return", "length"], 7)
            totals.since_oldest, totals.running, totals.recent = since, running, recent
