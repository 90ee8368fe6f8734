"""Targets against numbers worked out by hand, and against what they are by definition."""

import numpy as np
import pytest

from actor_critic.algorithm import bootstrap_values, clip_rewards, compute_targets
from actor_critic.algorithm.targets import _moments, explained_variance

VALUES = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
NOWHERE = np.zeros(0, np.int64), np.zeros(0, np.int64)


def test_rewards_are_clipped_on_both_sides_or_left_alone() -> None:
    rewards = np.array([[-3, 0.5], [0, 3]], np.float32)
    assert clip_rewards(rewards, 2.0).tolist() == [[-2, 0.5], [0, 2]]
    assert clip_rewards(rewards, None) is rewards


def test_a_step_is_followed_by_the_next_value_or_by_that_of_its_final_observation() -> None:
    last, none = np.array([7, 8], np.float32), np.zeros(0, np.float32)
    assert bootstrap_values(VALUES, last, NOWHERE, none).tolist() == [[3, 4], [5, 6], [7, 8]]
    at = np.array([0, 2]), np.array([1, 0])
    final = np.array([-1, -2], np.float32)
    assert bootstrap_values(VALUES, last, at, final).tolist() == [[3, -1], [5, 6], [-2, 8]]
    assert bootstrap_values(VALUES, None, at, final).tolist() == [[3, -1], [5, 6], [-2, 0]]


def test_returns_are_those_of_monte_carlo_where_lambda_is_1() -> None:
    rewards = np.ones((3, 2), np.float32)
    terminated = np.array([[False, False], [False, True], [False, False]])
    after = bootstrap_values(VALUES, np.array([8, 16], np.float32), NOWHERE, np.zeros(0, np.float32))
    found = compute_targets(rewards, VALUES, after, terminated, terminated, 0.5, 1.0)
    assert found.returns.tolist() == [[2.75, 1.5], [3.5, 1], [5, 9]]
    np.testing.assert_array_equal(found.advantages, found.returns - VALUES)
    expected = 1 - found.advantages.var(dtype=np.float64) / found.returns.var(dtype=np.float64)
    assert found.explained_variance == pytest.approx(expected)


def test_pauses_do_not_count_in_the_explained_variance() -> None:
    rewards = np.array([[1, 2], [3, 1e6]], np.float32)
    values, none = rewards.copy(), np.zeros((2, 2), np.float32)
    values[1, 1] = -1e6
    ended = np.ones((2, 2), np.bool_)
    found = compute_targets(rewards, values, none, ended, ended, 0.9, 0.9)
    assert found.explained_variance is not None and found.explained_variance < 0
    valid = np.array([[True, True], [True, False]])
    assert compute_targets(rewards, values, none, ended, ended, 0.9, 0.9, valid).explained_variance == 1.0


@pytest.mark.parametrize(
    ("returns", "error", "expected"),
    [
        ([1, 2, 3], 0.0, 1.0),
        ([1, 2, 3], 10.0, 1.0),  # an offset has no variance
        ([5, 5, 5], 0.0, None),
        ([1e6, 1e6 + 0.0625, 1e6], 0.0, None),  # the last bit of float32
        ([np.inf, 1, 2], 0.0, None),
        ([], 0.0, None),
    ],
)
def test_explained_variance_is_none_where_returns_do_not_vary(
    returns: list[float], error: float, expected: float | None
) -> None:
    array = np.array(returns, np.float32)
    with np.errstate(invalid="ignore"):
        found = explained_variance(_moments(np.full_like(array, error)), _moments(array), 10, 1.0)
    assert found == expected
