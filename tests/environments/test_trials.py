"""Trials before a run, and environments that allow no other one beside them."""

import time
from functools import partial
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import pytest

from actor_critic import ActionSpec, ActorCriticAgent, Config, ConfigError, ObservationSpec, Trainer, evaluate
from actor_critic.environments import SameStepVectorEnv
from actor_critic.environments.trials import replay
from tests.plain import PLAIN
from tests.toys import Countdown


class Only(Countdown):
    """A Countdown of which there can be one at a time, as of what holds a port."""

    open: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        if Only.open:
            raise OSError("address in use")
        Only.open += 1

    def close(self) -> None:
        Only.open -= 1


class Sampling(gym.Env[Any, Any]):
    """Shows what it samples from its own spaces, and pays for it."""

    def __init__(self) -> None:
        self.observation_space = gym.spaces.Dict({"a": gym.spaces.Box(0.0, 1.0, (3,)), "b": gym.spaces.Discrete(5)})
        self.action_space = gym.spaces.MultiDiscrete([4, 4])

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self._steps = 0
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> Any:
        self._steps += 1
        return self.observation_space.sample(), float(self.action_space.sample()[0]), self._steps == 9, False, {}


class Slow(Countdown):
    def reset(self, **kwargs: Any) -> Any:
        time.sleep(0.02)
        return super().reset(**kwargs)


gym.register("Only-v0", Only)
RUN: dict[str, Any] = {"environment": "Only-v0", **PLAIN, "num_steps": 8, "num_epochs": 4, "hidden_dim": 8}


@pytest.mark.parametrize("changes", [{}, {"evaluation_interval": 2}, {"replay": "fresh", "evaluation_interval": 1}])
def test_an_environment_that_can_exist_only_once_is_trained_on_and_evaluated(changes: Any, tmp_path: Any) -> None:
    trainer = Trainer(Config(**RUN, **changes, num_envs=1, evaluation_episodes=7), tmp_path / "run")
    evaluated = [report.evaluation is not None for report in trainer]
    interval = changes.get("evaluation_interval", 100)
    assert evaluated == [epoch % interval == 0 for epoch in range(1, 5)]
    assert trainer.evaluation is not None
    assert trainer.evaluation.episodes == 7
    assert Only.open == 0
    again = evaluate(trainer.agent, episodes=7)
    kept = trainer.evaluation.to_document()
    assert kept.pop("random")["mean_length"] == 3.0  # so short a run is compared with random actions, one instance too
    assert again.to_document() == kept
    plain = Trainer(Config(**RUN | {"environment": "Countdown-v0"}, **changes, num_envs=1, evaluation_episodes=7))
    for _ in plain:
        pass
    assert (plain.agent.parameters.values == trainer.agent.parameters.values).all()


def test_several_of_what_can_exist_only_once_are_refused_with_the_setting_that_helps() -> None:
    words = r"OSError: address in use .*only 1 of 3 instances could be made: .* set num_envs to 1"
    with pytest.raises(ConfigError, match=words):
        Trainer(Config(**RUN, num_envs=3))
    assert Only.open == 0


def test_what_cannot_be_evaluated_on_the_way_names_the_setting() -> None:
    trainer = Trainer(Config(**RUN, num_envs=1, replay="none", evaluation_interval=2))
    with pytest.raises(ConfigError, match=r"cannot be rebuilt; set evaluation_interval to off"):
        for _ in trainer:
            pass
    assert Only.open == 0


def test_an_environment_that_samples_from_its_spaces_replays() -> None:
    assert replay.try_replays(Sampling, separate_processes=False, timeout=60) == ("reset", "", "")
    shown = []
    for past in (0, 3):
        vector = SameStepVectorEnv(Sampling, 2)
        vector.reset(seed=4)
        for _ in range(past):
            vector.step_indices(np.zeros((2, 2), np.int64))
        vector.reset(seed=5)
        shown.append([vector.step_indices(np.zeros((2, 2), np.int64)).rewards.tolist() for _ in range(12)])
    assert shown[0] == shown[1]


class Remembering(gym.Env[Any, Any]):
    """Pays for how many steps its instance has taken in all; its observations are the same in every episode."""

    observation_space = gym.spaces.Box(0.0, 100.0, (1,))
    action_space = gym.spaces.Discrete(2)

    def __init__(self, length: int) -> None:
        self._length, self._taken = length, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self._step = 0
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> Any:
        self._step += 1
        self._taken += 1
        return np.full(1, self._step, np.float32), float(self._taken), self._step == self._length, False, {}


@pytest.mark.parametrize("length", [1, 2, 3, 4, 8, 100])
def test_what_is_remembered_beyond_an_episode_is_found_whatever_its_length(length: int) -> None:
    way, against, _ = replay.try_replays(partial(Remembering, length), separate_processes=False, timeout=60)
    assert way == "fresh"
    assert "shows other observations or rewards" in against


def test_a_trial_is_not_cut_short_by_what_the_first_instance_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    class Importing(Countdown):
        made = 0

        def __init__(self) -> None:
            super().__init__()
            time.sleep(0 if Importing.made else 2.5)
            Importing.made += 1

    monkeypatch.setattr(replay, "_SECONDS", 2.0)  # the episodes take a tenth on an idle core
    assert replay.try_replays(Importing, separate_processes=False, timeout=60) == ("reset", "", "")


@pytest.mark.parametrize("wrappers", [[], ["gymnasium.wrappers:NormalizeReward"]])
def test_a_wrapper_that_remembers_is_not_made_anew_for_every_episode(
    wrappers: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    config = Config(environment="Countdown-v0", wrappers=wrappers, num_envs=2, num_steps=8, **PLAIN | {"hidden_dim": 4})
    with caplog.at_level("INFO", "actor_critic"):
        trainer = Trainer(config)
    trainer.close()
    assert trainer.settings.replay == ("none" if wrappers else "reset")
    assert ("resume not exact" in caplog.text) == bool(wrappers)
    assert ("; replay fresh makes environment and wrappers anew" in caplog.text) == bool(wrappers)


def test_a_trial_of_a_slow_environment_is_cut_short_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "_SECONDS", 0.2)
    started = time.monotonic()
    way, against, untried = replay.try_replays(Slow, separate_processes=False, timeout=60)
    assert time.monotonic() - started < 2
    assert (way, against) == ("reset", "")
    tried = int(untried.split()[0])
    assert 1 <= tried < 32


def test_agents_are_made_without_an_environment() -> None:
    specs = ObservationSpec.from_space(Countdown.observation_space), ActionSpec.from_space(Countdown.action_space)
    assert evaluate(ActorCriticAgent(Config(environment="Only-v0"), *specs), episodes=3).episodes == 3
