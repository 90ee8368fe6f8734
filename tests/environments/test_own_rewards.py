"""Returns that are reported are the environment's own, whatever wrappers make of its rewards."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from actor_critic import Config, Trainer, evaluate
from actor_critic.environments import SameStepVectorEnv
from actor_critic.environments.wrappers.own_rewards import OwnRewards
from tests.plain import PLAIN
from tests.toys import Steady

RUN: dict[str, Any] = {
    "environment": "tests.toys:Steady-v0", **PLAIN, "num_envs": 4, "num_steps": 10, "num_epochs": 3,
    "hidden_dim": 8, "evaluation_episodes": 5,
}  # fmt: skip
TENFOLD = "tests.environments.test_own_rewards:Tenfold"


class Tenfold(gym.RewardWrapper[Any, Any]):
    def reward(self, reward: Any) -> float:
        return 10 * float(reward)


class Twice(gym.Wrapper[Any, Any, Any, Any]):
    """Takes each action twice and pays the first reward alone; before an episode it takes a step of its own."""

    def reset(self, **kwargs: Any) -> Any:
        self.env.reset(**kwargs)
        observation, _, _, _, info = self.env.step(0)
        return observation, info

    def step(self, action: Any) -> Any:
        _, reward, *_ = self.env.step(action)
        observation, _, terminated, truncated, info = self.env.step(action)
        return observation, reward, terminated, truncated, info


def test_several_steps_beneath_a_wrapper_are_added_up_and_those_of_a_reset_are_nobodys() -> None:
    vector = SameStepVectorEnv(lambda: Twice(OwnRewards(Steady())), 2)
    vector.reset(seed=0)
    for step in range(1, 5):
        _, rewards, terminated, _, infos = vector.step(np.zeros(2, np.int64))
        assert rewards.tolist() == [1.0, 1.0]
        assert infos["own_rewards"].tolist() == [2.0, 2.0]
        assert terminated.tolist() == [step % 2 == 0] * 2  # five steps an episode, one of them in the reset


@pytest.mark.parametrize("changes", [{}, {"workers": 2}, {"vectorization": "workers", "workers": 1}])
def test_a_wrapped_reward_is_learned_from_and_the_own_one_reported(changes: dict[str, Any], tmp_path: Path) -> None:
    trainer = Trainer(Config(**RUN, **changes, wrappers=[TENFOLD]), tmp_path / "run")
    reports = list(trainer)
    assert reports[-1].mean_return == 5.0
    assert reports[-1].mean_training_return == 50.0
    assert trainer.evaluation is not None
    assert (trainer.evaluation.greedy.mean, trainer.evaluation.sampled.mean) == (5.0, 5.0)
    # Ten times the reward is what the same environment without a wrapper teaches when it pays ten times as much.
    taught = Trainer(Config(**RUN, reward_model="tests.environments.test_own_rewards:TenfoldModel"))
    for _ in taught:
        pass
    assert torch.equal(trainer.agent.parameters.values, taught.agent.parameters.values)


def test_a_replay_counts_nothing_again() -> None:
    def make() -> Any:
        return Tenfold(OwnRewards(gym.wrappers.TimeLimit(Steady(), 100)))

    whole, resumed = SameStepVectorEnv(make, 1), SameStepVectorEnv(make, 1)
    whole.reset(seed=0)
    for _ in range(3):
        whole.step_indices(np.zeros((1, 1), np.int64))
    resumed.load_state(whole.save_state())
    owns = [vector.step_indices(np.zeros((1, 1), np.int64)).own_rewards.tolist() for vector in (whole, resumed)]
    assert owns == [[1.0], [1.0]]


def test_without_wrappers_there_is_one_reward() -> None:
    reports = list(Trainer(Config(**RUN)))
    assert (reports[-1].mean_return, reports[-1].mean_training_return) == (5.0, None)


def test_a_target_is_one_of_the_own_return() -> None:
    changes = {"num_epochs": 60, "num_envs": 8, "wrappers": [TENFOLD]}
    trainer = Trainer(Config(**RUN | changes, target_return=20.0))
    for _ in trainer:
        pass
    assert trainer.stop_reason == "finished"
    assert evaluate(trainer.agent).greedy.mean == 5.0


def test_a_reward_that_is_no_number_is_a_fault_also_where_a_wrapper_hides_it() -> None:
    class Mute(Steady):
        def step(self, action: int) -> Any:
            observation, _, *rest = super().step(action)
            return observation, "much", *rest

    class One(gym.Wrapper[Any, Any, Any, Any]):
        def step(self, action: Any) -> Any:
            observation, _, *rest = self.env.step(action)
            return observation, 1.0, *rest

    vector = SameStepVectorEnv(lambda: One(OwnRewards(Mute())), 1)
    vector.reset(seed=0)
    assert np.isnan(vector.step(np.zeros(1, np.int64))[4]["own_rewards"][0])  # which the collector refuses


from actor_critic import RewardModel  # noqa: E402 - beside what it is compared with


class TenfoldModel(RewardModel):
    def rewards(self, states: Any, actions: Any, next_states: Any, terminated: Any, environment_rewards: Any) -> Any:
        return 10 * environment_rewards


def test_rewards_of_replayed_steps_are_not_counted_again() -> None:
    played, resumed = (SameStepVectorEnv(lambda: OwnRewards(Steady()), 2) for _ in range(2))
    played.reset(seed=0)
    for _ in range(2):
        played.step(np.zeros(2, np.int64))
    resumed.load_state(played.save_state())
    *_, infos = resumed.step(np.zeros(2, np.int64))
    assert infos["own_rewards"].tolist() == [1.0, 1.0]
