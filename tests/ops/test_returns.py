from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actor_critic.ops.returns import discounted_sums, generalized_advantage

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]


def column(*numbers: float) -> Floats:
    return np.array(numbers, np.float32)[:, None]


def flags(*values: int) -> Bools:
    return np.array(values, np.bool_)[:, None]


def random_rollout(seed: int, steps: int, envs: int) -> dict[str, Any]:
    """A consistent rollout: where an episode goes on, the value that follows is the value of the next step."""
    random = np.random.default_rng(seed)
    rewards, values, next_values = random.standard_normal((3, steps, envs), np.float32)
    terminated, truncated = random.random((2, steps, envs)) < 0.2
    ended = terminated | truncated
    next_values[:-1] = np.where(ended[:-1], next_values[:-1], values[1:])
    return {
        "rewards": rewards,
        "values": values,
        "next_values": next_values,
        "terminated": terminated,
        "ended": ended,
    }


rollouts = st.builds(random_rollout, st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 3))
unit = st.floats(0, 1)


def test_advantages_worked_out_by_hand() -> None:
    # γ = λ = ½, so γλ = ¼, and the values are chosen so that float32 is exact.
    # All three environments see rewards 1, 2, 3, values 4, 2, 6 and next values 2, 6, 8; with 10 where truncated.
    #   goes on:             δ = 1 + ½·2 − 4, 2 + ½·6 − 2, 3 + ½·8 − 6 = −2, 3, 1
    #                        Â₂ = 1, Â₁ = 3 + ¼·1 = 3.25, Â₀ = −2 + ¼·3.25 = −1.1875
    #   terminated at t = 1: δ = −2, 2 − 2, 1 = −2, 0, 1        Â₂ = 1, Â₁ = 0, Â₀ = −2
    #   truncated at t = 1:  δ = −2, 2 + ½·10 − 2, 1 = −2, 5, 1 Â₂ = 1, Â₁ = 5, Â₀ = −2 + ¼·5 = −0.75
    advantages = generalized_advantage(
        rewards=np.repeat(column(1, 2, 3), 3, axis=1),
        values=np.repeat(column(4, 2, 6), 3, axis=1),
        next_values=np.concatenate([column(2, 6, 8), column(2, 6, 8), column(2, 10, 8)], axis=1),
        terminated=np.concatenate([flags(0, 0, 0), flags(0, 1, 0), flags(0, 0, 0)], axis=1),
        ended=np.concatenate([flags(0, 0, 0), flags(0, 1, 0), flags(0, 1, 0)], axis=1),
        gamma=0.5,
        gae_lambda=0.5,
    )
    assert advantages.dtype == np.float32
    np.testing.assert_array_equal(advantages.T, [[-1.1875, 3.25, 1], [-2, 0, 1], [-0.75, 5, 1]])


# A chain of two states with reward 1 a step, seen for one episode of two steps, γ = 0.9.
# If it goes round for ever, V = 1/(1 − γ) = 10 in both states. If it ends after the second, V = 1 + γ = 1.9, then 1.
@pytest.mark.parametrize("gae_lambda", [0.0, 0.5, 1.0])
def test_truncated_step_bootstraps_from_its_final_value(gae_lambda: float) -> None:
    chain = {"rewards": column(1, 1), "values": column(10, 10), "next_values": column(10, 10), "ended": flags(0, 1)}
    advantages = generalized_advantage(**chain, terminated=flags(0, 0), gamma=0.9, gae_lambda=gae_lambda)
    np.testing.assert_allclose(advantages, column(0, 0), atol=1e-6)


@pytest.mark.parametrize("gae_lambda", [0.0, 0.5, 1.0])
def test_terminated_step_bootstraps_from_zero_whatever_the_next_value_says(gae_lambda: float) -> None:
    chain = {"rewards": column(1, 1), "values": column(1.9, 1), "next_values": column(1, 10), "ended": flags(0, 1)}
    advantages = generalized_advantage(**chain, terminated=flags(0, 1), gamma=0.9, gae_lambda=gae_lambda)
    np.testing.assert_allclose(advantages, column(0, 0), atol=1e-6)


def test_rollout_cut_in_mid_episode_bootstraps_like_a_truncation() -> None:
    chain = {"rewards": column(1, 1), "values": column(9, 9), "next_values": column(9, 10), "terminated": flags(0, 0)}
    cut = generalized_advantage(**chain, ended=flags(0, 0), gamma=0.9, gae_lambda=0.5)
    truncated = generalized_advantage(**chain, ended=flags(0, 1), gamma=0.9, gae_lambda=0.5)
    np.testing.assert_array_equal(cut, truncated)
    np.testing.assert_allclose(cut, column(0.1 + 0.45 * 1, 1), rtol=1e-5)  # δ = 1 + 0.9·9 − 9, 1 + 0.9·10 − 9


@settings(deadline=None, max_examples=50)
@given(rollouts, unit, unit)
def test_advantage_is_the_discounted_sum_of_td_errors_up_to_the_end_of_the_episode(
    rollout: dict[str, Any], gamma: float, gae_lambda: float
) -> None:
    advantages = generalized_advantage(**rollout, gamma=gamma, gae_lambda=gae_lambda)
    steps, envs = advantages.shape
    expected = np.zeros((steps, envs))
    for n in range(envs):
        for t in range(steps):
            for k in range(t, steps):
                following = 0.0 if rollout["terminated"][k, n] else gamma * float(rollout["next_values"][k, n])
                delta = float(rollout["rewards"][k, n]) + following - float(rollout["values"][k, n])
                expected[t, n] += (gamma * gae_lambda) ** (k - t) * delta
                if rollout["ended"][k, n]:
                    break
    np.testing.assert_allclose(advantages, expected, rtol=1e-4, atol=1e-4)


@settings(deadline=None, max_examples=50)
@given(rollouts, unit)
def test_lambda_one_is_the_monte_carlo_return_minus_the_value(rollout: dict[str, Any], gamma: float) -> None:
    advantages = generalized_advantage(**rollout, gamma=gamma, gae_lambda=1.0)
    steps, envs = advantages.shape
    for n in range(envs):
        following = float(rollout["next_values"][-1, n])
        for t in reversed(range(steps)):
            if rollout["ended"][t, n]:
                following = float(rollout["next_values"][t, n])
            if rollout["terminated"][t, n]:
                following = 0.0
            following = float(rollout["rewards"][t, n]) + gamma * following
            assert advantages[t, n] == pytest.approx(following - rollout["values"][t, n], rel=1e-4, abs=1e-4)


@settings(deadline=None, max_examples=50)
@given(rollouts, unit)
def test_lambda_zero_is_the_one_step_td_error(rollout: dict[str, Any], gamma: float) -> None:
    advantages = generalized_advantage(**rollout, gamma=gamma, gae_lambda=0.0)
    following = np.where(rollout["terminated"], 0.0, rollout["next_values"])
    np.testing.assert_allclose(advantages, rollout["rewards"] + gamma * following - rollout["values"], atol=1e-5)


@pytest.mark.parametrize("is_terminated", [True, False])
def test_nothing_after_an_episode_reaches_back_into_it(is_terminated: bool) -> None:
    rollout = random_rollout(0, 10, 2)
    rollout["terminated"][4], rollout["ended"][4] = is_terminated, True
    before = generalized_advantage(**rollout, gamma=0.99, gae_lambda=0.95)
    for name in ("rewards", "values", "next_values"):
        rollout[name][5:] += 100
    after = generalized_advantage(**rollout, gamma=0.99, gae_lambda=0.95)
    np.testing.assert_array_equal(after[:5], before[:5])
    assert (after[5:] != before[5:]).all()


def test_environments_do_not_reach_into_each_other_and_arguments_are_not_changed() -> None:
    rollout = random_rollout(1, 10, 3)
    originals = {name: array.copy() for name, array in rollout.items()}
    together = generalized_advantage(**rollout, gamma=0.99, gae_lambda=0.95)
    for n in range(3):
        alone = {name: array[:, n : n + 1] for name, array in rollout.items()}
        np.testing.assert_array_equal(
            generalized_advantage(**alone, gamma=0.99, gae_lambda=0.95), together[:, n : n + 1]
        )
    for name, array in rollout.items():
        np.testing.assert_array_equal(array, originals[name])


@pytest.mark.parametrize("name", ["rewards", "values", "next_values", "terminated", "ended"])
@pytest.mark.parametrize("spoil", [lambda a: a[:, 0], lambda a: a[1:], lambda a: a.astype(np.float64)])
def test_wrong_shape_or_dtype_is_refused(name: str, spoil: Any) -> None:
    rollout = random_rollout(2, 4, 2)
    with pytest.raises(ValueError, match=r"expected shape \[T, N\]"):
        generalized_advantage(**(rollout | {name: spoil(rollout[name])}), gamma=0.99, gae_lambda=0.95)


def test_arrays_without_an_environment_axis_are_refused() -> None:
    flat = {name: array[:, 0] for name, array in random_rollout(3, 4, 1).items()}
    with pytest.raises(ValueError, match=r"expected shape \[T, N\]"):
        generalized_advantage(**flat, gamma=0.99, gae_lambda=0.95)


def test_discounted_sums_worked_out_by_hand() -> None:
    # γ = ½. Left: carried over 4; 1 + ½·4 = 3, 2 + ½·3 = 3.5 and end, then 3 alone, which goes on.
    # Right: carried over 0; 1, 2 + ½·1 = 2.5, 3 + ½·2.5 = 4.25 and end: nothing to carry on.
    sums, rest = discounted_sums(
        np.repeat(column(1, 2, 3), 2, axis=1), np.array([[0, 0], [1, 0], [0, 1]], np.bool_), np.array([4.0, 0.0]), 0.5
    )
    np.testing.assert_array_equal(sums, [[3, 1], [3.5, 2.5], [3, 4.25]])
    np.testing.assert_array_equal(rest, [3, 0])
    assert sums.dtype == rest.dtype == np.float64


@settings(deadline=None, max_examples=50)
@given(rollouts, unit, st.integers(0, 12))
def test_discounted_sums_of_two_halves_are_those_of_the_whole(rollout: dict[str, Any], gamma: float, cut: int) -> None:
    rewards, ended = rollout["rewards"], rollout["ended"]
    start = np.arange(rewards.shape[1], dtype=np.float64)
    whole, rest = discounted_sums(rewards, ended, start, gamma)
    first, carried = discounted_sums(rewards[:cut], ended[:cut], start, gamma)
    second, last = discounted_sums(rewards[cut:], ended[cut:], carried, gamma)
    np.testing.assert_array_equal(np.concatenate([first, second]), whole)
    np.testing.assert_array_equal(last, rest)
    np.testing.assert_array_equal(start, np.arange(rewards.shape[1]))


@pytest.mark.parametrize(
    ("rewards", "ended", "start"), [((3,), (3,), ()), ((3, 2), (3, 1), (2,)), ((3, 2), (3, 2), (3,))]
)
def test_discounted_sums_refuse_wrong_shapes(
    rewards: tuple[int, ...], ended: tuple[int, ...], start: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match=r"expected \[T, N\], \[T, N\] and \[N\]"):
        discounted_sums(np.zeros(rewards, np.float32), np.zeros(ended, np.bool_), np.zeros(start), 0.9)
