"""Observations with parts that the networks do not see: training, evaluation and acting ignore those."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from actor_critic import ActorCriticAgent, Config, RewardModel, Trainer, evaluate, verify
from actor_critic.config import Layer, computed_fields, resolve, settings_from_document
from actor_critic.environments import EnvironmentMaker, check_environment, choose_vectorization, make_vector_environment
from actor_critic.errors import ConfigError
from tests.plain import PLAIN
from tests.toys import Wordy

RUN: dict[str, Any] = {**PLAIN, "num_envs": 4, "num_steps": 11, "num_epochs": 4, "update_epochs": 2, "hidden_dim": 8, "seed": 1, "normalize_observations": True, "learning_rate": 0.01}  # noqa: E501 # fmt: skip
UNREAD = ["inside.0 (Space", "inside.2 (Graph", "mission (Text", "past.moves (Sequence"]


def _trained(environment: str, **changes: Any) -> Trainer:
    trainer = Trainer(Config(environment=f"tests.toys:{environment}", **(RUN | changes)))
    for _ in trainer:
        pass
    trainer.close()
    return trainer


@pytest.mark.parametrize(
    "changes",
    [
        {"vectorization": "sync"},
        {"vectorization": "shared", "workers": 2},
        {"vectorization": "sync", "frame_stack": 2},
        {"vectorization": "sync", "memory": "gru"},
    ],
    ids=str,
)
def test_parts_that_no_network_reads_change_no_bit(changes: dict[str, Any]) -> None:
    plain, wordy = _trained("Nested-v0", **changes), _trained("Wordy-v0", **changes)
    assert torch.equal(plain.agent.parameters.values, wordy.agent.parameters.values)
    assert evaluate(plain.agent, episodes=3, seed=7).modes == evaluate(wordy.agent, episodes=3, seed=7).modes


def test_a_native_vector_form_leaves_out_the_same(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "actor_critic"):
        native, single = (_trained("Wordy-v0", vectorization=way) for way in ("native", "sync"))
    assert native.agent.observations == single.agent.observations
    lines = [message for message in caplog.messages if message.startswith("observations: without ")]
    assert len(lines) == 2 and len(set(lines)) == 1
    assert [part in lines[0] for part in UNREAD] == [True] * 4


@pytest.mark.parametrize("vectorization", ["sync", "native"])
def test_the_chosen_parts_are_those_of_a_wrapper_that_drops_the_others(vectorization: str) -> None:
    chosen = _trained("Wordy-v0", vectorization=vectorization, observation_keys=["inside"])
    wrapped = _trained("Wordy-v0", vectorization="sync", wrappers=["tests.toys:OnlyInside"])
    assert chosen.agent.observations == wrapped.agent.observations
    if vectorization == "sync":
        assert torch.equal(chosen.agent.parameters.values, wrapped.agent.parameters.values)


def test_act_takes_what_the_environment_returns(tmp_path: Path) -> None:
    trained = _trained("Wordy-v0", observation_keys=["inside.3", "camera"], vectorization="sync")
    trained.agent.save(tmp_path / "agent.safetensors")
    agent = ActorCriticAgent.load(tmp_path / "agent.safetensors")
    env = Wordy()
    observation, _ = env.reset(seed=3)
    bare = {"camera": observation["camera"], "inside": (None, None, None, observation["inside"][3])}
    assert str(agent.act(observation, deterministic=True)) == str(agent.act(bare, deterministic=True))
    assert env.action_space.contains(agent.act(observation))
    with pytest.raises(ValueError, match=r'has nothing at \["inside"\]\[3\]'):
        agent.act({"camera": observation["camera"], "inside": (None, None)})


class Masked(gym.Env[Any, Any]):
    """Shows a number, a text and a mask that allows one of two actions; the other one is an error."""

    observation_space = gym.spaces.Dict(
        {
            "number": gym.spaces.Box(-1, 1, (1,)),
            "mission": gym.spaces.Text(9),
            "action_mask": gym.spaces.MultiBinary(2),
        }
    )
    action_space = gym.spaces.Discrete(2)

    def _observe(self) -> dict[str, Any]:
        self._allowed = int(self.np_random.integers(2))
        return {
            "number": np.zeros(1, np.float32),
            "mission": "go",
            "action_mask": np.eye(2, dtype=np.int8)[self._allowed],
        }

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._steps = 0
        return self._observe(), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert action == self._allowed
        self._steps += 1
        return self._observe(), 1.0, self._steps == 5, False, {}


@pytest.mark.parametrize("keys", [[], ["number"]])
def test_the_mask_of_a_dict_holds_beside_parts_that_are_left_out(keys: list[str]) -> None:
    gym.register("Masked-v0", Masked)
    try:
        trainer = Trainer(Config(environment="Masked-v0", observation_keys=keys, **RUN))
        assert sum(report.env_steps for report in trainer)
        trainer.close()
        assert trainer.agent.observations.dtype.names == ("number",)
        env = Masked()
        observation, _ = env.reset(seed=1)
        for _ in range(4):
            observation, *_ = env.step(trainer.agent.act(observation))
    finally:
        del gym.registry["Masked-v0"]


class InStates(RewardModel):
    """Rewards from the part of a tuple that is kept."""

    def rewards(self, states: Any, *_: Any) -> Any:
        assert states.dtype.names == ("inside",) and states["inside"].dtype.names == ("3",)
        return states["inside"]["3"].astype(np.float32)


def test_a_reward_model_gets_the_kept_parts() -> None:
    trained = _trained("Wordy-v0", observation_keys=["inside.3"], reward_model=f"{__name__}:InStates")
    assert trained.epoch == RUN["num_epochs"]


class OfShapes(torch.nn.Module):
    """An encoder that reads the part of a tuple that is kept, at its position."""

    def __init__(self, shapes: Any) -> None:
        super().__init__()
        assert shapes == {"inside": (None, (2,))}

    def forward(self, parts: Any) -> torch.Tensor:
        numbers: torch.Tensor = parts["inside"][1]
        return numbers


def test_an_encoder_gets_the_kept_parts() -> None:
    trained = _trained("Wordy-v0", observation_keys=["inside.1"], encoder=f"{__name__}:OfShapes")
    assert trained.epoch == RUN["num_epochs"]


def test_a_run_resumes_and_verifies_with_its_parts(tmp_path: Path) -> None:
    settings: dict[str, Any] = RUN | {"vectorization": "sync", "observation_keys": ["inside"]}
    straight = _trained("Wordy-v0", **settings)
    trainer = Trainer(Config(environment="tests.toys:Wordy-v0", **settings), tmp_path / "run")
    for report in trainer:
        if report.epoch == 2:
            break
    trainer.close()
    resumed = Trainer.resume(tmp_path / "run", trust_code=True)
    for _ in resumed:
        pass
    resumed.close()
    assert torch.equal(resumed.agent.parameters.values, straight.agent.parameters.values)
    assert verify(tmp_path / "run", trust_code=True).compared


def test_settings_of_older_runs_keep_all_parts_and_their_digest() -> None:
    document = resolve(Layer("", Config(environment="CartPole-v1"))).settings.to_document()
    document |= {"input_dim": 4, "output_dim": 2}
    older = {name: value for name, value in document.items() if name != "observation_keys"}
    assert settings_from_document(older, "old").observation_keys == []
    assert computed_fields(document) == computed_fields(older)
    assert computed_fields(document | {"observation_keys": ["a"]})["observation_keys"] == ["a"]


def test_a_twin_shows_some_parts() -> None:
    chosen, whole = (
        choose_vectorization(resolve(Layer("", Config(environment="Blackjack-v1", observation_keys=keys))).settings)
        for keys in (["2", "0"], [])
    )
    assert chosen.vectorization == "compiled"
    some, every = (make_vector_environment(settings, num_envs=50).begin(3).observations for settings in (chosen, whole))
    assert some.dtype.names == ("0", "2")
    assert all(np.array_equal(some[name], every[name]) for name in ("0", "2"))
    with pytest.raises(ConfigError, match=r"observation_keys: \['0'\]: the observations of CartPole have no parts"):
        Trainer(Config(environment="CartPole-v1", observation_keys=["0"]))


@pytest.mark.parametrize("vectorization", ["auto", "sync", "native", "shared"])
def test_a_wrong_name_is_refused_before_the_run(vectorization: str) -> None:
    with pytest.raises(ConfigError, match=r"observation_keys: 'imge' is no part .* expected some of 'camera', "):
        Trainer(Config(environment="tests.toys:Wordy-v0", observation_keys=["imge"], vectorization=vectorization))  # type: ignore[arg-type]


def test_wrappers_come_before_the_choice() -> None:
    settings = Config(environment="Nested-v0", wrappers=["tests.toys:OnlyInside"], observation_keys=["camera"])
    with pytest.raises(ConfigError, match=r"'camera' is no part of .* Nested-v0 with tests.toys:OnlyInside; expected"):
        EnvironmentMaker(resolve(Layer("", settings)).settings)()


def test_a_check_warns_of_parts_that_no_network_reads() -> None:
    findings = list(check_environment(Wordy))
    assert "problem" not in {finding.verdict for finding in findings}
    (found,) = (finding for finding in findings if finding.text.startswith("observations: without "))
    assert found.verdict == "warning"
    assert [part in found.text for part in UNREAD] == [True] * 4


def test_minigrid_trains_as_it_comes(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("minigrid")
    settings: dict[str, Any] = {"environment": "minigrid:MiniGrid-DoorKey-5x5-v0", "num_epochs": 2, "seed": 1}
    with caplog.at_level("INFO", "actor_critic"):
        trainer = Trainer(Config(preset="none", **settings))
    assert "observations: without mission (MissionSpace, which no network reads)" in caplog.messages
    assert sum(1 for _ in trainer) == 2
    trainer.close()
    env = gym.make("MiniGrid-DoorKey-5x5-v0")
    assert env.action_space.contains(trainer.agent.act(env.reset(seed=1)[0]))
    with pytest.raises(ConfigError, match=r"'mission' cannot be chosen.*expected some of 'direction', 'image'"):
        Trainer(Config(preset="none", observation_keys=["mission"], **settings))
