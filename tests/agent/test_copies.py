"""A copy of an agent is another agent in the same state; what an agent and a run are made of cannot be assigned."""

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from actor_critic import ActorCriticAgent, Config, Trainer
from tests import toys  # noqa: F401 - registers the environments
from tests.plain import PLAIN

SMALL = {"environment": "CartPole-v1", **PLAIN, "num_envs": 2, "num_steps": 8, "hidden_dim": 8, "seed": 3}


class Wide(nn.Module):
    """An encoder with a buffer."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.layer = nn.Linear(shape[0], 8)
        self.norm = nn.BatchNorm1d(8)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.layer(x))


KINDS = {
    "eager": {"backend": "eager", "normalize_observations": True, "normalize_rewards": True},
    "fused": {"backend": "fused", "normalize_observations": True, "normalize_rewards": True, "threads": 2},
    "fused, shared": {"backend": "fused", "shared_encoder": True},
    "memory": {"memory": "lstm"},
    "module of one's own": {"encoder": "tests.agent.test_copies:Wide"},
}
WAYS: dict[str, Callable[[ActorCriticAgent], ActorCriticAgent]] = {
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
    "pickle": lambda agent: pickle.loads(pickle.dumps(agent)),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", WAYS)
def test_a_copy_goes_on_as_the_agent_would_have_and_neither_moves_the_other(
    kind: str, way: str, tmp_path: Path
) -> None:
    training = iter(trainer := Trainer(Config(**SMALL | KINDS[kind] | {"update_epochs": 2}, num_epochs=6)))
    next(training)
    agent, observations = trainer.agent, np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    agent.act(observations)  # so that its own noise is not at its beginning
    agent.untrusted = "somewhere"
    agent.note = "of mine"  # type: ignore[attr-defined]
    twin = WAYS[way](agent)
    before = agent.state()
    assert _same(twin.state(), before)
    assert (twin.settings, twin.optimizer_steps, twin.untrusted) == (agent.settings, agent.optimizer_steps, "somewhere")
    assert (twin.observations, twin.actions, twin.note) == (agent.observations, agent.actions, "of mine")  # type: ignore[attr-defined]
    assert _all_equal(twin.value(observations), agent.value(observations))
    assert _all_equal(agent.act(observations), twin.act(observations))

    for _ in range(2):
        next(training)
    assert not _same(agent.state(), before)
    assert _same(twin.state(), before)

    # From here the copy learns what another run learns that was resumed at that epoch.
    other = Trainer(Config(**SMALL | KINDS[kind] | {"update_epochs": 2}, num_epochs=6))
    others = iter(other)
    next(others)
    vars(other)["agent"] = twin
    other._state.source._agent = twin  # type: ignore[union-attr]
    for _ in range(2):
        next(others)
    assert _same(twin.state(), agent.state())
    twin.save(tmp_path / "twin.safetensors")
    loaded = ActorCriticAgent.load(tmp_path / "twin.safetensors", trust_code=True)
    assert _all_equal(loaded.value(observations), agent.value(observations))
    for each in (trainer, other):
        each.close()


@pytest.mark.parametrize("backend", ["eager", "fused"])
def test_a_copy_takes_over_weights(backend: str) -> None:
    agents = [Trainer(Config(**SMALL | {"backend": backend, "seed": seed, "num_epochs": 1})).agent for seed in (1, 2)]
    twin = copy.deepcopy(agents[0])
    twin.load_weights(agents[1].state())
    observations = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    np.testing.assert_array_equal(twin.value(observations), agents[1].value(observations))
    assert (twin.value(observations) != agents[0].value(observations)).all()


def test_what_does_not_learn_does_not_learn_in_a_copy() -> None:
    agent = Trainer(Config(**SMALL | {"backend": "eager"})).agent
    agent.policy_network.head.requires_grad_(False)
    found = [parameter.requires_grad for parameter in copy.deepcopy(agent).policy_network.parameters()]
    assert found == [True] * (len(found) - 2) + [False, False]


@pytest.mark.parametrize("backend", ["eager", "fused"])
def test_a_copied_actor_acts_as_what_it_loads(backend: str) -> None:
    agents = [Trainer(Config(**SMALL | {"backend": backend, "seed": seed})).agent for seed in (1, 2)]
    twin = copy.deepcopy(agents[0].actor.frozen())
    twin.load(agents[1].actor.frozen().state())
    observations, uniforms = np.random.default_rng(0).normal(size=(2, 400, 4)).astype(np.float32)
    for actor in (twin, agents[1].actor.frozen()):
        choices, _ = actor(observations, np.abs(uniforms[:, :1]) % 1, None, np.zeros((400, 0), np.float32))
        assert _choices(agents[1], observations, uniforms) == choices.tolist()


def _choices(agent: ActorCriticAgent, observations: np.ndarray, uniforms: np.ndarray) -> list[list[int]]:
    return agent.choose(observations, np.abs(uniforms[:, :1]) % 1, None, np.zeros((400, 0), np.float32))[0].tolist()


def _all_equal(mine: Any, theirs: Any) -> bool:
    """Compare arrays, or with memory pairs of arrays."""
    mine, theirs = (each if isinstance(each, tuple) else (each,) for each in (mine, theirs))
    return all(np.array_equal(*pair) for pair in zip(mine, theirs, strict=True))


def _same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_trainer_says_what_can_be_copied_instead() -> None:
    trainer = Trainer(Config(**SMALL))
    for clone in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(
            TypeError, match=r"a Trainer cannot be copied or pickled.*; copy trainer\.agent, or take up"
        ):
            clone(trainer)


@pytest.mark.parametrize(
    ("owner", "name", "words"),
    [
        ("agent", "settings", r"ActorCriticAgent\.settings cannot be assigned; build a new agent"),
        ("agent", "observations", "build a new agent"),
        ("agent", "actions", "build a new agent"),
        ("agent", "device", "build a new agent"),
        ("agent", "policy_network", "load_weights loads the weights of another agent"),
        ("agent", "value_network", "load_weights"),
        ("agent", "parameters", "load_weights"),
        ("agent", "learning_rate", r"learning_rate is a setting, and ActorCriticAgent\.settings cannot be changed"),
        ("trainer", "settings", "make a new Trainer; its init_from may name a checkpoint of this one"),
        ("trainer", "agent", "agent.load_weights loads the weights of another agent"),
        ("trainer", "num_epochs", r"num_epochs is a setting, and Trainer\.settings cannot be changed; make a new"),
    ],
)
def test_what_would_have_no_effect_cannot_be_assigned(owner: str, name: str, words: str) -> None:
    trainer = Trainer(Config(**SMALL))
    target = trainer if owner == "trainer" else trainer.agent
    before = getattr(target, name, None)
    with pytest.raises(AttributeError, match=words):
        setattr(target, name, before)
    assert getattr(target, name, None) is before


@pytest.mark.parametrize(
    ("owner", "name"),
    [("trainer", "settings"), ("trainer", "agent"), ("agent", "settings"), ("agent", "policy_network")],
)
def test_what_cannot_be_assigned_cannot_be_deleted(owner: str, name: str) -> None:
    trainer = Trainer(Config(**SMALL))
    target = trainer if owner == "trainer" else trainer.agent
    with pytest.raises(AttributeError, match=rf"\.{name} cannot be deleted; "):
        delattr(target, name)
    assert getattr(target, name)
    setattr(target, "note", 1)  # noqa: B010 - it has no such attribute
    delattr(target, "note")
    assert not hasattr(target, "note")


class _Noted(ActorCriticAgent):
    def __init__(self, *arguments: Any) -> None:
        self.early = [1]
        super().__init__(*arguments)
        self.late = [2]


def test_a_copy_has_what_a_subclass_set_before_and_after_the_agent_was_built() -> None:
    plain = Trainer(Config(**SMALL)).agent
    agent = _Noted(plain.settings, plain.observations, plain.actions)
    for clone in (copy.deepcopy(agent), copy.deepcopy(copy.deepcopy(agent)), pickle.loads(pickle.dumps(agent))):
        assert (clone.early, clone.late) == ([1], [2])
        assert clone.early is not agent.early


def test_a_value_is_one_of_the_rewards_whatever_they_are_scaled_by() -> None:
    # Reward 1 for ever, cut off after five steps: 1/(1 - 0.9) = 10.
    config = Config(
        environment="Steady-v0", environment_kwargs={"terminates": False}, algorithm="a2c", gamma=0.9, num_envs=5,
        num_steps=5, num_epochs=600, learning_rate=0.01, hidden_dim=8, max_grad_norm="off", normalize_rewards=True,
        normalize_observations=False,
    )  # fmt: skip
    trainer = Trainer(config)
    one = np.ones(1, np.float32)
    with torch.no_grad():  # before there is a scale
        assert trainer.agent.value(one) == pytest.approx(trainer.agent.value_network(torch.ones(1, 1)).item(), rel=1e-6)
    for _ in trainer:
        pass
    moments = trainer.agent.state()
    scale = np.sqrt(float(moments["reward_normalizer.squares"] / moments["reward_normalizer.count"]) + 1e-8)
    with torch.no_grad():
        inside = trainer.agent.value_network(torch.ones(1, 1)).item()
    assert abs(scale - 1) > 0.05
    assert trainer.agent.value(one) == pytest.approx(inside * scale, rel=1e-6)
    assert trainer.agent.value(one) == pytest.approx(10, rel=0.02)
    assert trainer.agent.value(np.ones((3, 1), np.float32)) == pytest.approx([trainer.agent.value(one)] * 3)
