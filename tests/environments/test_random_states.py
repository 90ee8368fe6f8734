"""The random-states environment as a registered Gymnasium vector environment."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from actor_critic.environments import RandomStatesVectorEnv
from actor_critic.seeding import Purpose


def test_it_is_registered_and_its_episodes_last_one_step() -> None:
    env = gym.make_vec("random-states", num_envs=4, input_dim=3, output_dim=5)
    assert env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    states, _ = env.reset(seed=1)
    assert env.observation_space.contains(states)
    states = states.copy()  # the next step overwrites the array
    for _ in range(3):
        following, rewards, terminated, truncated, infos = env.step(np.array([0, 1, 2, 4]))
        assert terminated.all()
        assert not truncated.any()
        np.testing.assert_array_equal(infos["final_obs"], states)
        expected = env.unwrapped.reward_model.expected_rewards(states)
        np.testing.assert_allclose(rewards, expected[np.arange(4), [0, 1, 2, 4]], rtol=1e-5)
        assert not np.array_equal(following, states)
        states = following.copy()


@pytest.mark.parametrize("num_envs", [1, 7, 4096, 5000])
def test_the_stream_is_a_function_of_the_seed_and_goes_on_from_a_saved_state(num_envs: int) -> None:
    first, second = RandomStatesVectorEnv(num_envs), RandomStatesVectorEnv(num_envs)
    actions = np.zeros(num_envs, np.int64)
    np.testing.assert_array_equal(first.reset(seed=9)[0], second.reset(seed=9)[0])
    for _ in range(20):
        state = first.save_state()
        ours = first.step(actions)[0].copy()
    second.load_state(state)
    np.testing.assert_array_equal(second.step(actions)[0], ours)


def test_states_are_standard_normal_and_streams_of_different_purposes_differ() -> None:
    training = RandomStatesVectorEnv(4096).reset(seed=0)[0]
    assert abs(training.mean()) < 0.02
    assert abs(training.std() - 1) < 0.02
    test = RandomStatesVectorEnv(4096, purpose=Purpose.TEST).reset(seed=0)[0]
    assert not np.isin(training[:, 0], test[:, 0]).any()
