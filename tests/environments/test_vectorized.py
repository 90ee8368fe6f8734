"""The vectoriser against single environments stepped by hand."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from actor_critic.environments import SameStepVectorEnv
from actor_critic.errors import EnvironmentFault
from actor_critic.seeding import Purpose, episode_seed
from tests.toys import Countdown, Faulty


def test_each_episode_is_the_one_its_seed_gives_and_ends_show_the_final_observation() -> None:
    vector = SameStepVectorEnv(lambda: gym.make("CartPole-v1").unwrapped, 3)
    observations, _ = vector.reset(seed=5)
    singles = [gym.make("CartPole-v1").unwrapped for _ in range(3)]
    episodes = [0, 0, 0]
    for i, single in enumerate(singles):
        np.testing.assert_array_equal(observations[i], single.reset(seed=episode_seed(5, Purpose.EPISODES, i, 0))[0])
    random = np.random.default_rng(0)
    ends = 0
    for _ in range(200):
        actions = random.integers(2, size=3)
        observations, rewards, terminated, truncated, infos = vector.step(actions)
        for i, single in enumerate(singles):
            expected, reward, ended, _, _ = single.step(actions[i])
            assert (rewards[i], terminated[i], truncated[i]) == (reward, ended, False)
            if ended:
                ends += 1
                assert infos["_final_obs"][i]
                np.testing.assert_array_equal(infos["final_obs"][i], np.float32(expected))
                episodes[i] += 1
                expected, _ = single.reset(seed=episode_seed(5, Purpose.EPISODES, i, episodes[i]))
            np.testing.assert_array_equal(observations[i], np.float32(expected))
    assert ends > 10


def test_autoreset_mode_is_declared() -> None:
    vector = SameStepVectorEnv(Countdown, 2)
    assert vector.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert vector.observation_space.shape == (2, 2)


def test_truncation_and_termination_are_told_apart() -> None:
    for truncates in (False, True):
        vector = SameStepVectorEnv(lambda: Countdown(1, truncates), 1)  # noqa: B023 - called at once
        vector.reset(seed=0)
        _, _, terminated, truncated, _ = vector.step(np.zeros(1, np.int64))
        assert (bool(terminated[0]), bool(truncated[0])) == (not truncates, truncates)


def test_running_episodes_are_rebuilt_by_replay() -> None:
    def make() -> gym.Env:
        return gym.make("CartPole-v1")

    vector = SameStepVectorEnv(make, 4)
    vector.reset(seed=3)
    random = np.random.default_rng(1)
    for _ in range(33):
        vector.step(random.integers(2, size=4))
    state = vector.save_state()
    assert state["episodes"].max() > 0
    copy = SameStepVectorEnv(make, 4)
    np.testing.assert_array_equal(copy.load_state(state)[0], vector._observations)
    for _ in range(60):
        actions = random.integers(2, size=4)
        for ours, theirs in zip(vector.step(actions)[:4], copy.step(actions)[:4], strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_replay_of_an_episode_that_ends_early_is_a_fault() -> None:
    vector = SameStepVectorEnv(lambda: Countdown(5), 1)
    vector.reset(seed=0)
    for _ in range(4):
        vector.step(np.zeros(1, np.int64))
    with pytest.raises(EnvironmentFault, match="ended an episode on replay"):
        SameStepVectorEnv(lambda: Countdown(3), 1).load_state(vector.save_state())


def test_an_environment_rests_when_its_quota_is_done() -> None:
    vector = SameStepVectorEnv(lambda: Countdown(2), 2, quotas=np.array([1, 2]))
    vector.reset(seed=0)
    ends = np.zeros(2, int)
    for _ in range(10):
        _, rewards, terminated, _, _ = vector.step(np.ones(2, np.int64))
        ends += terminated
    assert ends.tolist() == [1, 2]
    assert rewards.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("raise", "RuntimeError: the simulator crashed"),
        ("shape", r"shape \(1,\); its space says \(2,\)"),
        ("dtype", "dtype complex64; its space says float32"),
    ],
)
def test_a_broken_contract_names_environment_episode_and_step(fault: str, words: str) -> None:
    made = iter([Countdown(), Faulty(fault)])
    vector = SameStepVectorEnv(lambda: next(made), 2)
    vector.reset(seed=0)
    vector.step(np.zeros(2, np.int64))
    with pytest.raises(EnvironmentFault, match=f"environment 1, episode 0, step 2: .*{words}"):
        vector.step(np.zeros(2, np.int64))


def test_environments_with_different_spaces_are_refused() -> None:
    made = iter([gym.make("CartPole-v1"), gym.make("Acrobot-v1")])
    with pytest.raises(EnvironmentFault, match="environment 1 has other spaces"):
        SameStepVectorEnv(lambda: next(made), 2)
