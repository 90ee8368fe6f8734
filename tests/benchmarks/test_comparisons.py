"""The sums of the comparisons of defaults, against values computed by hand."""

import numpy as np
import pytest

from benchmarks.learning import scores, untuned, variants
from benchmarks.learning.problems import States
from benchmarks.learning.suite import PROBLEMS, Problem

PROBLEM = Problem("of the test", "CartPole-v1", 100, random=20.0, best=120.0, tuned_on=False)


def test_a_score_is_zero_for_random_and_one_for_the_best_and_never_below_zero() -> None:
    assert scores.normalized(PROBLEM, np.array([20.0, 70.0, 120.0, -500.0, 220.0])).tolist() == [0, 0.5, 1, 0, 2]


def test_the_probability_of_improvement_counts_equal_scores_half_and_weighs_problems_equally() -> None:
    ours = [np.array([1.0, 2.0]), np.array([5.0])]
    theirs = [np.array([1.0, 0.0, 3.0]), np.array([4.0, 6.0])]
    # first problem: 1 > 0, 1 = 1, 2 > 1 and 2 > 0 of six pairs: 3.5 / 6; second: one of two
    assert scores.improvement([*ours, *theirs]) == pytest.approx((3.5 / 6 + 0.5) / 2)


def test_sensitivity_is_what_the_best_setting_of_each_problem_adds_to_the_best_single_one() -> None:
    defaults = [np.array([0.5, 0.7]), np.array([0.2])]  # means 0.6 and 0.2
    first = [np.array([1.0, 1.0]), np.array([0.0])]  # 1.0 and 0.0: the best single setting, 0.5
    second = [np.array([0.1, 0.1]), np.array([0.8])]  # 0.1 and 0.8
    assert variants.sensitivity([defaults, first, second]) == pytest.approx((0.4, 0.5, 0.9, 0.4))


def test_every_contender_has_a_key_of_its_own_on_each_problem_that_it_takes() -> None:
    takes = [
        (name, problem) for name, each in untuned.CONTENDERS.items() for problem in PROBLEMS if each.takes(problem)
    ]
    keys = {untuned.key(name, problem, seed) for name, problem in takes for seed in (1, 2)}
    assert len(keys) == 2 * len(takes)
    assert {name for name, _ in takes} == set(untuned.CONTENDERS)


def test_what_a_variant_changes_is_what_its_run_has() -> None:
    keys = [variants.key(variants.MEASURED[0], 11, variant.settings) for variant in variants.ABLATION]
    assert len(set(keys)) == len(keys)
    for base in variants.BASES:
        changes = variants._changes(base)
        # the entropy of Stable-Baselines3 is 0 already, so one of its changes changes nothing
        same = 1 if base == "Stable-Baselines3" else 0
        assert len({variants.key(variants.MEASURED[0], 11, each.settings) for each in changes}) == len(changes) - same


@pytest.mark.parametrize("rewards", ["linear", "nonlinear"])
def test_a_random_state_pays_what_its_model_says_and_ends(rewards: str) -> None:
    for action in range(4):
        env = States(rewards)
        state, _ = env.reset(seed=action)
        expected = env._first @ state.astype(float)
        if rewards == "nonlinear":
            expected = env._second @ np.tanh(expected)
        _, reward, terminated, truncated, _ = env.step(action)
        assert reward == pytest.approx(expected[action], abs=1e-5)
        assert (terminated, truncated) == (True, False)
