"""What a collection holds, against environments known by heart."""

import numpy as np
import pytest

from actor_critic.environments import SameStepVectorEnv
from actor_critic.errors import EnvironmentFault
from actor_critic.rollouts import Collector, Rollout
from actor_critic.spaces import ActionSpec, ObservationSpec
from tests.toys import Countdown, Faulty


def _collector(vector: SameStepVectorEnv, num_steps: int) -> Collector:
    spec = ObservationSpec.from_space(vector.single_observation_space)
    collector = Collector(vector, spec, ActionSpec.from_space(vector.single_action_space), num_steps)
    collector.reset(seed=0)
    return collector


def _always_one(
    observations: np.ndarray, uniforms: np.ndarray, masks: np.ndarray | None, states: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    return np.ones((len(observations), 1), np.int64), states


def _collect(vector: SameStepVectorEnv, num_steps: int) -> Rollout:
    return _collector(vector, num_steps).collect(
        _always_one, lambda _: np.zeros((num_steps, vector.num_envs, 1), np.float32)
    )


def test_transitions_line_up_in_time() -> None:
    rollout = _collect(SameStepVectorEnv(lambda: Countdown(3), 2), 7)
    assert rollout.observations.shape == (8, 2, 2)
    assert rollout.observations[:, 0, 0].tolist() == [0, 1, 2, 0, 1, 2, 0, 1]  # the counter starts anew after an end
    assert np.flatnonzero(rollout.terminated[:, 0]).tolist() == [2, 5]
    assert rollout.final_steps.tolist() == [2, 2, 5, 5]
    assert rollout.final_envs.tolist() == [0, 1, 0, 1]
    assert rollout.final_observations[:, 0].tolist() == [3, 3, 3, 3]
    # The reward is the number shown in the state acted in, not in the one that followed.
    np.testing.assert_array_equal(rollout.rewards, rollout.observations[:-1, :, 1])


def test_next_observations_are_final_ones_at_an_end() -> None:
    rollout = _collect(SameStepVectorEnv(lambda: Countdown(3, truncates=True), 1), 5)
    assert rollout.next_observations()[:, 0, 0].tolist() == [1, 2, 3, 1, 2]
    np.testing.assert_array_equal(rollout.next_observations()[:, 0, 1], rollout.observations[:-1, 0, 1])


def test_a_collection_goes_on_where_the_last_one_stopped() -> None:
    collector = _collector(SameStepVectorEnv(lambda: Countdown(4), 1), 3)

    def noise(block: int) -> np.ndarray:
        return np.zeros((3, 1, 1), np.float32)

    first = collector.collect(_always_one, noise).observations[:, 0, 0].tolist()
    second = collector.collect(_always_one, noise).observations[:, 0, 0].tolist()
    assert first + second == [0, 1, 2, 3, 3, 0, 1, 2]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("inf reward", "environment 1: the reward of step 1"),
        ("nan observation", "environment 1: the observation of step 1"),
        ("nan final", "environment 1: the final observation of step 2"),
    ],
)
def test_numbers_that_are_not_finite_are_a_fault(fault: str, words: str) -> None:
    made = iter([Countdown(), Faulty(fault)])
    vector = SameStepVectorEnv(lambda: next(made), 2)
    with pytest.raises(EnvironmentFault, match=words):
        _collect(vector, 4)
