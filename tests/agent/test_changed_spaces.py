"""A policy meets an environment of other spaces than it was built for: told in one line, wherever that happens."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from actor_critic import ActorCriticAgent, Config, Trainer, evaluate, verify
from actor_critic.errors import ActorCriticError, CheckpointError, ConfigError
from actor_critic.spaces import ActionSpec, ObservationSpec
from actor_critic.storage.runs import newest_sound
from tests.plain import PLAIN

BOX, PAIR = gym.spaces.Box(0, 1, (3,), np.float32), gym.spaces.MultiDiscrete([2, 3])
SETTINGS: dict[str, Any] = {
    **PLAIN, "environment": "Changes-v0", "num_envs": 2, "num_steps": 8, "num_epochs": 2, "hidden_dim": 8,
    "backend": "eager", "evaluation_episodes": 2, "checkpoint_interval": 1,
}  # fmt: skip

Change = Callable[[gym.Space[Any], gym.Space[Any]], None]


class Changes(gym.Env[Any, Any]):
    """Random observations of whatever spaces it has today."""

    spaces: tuple[gym.Space[Any], gym.Space[Any]] = (BOX, PAIR)

    def __init__(self) -> None:
        self.observation_space, self.action_space = self.spaces

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._steps = 0
        self.observation_space.seed(int(self.np_random.integers(2**31)))
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._steps += 1
        return self.observation_space.sample(), 1.0, self._steps == 5, False, {}


@pytest.fixture
def change(monkeypatch: pytest.MonkeyPatch) -> Iterator[Change]:
    """Gives the environment other spaces from now on."""
    gym.register("Changes-v0", Changes)
    yield lambda observations, actions: monkeypatch.setattr(Changes, "spaces", (observations, actions))
    del gym.registry["Changes-v0"]


OTHER = [
    (BOX, gym.spaces.Discrete(5), r"actions MultiDiscrete\(\[2, 3\]\), and the environment takes Discrete\(5\)"),
    (BOX, gym.spaces.Discrete(4), r"actions MultiDiscrete\(\[2, 3\]\), and the environment takes Discrete\(4\)"),
    (gym.spaces.Discrete(3), PAIR, r"observations Box\(\(3,\), float32\), and the environment shows Discrete\(3\)"),
    (gym.spaces.Box(0, 1, (4,)), PAIR, r"and the environment shows Box\(\(4,\), float32\)"),
    (gym.spaces.Box(0, 9, (3,), np.int64), PAIR, r"and the environment shows Box\(\(3,\), int64\)"),
]


@pytest.mark.parametrize(("observations", "actions", "words"), OTHER)
def test_other_spaces_are_told_wherever_they_are_met(
    observations: gym.Space[Any], actions: gym.Space[Any], words: str, tmp_path: Path, change: Change
) -> None:
    run = tmp_path / "run"
    for _ in Trainer(Config(**SETTINGS), run):
        pass
    agent = ActorCriticAgent.load(newest_sound(run)[0])
    change(observations, actions)
    ways: list[tuple[type[ActorCriticError], str, Callable[[], object]]] = [
        (ConfigError, "environment: Changes-v0: ", lambda: evaluate(agent)),
        (ConfigError, "init_from: .* does not fit: ", lambda: Trainer(Config(**SETTINGS | {"init_from": str(run)}))),
        (CheckpointError, "does not fit Changes-v0: ", lambda: Trainer.resume(run, num_epochs=4)),
        (CheckpointError, "does not fit Changes-v0: ", lambda: verify(run)),
        (CheckpointError, "does not fit Changes-v0: ", lambda: verify(run, from_epoch=0)),
    ]
    for error, beginning, meet in ways:
        with pytest.raises(error, match=f"{beginning}the policy was built for .*{words}$"):
            meet()
    change(BOX, PAIR)
    assert [report.epoch for report in Trainer.resume(run, num_epochs=3)] == [3]  # nothing was left claimed


def test_the_same_numbers_in_more_bits_are_the_same_space(tmp_path: Path, change: Change) -> None:
    # As checkpoints say that were written when 64-bit observations were kept in 32.
    change(gym.spaces.Box(0, 1, (3,), np.float64), PAIR)
    before = ObservationSpec.from_space(BOX)
    agent = ActorCriticAgent(Config(**SETTINGS), before, ActionSpec.from_space(PAIR))
    agent.save(tmp_path / "agent.safetensors")
    assert evaluate(agent).greedy.mean == 5.0
    trainer = Trainer(Config(**SETTINGS | {"init_from": str(tmp_path / "agent.safetensors")}))
    assert [report.epoch for report in trainer] == [1, 2]
    assert trainer.agent.observations.dtype == np.float64
