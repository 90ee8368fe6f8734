"""Games of the Arcade Learning Environment with their preset: lives, FIRE, and returns of whole games."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from actor_critic import Config, Trainer, evaluate
from actor_critic.environments import AtariLives, SameStepVectorEnv
from actor_critic.environments.wrappers.own_rewards import OwnRewards
from actor_critic.rollouts.collector import Collector
from actor_critic.spaces import read_spaces
from tests.plain import PLAIN


class Lives(gym.Env[Any, Any]):
    """A game of three lives; a life lasts three steps, which pay 1, 2 and 3. Without FIRE nothing happens.

    Observations are (lives left, step of the life).
    """

    observation_space = gym.spaces.Box(0, 10, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self) -> None:
        self.ale = self
        self.left, self.step_of_life = 3, -1

    def lives(self) -> int:
        return self.left

    def get_action_meanings(self) -> list[str]:
        return ["NOOP", "FIRE"]

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.left, self.step_of_life = 3, -1
        return self._observation(), {}

    def step(self, action: Any) -> Any:
        if self.step_of_life < 0:
            self.step_of_life = 0 if action == 1 else -1
            return self._observation(), 0.0, False, False, {}
        self.step_of_life += 1
        reward = float(self.step_of_life)
        if self.step_of_life == 3:
            self.left, self.step_of_life = self.left - 1, -1
        return self._observation(), reward, self.left == 0, False, {}

    def _observation(self) -> Any:
        return np.array([self.left, max(self.step_of_life, 0)], np.float32)


def lives() -> gym.Env[Any, Any]:
    return AtariLives(OwnRewards(Lives()))


gym.register("tests/Lives-v0", Lives)
RUN: dict[str, Any] = {
    "environment": "tests.environments.test_atari:tests/Lives-v0", **PLAIN, "num_envs": 4, "num_steps": 18,
    "num_epochs": 3, "hidden_dim": 8, "evaluation_episodes": 5, "wrappers": ["actor_critic.environments:AtariLives"],
}  # fmt: skip


def test_a_lost_life_is_seen_and_the_game_goes_on_without_the_policy_pressing_fire() -> None:
    vector = SameStepVectorEnv(lives, 1)
    assert vector.begin(0).observations.tolist() == [[3, 0]]
    shown = []
    for _ in range(9):
        step = vector.step_indices(np.zeros((1, 1), np.int64))
        lost = step.lives_lost is not None and bool(step.lives_lost[0])
        shown.append((step.observations[0].tolist(), float(step.rewards[0]), lost, bool(step.terminated[0])))
    one_life = [([3, 1], 1.0, False, False), ([3, 2], 2.0, False, False)]
    assert shown[:3] == [*one_life, ([2, 0], 3.0, True, False)]
    assert shown[5] == ([1, 0], 3.0, True, False)
    assert shown[8] == ([3, 0], 3.0, False, True)  # the last life ends the game


class Thrice(gym.Wrapper[Any, Any, Any, Any]):
    """Takes each action three times."""

    def step(self, action: Any) -> Any:
        for _ in range(2):
            self.env.step(action)
        return self.env.step(action)


def test_a_life_is_noticed_through_a_wrapper_that_steps_more_often() -> None:
    vector = SameStepVectorEnv(lambda: gym.wrappers.TimeLimit(Thrice(lives()), 2), 1)
    vector.begin(0)
    step = vector.step_indices(np.zeros((1, 1), np.int64))
    assert step.lives_lost is not None and step.lives_lost.tolist() == [True]
    step = vector.step_indices(np.zeros((1, 1), np.int64))  # loses a life in the step that the limit ends
    assert step.truncated.tolist() == [True] and step.lives_lost is None


def test_a_replay_loses_no_life_again() -> None:
    whole, resumed = SameStepVectorEnv(lives, 1), SameStepVectorEnv(lives, 1)
    whole.begin(0)
    for _ in range(3):  # the third step loses a life
        whole.step_indices(np.zeros((1, 1), np.int64))
    resumed.load_state(whole.save_state())
    assert [vector.step_indices(np.zeros((1, 1), np.int64)).lives_lost for vector in (whole, resumed)] == [None, None]


def test_learning_sees_the_end_of_each_life_and_the_counts_see_games() -> None:
    vector = SameStepVectorEnv(lives, 1)
    collector = Collector(
        vector, *read_spaces("lives", vector.single_observation_space, vector.single_action_space), 12, state_dim=1
    )
    collector.reset(0)
    states = []

    def policy(observations: Any, numbers: Any, masks: Any, hidden: Any) -> Any:
        states.append(float(hidden[0, 0]))
        return np.zeros((1, 1), np.int64), hidden + 1

    rollout = collector.collect(policy, lambda _: np.zeros((12, 1, 1), np.float32))
    assert np.flatnonzero(rollout.terminated[:, 0]).tolist() == [2, 5, 8, 11]
    assert np.flatnonzero(rollout.game_ended[:, 0]).tolist() == [8]
    assert rollout.final_steps.tolist() == [2, 5, 8, 11]
    assert rollout.final_observations.tolist() == [[2, 0], [1, 0], [0, 0], [2, 0]]
    assert states == [0, 1, 2] * 4  # each life begins with a new hidden state
    again = collector.collect(policy, lambda _: np.zeros((12, 1, 1), np.float32))
    assert np.flatnonzero(again.game_ended[:, 0]).tolist() == [5]


@pytest.mark.parametrize("changes", [{}, {"workers": 2}, {"vectorization": "workers", "workers": 2}])
def test_returns_are_of_whole_games_for_every_way_of_stepping(changes: dict[str, Any], tmp_path: Path) -> None:
    trainer = Trainer(Config(**RUN, **changes), tmp_path / "run")
    reports = list(trainer)
    assert (reports[-1].mean_return, reports[-1].mean_length, reports[-1].episodes) == (18.0, 9.0, 4 * 6)
    found = evaluate(trainer.agent, episodes=5)
    assert (found.greedy.mean, found.sampled.mean) == (18.0, 18.0)
    plain = Trainer(Config(**RUN))
    list(plain)
    assert torch.equal(trainer.agent.parameters.values, plain.agent.parameters.values)


def test_a_run_that_is_resumed_within_a_life_has_the_same_bits(tmp_path: Path) -> None:
    whole = Trainer(Config(**{**RUN, "num_steps": 5, "num_epochs": 8}))
    list(whole)
    first = Trainer(Config(**{**RUN, "num_steps": 5, "num_epochs": 4}), tmp_path / "run")
    list(first)
    resumed = Trainer.resume(tmp_path / "run", num_epochs=8, trust_code=True)
    list(resumed)
    assert torch.equal(resumed.agent.parameters.values, whole.agent.parameters.values)


def test_an_environment_without_lives_is_refused() -> None:
    with pytest.raises(TypeError, match="CartPoleEnv is not a game of the Arcade Learning Environment"):
        AtariLives(gym.make("CartPole-v1"))


@pytest.mark.slow
@pytest.mark.parametrize("game", ["Breakout", "SpaceInvaders", "Pong"])
def test_a_game_trains_as_it_comes_and_is_resumed_exactly(game: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "environment": f"ALE/{game}-v5", "hidden_dim": 16, "num_envs": 2, "num_steps": 24, "num_minibatches": 2,
        "anneal_lr": False, "evaluation_episodes": 1, "evaluation_max_steps": 40, "seed": 3,
        "replay": "auto" if game == "Breakout" else "reset",  # its trial loads a game 66 times
    }  # fmt: skip
    whole = Trainer(Config(**settings, num_epochs=3))
    list(whole)
    assert evaluate(whole.agent, episodes=1).modes["greedy"].cut == 1
    list(Trainer(Config(**settings, num_epochs=2), tmp_path / "run"))
    resumed = Trainer.resume(tmp_path / "run", num_epochs=3)  # needs nobody's consent
    list(resumed)
    assert torch.equal(resumed.agent.parameters.values, whole.agent.parameters.values)
