"""The selftest passes where nothing is wrong, and finds faults where they are."""

from typing import Any

import numpy as np
import pytest
import torch

from actor_critic import Config, ConfigError, RewardModel, selftest
from actor_critic.config import OUTSIDE_LEARNING, Layer
from actor_critic.probing import PROBES, ProbeResult, probe_results
from tests.probing.faults import FAULTS, Fault

pytestmark = pytest.mark.slow  # each test learns

WITHOUT_MEMORY = [probe.name for probe in PROBES if not probe.needs_memory]


def _results(names: list[str] | None = None, **config: Any) -> list[ProbeResult]:
    chosen = [probe for probe in PROBES if names is None or probe.name in names]
    assert names is None or len(chosen) == len(names)
    return list(probe_results(Layer("Config", Config(**config)), None, chosen))


def _failed(results: list[ProbeResult]) -> list[str]:
    return [result.probe.name for result in results if not result.passed]


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found_by_its_probe_and_by_none_before_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault: Fault = FAULTS[name]
    place = [probe.name for probe in PROBES].index(fault.probe)
    is_slow = PROBES[place].needs_memory or {"backend", "vectorization"} & fault.config.keys()
    if fault.plant:
        fault.plant(monkeypatch)
    results = _results([probe.name for probe in PROBES[place if is_slow else 0 : place + 1]], **fault.config)
    for result in results:
        print(result.describe())
    assert _failed(results) == [fault.probe]
    assert results[-1].probe.suspect in results[-1].describe()


# --- nothing is wrong ---


@pytest.mark.parametrize(
    "config",
    [
        {"algorithm": "ppo", "backend": "fused"},
        {"algorithm": "a2c", "backend": "fused"},
        {"algorithm": "ppo", "backend": "fused", "vectorization": "sync", "seed": 1},
        {"algorithm": "ppo", "backend": "eager", "vectorization": "sync", "seed": 2},
        {"algorithm": "a2c", "backend": "eager", "vectorization": "compiled", "seed": 3},
        {"algorithm": "ppo", "normalize_observations": True, "normalize_rewards": True, "seed": 4, "memory": "off"},
    ],
)
def test_every_probe_without_memory_is_solved(config: dict[str, Any]) -> None:
    results = _results(**config) if "fused" in config.values() else _results(WITHOUT_MEMORY, **config)
    assert [result.probe.name for result in results] == WITHOUT_MEMORY
    for result in results:
        assert result.passed, result.describe()


@pytest.mark.parametrize(
    "config",
    [
        {"algorithm": "ppo"},
        {"algorithm": "ppo", "memory": "lstm", "vectorization": "sync"},
        {"algorithm": "a2c", "memory": "gru", "shared_encoder": True},
    ],
)
def test_every_probe_of_memory_is_solved(config: dict[str, Any]) -> None:
    results = _results(["FirstStep", "Cue"], **config)
    for result in results:
        assert result.passed, result.describe()


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others() -> None:
    first, again, other = (_results(["MatchingAction"], seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


# --- code of the user ---


class Encoder(torch.nn.Module):
    """Sees the number."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(shape[0], 8)

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.layer(observations))


class Blind(Encoder):
    """Sees nothing."""

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        return super().forward(torch.zeros_like(observations))


def test_an_encoder_is_tested_and_a_blind_one_fails_where_something_is_to_be_seen() -> None:
    names = ["ConstantReward", "ObservedReward", "MatchingAction"]
    chosen = [probe for probe in PROBES if probe.name in names]
    found = {
        encoder: _failed(list(probe_results(Layer("Config", Config(algorithm="a2c")), encoder, chosen)))
        for encoder in (Encoder, Blind)
    }
    assert found == {Encoder: [], Blind: ["ObservedReward", "MatchingAction"]}


class Shaping(RewardModel):
    """Potentials larger than all rewards."""

    def potentials(self, states: Any) -> Any:
        return 3.0 * states[:, 0]


class NotAPotential(RewardModel):
    """A shaping term that is none: it pays for what is seen."""

    def potentials(self, states: Any) -> Any:
        self.calls = getattr(self, "calls", 0) + 1
        return np.full(len(states), float(self.calls), np.float32)


def test_shaping_shifts_values_by_the_potential_and_keeps_the_best_actions() -> None:
    model = {"reward_mode": "shape", "reward_model": f"{__name__}:Shaping"}
    results = _results(["TwoSteps", "NoEnd", "MatchingAction", "DelayedReward"], **model)
    assert [m.expected for m in results[0].measurements if "value" in m.what] == [0.5, 1.0 - 3.0]
    assert _failed(results) == []
    assert _failed(_results(["TwoSteps"], **model | {"reward_model": f"{__name__}:NotAPotential"})) == ["TwoSteps"]


# --- settings ---


@pytest.mark.parametrize("name", OUTSIDE_LEARNING)
def test_settings_of_the_problem_are_refused(name: str) -> None:
    value = {
        "environment": "CartPole-v1",
        "environment_kwargs": {},
        "wrappers": [],
        "observation_keys": [],
        "gamma": 0.9,
        "evaluation_environment_kwargs": {},
        "logger": ["wandb"],
        "report": False,
    }
    text = {"init_from", "log_file", "evaluation_environment"}
    given = value.get(name, "stop" if name == "on_checkpoint_error" else "x" if name in text else 2)
    with pytest.raises(ConfigError, match=rf"^{name}: .* \(Config\) is not allowed in a selftest"):
        selftest(Config(**{name: given}))


def test_rewards_whose_values_are_not_known_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"^reward_mode: replace .*set reward_mode to shape"):
        selftest(Config(reward_model=f"{__name__}:Shaping"))
    with pytest.raises(ConfigError, match=r"^reward_mode: add "):
        selftest(Config(reward_model=f"{__name__}:Shaping", reward_mode="add"))
