"""The space: what may be searched, and what is refused."""

from typing import Any

import pytest

from actor_critic import Config
from actor_critic.config import Layer, resolve
from actor_critic.errors import ConfigError
from actor_critic.search import Space
from actor_critic.search.default_space import default_space
from actor_critic.search.plan import Plan

_LOG = {"low": 1e-4, "high": 1e-2, "log": True}


def test_a_space_is_read_and_written_as_it_is() -> None:
    document = {
        "learning_rate": _LOG,
        "hidden_dim": {"low": 32, "high": 256, "step": 32},
        "num_envs": [4, 8],
        "clip_coef": ["off", 0.2],
        "environment_kwargs": [{}, {"size": 3}],
    }
    space = Space.read(document, "space.json")
    assert space.to_document() == document
    assert 96 in space["hidden_dim"] and 100 not in space["hidden_dim"] and 288 not in space["hidden_dim"]
    assert {"size": 3} in space["environment_kwargs"] and {"size": 4} not in space["environment_kwargs"]
    assert 8 in space["num_envs"] and True not in Space.read({"frame_stack": [1, 2]}, "")["frame_stack"]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"learning_rat": _LOG}, "unknown setting 'learning_rat'; did you mean 'learning_rate'?"),
        ({"lr": _LOG}, "unknown setting 'lr'; it is called 'learning_rate' here"),
        ({}, "names no setting"),
        ({"gamma": {"low": 0.99, "high": 0.9}}, "gamma: low 0.99 is above high 0.9; swap them"),
        ({"gamma": {"low": 0.9, "high": 0.9}}, "gamma: the range from 0.9 to 0.9 has one value"),
        ({"ent_coef": {"low": 0, "high": 1, "log": True}}, "ent_coef: low 0 is not possible with log"),
        ({"gamma": {"low": 0.9, "high": 1.5}}, "gamma: 1.5 is not allowed; expected a finite number at least 0"),
        ({"gamma": {"low": 0.9}}, "gamma: the range has no 'high'"),
        ({"gamma": {"low": 0.9, "hihg": 1}}, "gamma: unknown key 'hihg'; expected low, high, log, step; did you mean"),
        ({"gamma": {"low": "0.9", "high": 1}}, "gamma: low: '0.9' is not allowed; expected a number"),
        ({"gamma": {"low": 0.9, "high": float("nan")}}, "gamma: high: nan is not allowed"),
        ({"num_envs": {"low": 1.5, "high": 8}}, "num_envs: low: 1.5 is not allowed; expected a whole number"),
        ({"num_envs": [4, 0]}, "num_envs: 0 is not allowed; expected a whole number at least 1"),
        ({"num_envs": []}, "num_envs: the list has no value; expected two choices at least"),
        ({"num_envs": [4]}, "num_envs: the list has one value; expected two choices at least"),
        ({"num_envs": [4, 8, 4]}, "num_envs: 4 appears twice"),
        ({"num_envs": 4}, "num_envs: 4 is not allowed; expected a list of choices, or a range"),
        ({"anneal_lr": {"low": 0, "high": 1}}, "anneal_lr: a range is not allowed; expected a list"),
        ({"learning_rate": _LOG | {"step": 0.1}}, "learning_rate: log and step are both given"),
        ({"learning_rate": _LOG | {"log": 1}}, "learning_rate: log: 1 is not allowed; expected true or false"),
        ({"hidden_dim": {"low": 8, "high": 16, "step": 0}}, "hidden_dim: step 0 is not allowed; expected above 0"),
        ({"num_steps": [8, 16], "batch_size": [64, 128]}, "batch_size and num_steps are two ways to say the same"),
        ({"seed": [1, 2]}, "seed: it is not searched: each trial has the seeds of --trial-seeds"),
        ({"environment": ["CartPole-v1", "Acrobot-v1"]}, "environment: it is not searched"),
    ],
)
def test_a_wrong_space_is_refused_in_one_line(document: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Space.read(document, "space.json")
    message = str(caught.value)
    assert message.startswith("space.json") and words in message and "\n" not in message


def test_a_setting_whose_values_all_contradict_the_others_is_refused() -> None:
    layer = Layer("flag", Config(environment="CartPole-v1", batch_size=100, total_timesteps=1000))
    with pytest.raises(ConfigError, match=r"batch_size: 100 .* is not a multiple of num_envs=3"):
        Plan([layer], Space.read({"num_envs": [3, 7]}, "space")).check_space()
    Plan([layer], Space.read({"num_envs": [3, 5]}, "space")).check_space()


@pytest.mark.parametrize(
    "config",
    [
        {"environment": "CartPole-v1", "total_timesteps": 2000},
        {"environment": "CartPole-v1", "total_timesteps": 50_000},
        {"environment": "CartPole-v1", "total_timesteps": 1_000_000, "memory": "lstm"},
        {"environment": "CartPole-v1", "total_timesteps": 1_000_000, "workers": 6, "vectorization": "workers"},
        {"environment": "CartPole-v1", "total_timesteps": 100_000, "algorithm": "a2c"},
        {"environment": "CartPole-v1", "total_timesteps": 100_000, "num_envs": 3},
        {"environment": "CartPole-v1", "num_epochs": 50},
        {"environment": "random-states", "num_epochs": 50},
    ],
)
def test_every_combination_of_the_default_space_is_valid(config: dict[str, Any]) -> None:
    layers = [Layer("flag", Config(**config))]
    settings = resolve(*layers).settings
    space = default_space(settings, config)
    assert space.keys().isdisjoint(config)
    plan = Plan(layers, space)
    sizes = [name for name in ("num_envs", "num_steps", "num_minibatches") if name in space]
    values = {name: domain.ends()[0] for name, domain in space.items()}
    combinations: list[dict[str, Any]] = [values]
    for name in sizes:
        combinations = [found | {name: value} for found in combinations for value in space[name].ends()]
    for combination in combinations:
        trial = plan.settings_of(combination)
        assert settings.total_timesteps * 0.9 <= trial.total_timesteps <= settings.total_timesteps
        assert not sizes or trial.num_epochs >= 16


def test_all_settings_of_the_default_space_fixed_leave_nothing_to_search() -> None:
    settings = resolve(Layer("flag", Config(num_epochs=5))).settings
    fixed = {"learning_rate": 1, "ent_coef": 1, "vf_coef": 1, "max_grad_norm": 1}
    with pytest.raises(ConfigError, match="every setting that is searched without it is fixed"):
        default_space(settings, fixed)
