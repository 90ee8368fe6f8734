"""Episodes counted over many collections, and means kept for as long as none ends."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from actor_critic.progress import EpisodeTotals


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
    totals, returns = EpisodeTotals(["return"], 3), [[0.0] for _ in range(3)]
    ended_returns: list[float] = []
    for seed in seeds:
        random = np.random.default_rng(seed)
        rewards = random.integers(-9, 9, (7, 3)).astype(np.float32)
        ended = random.random((7, 3)) < random.choice([0.0, 0.9])
        totals.update(rewards[None], ended)
        for t, env in np.ndindex(7, 3):
            returns[env].append(float(rewards[t, env]))
            if ended[t, env]:
                ended_returns.append(sum(returns[env]))
                returns[env] = []
        recent = ended_returns[-100:]
        assert totals.mean("return") == (np.mean(recent) if recent else None)
        assert totals.count_is_full == (len(recent) == 100)
