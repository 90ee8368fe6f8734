"""What a user may say, and what is said to one who says something else."""

import copy
import json
import math
import os
import pickle
import re
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from actor_critic.config import Config, Layer, allowed_values, base_type, resolve
from actor_critic.errors import ConfigError
from actor_critic.storage.checkpoints import Checkpoint, load, save
from tests.config.documents import JSON_VALUES, configs

DESCRIBED = {
    "input_dim": 10, "output_dim": 2, "hidden_dim": 256, "learning_rate": 1e-4, "batch_size": 32, "num_epochs": 100,
    "seed": 42,
}  # fmt: skip
FIELDS = list(Config.model_fields)


def _nested(depth: int, innermost: Any = None) -> list[Any]:
    value: list[Any] = [] if innermost is None else [innermost]
    for _ in range(depth - 1):
        value = [value]
    return value


def _refusal(document: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        Config(**document)
    text = str(caught.value)
    assert text and "\n" not in text
    return text


def test_the_described_example_is_accepted_word_for_word(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        '{\n  "input_dim": 10,\n  "output_dim": 2,\n  "hidden_dim": 256,\n  "learning_rate": 1e-4,\n'
        '  "batch_size": 32,\n  "num_epochs": 100,\n  "seed": 42\n}\n'
    )
    config = Config.load(tmp_path / "config.json")
    assert config.model_dump(exclude_none=True) == DESCRIBED


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"gamma": 2}, "gamma: 2 is not allowed; expected a finite number at least 0 and at most 1"),
        ({"gamma": math.nan}, "gamma: nan is not allowed; expected a finite number at least 0 and at most 1"),
        ({"learning_rate": 0.0}, "learning_rate: 0.0 is not allowed; expected a finite number above 0 and at most 1"),
        ({"adam_beta1": 1.0}, "adam_beta1: 1.0 is not allowed; expected a finite number at least 0 and below 1"),
        ({"seed": True}, "seed: True (bool) is not allowed; expected a whole number at least 0 and at most 4294967295"),
        ({"seed": 1.0}, "seed: 1.0 is not allowed; expected a whole number at least 0 and at most 4294967295"),
        ({"seed": "1"}, "seed: '1' is not allowed; expected a whole number at least 0 and at most 4294967295"),
        ({"vf_coef": "0.5"}, "vf_coef: '0.5' is not allowed; expected a finite number at least 0"),
        ({"vf_coef": True}, "vf_coef: True (bool) is not allowed; expected a finite number at least 0"),
        ({"anneal_lr": 1}, "anneal_lr: 1 is not allowed; expected true or false"),
        ({"clip_coef": "on"}, "clip_coef: 'on' is not allowed; expected a finite number above 0 or \"off\""),
        ({"max_hours": math.inf}, "max_hours: inf is not allowed; expected a finite number above 0"),
        ({"algorithm": "dqn"}, 'algorithm: \'dqn\' is not allowed; expected "a2c" or "ppo"'),
        ({"wrappers": "m:C"}, "wrappers: 'm:C' is not allowed; expected a list, each item a text such as"),
        ({"environment_kwargs": [1]}, "environment_kwargs: [1] (list) is not allowed; expected a JSON object"),
        ({"environment_kwargs": {"a": [math.nan]}}, "environment_kwargs: nan is not allowed; every number must be"),
        ({"environment_kwargs": {"a": {1}}}, "environment_kwargs: {1} (set) is not allowed; expected JSON values"),
        ({"log_file": "a\0b"}, "log_file: 'a\\x00b' is not allowed; expected a text such as"),
    ],
)
def test_a_wrong_value_is_refused_with_its_field_and_what_is_allowed(document: dict[str, Any], message: str) -> None:
    assert _refusal(document).startswith(message)


def test_every_wrong_field_is_named_at_once() -> None:
    text = _refusal({"gamma": 2, "sede": 1, "seed": -1})
    assert text.count("; expected") == 2
    assert all(words in text for words in ("gamma: 2", "seed: -1", "unknown setting 'sede'; did you mean 'seed'?"))


def test_a_whole_number_will_do_for_a_real_one() -> None:
    config = Config(gamma=1, clip_coef=1, target_return=-3)
    assert [repr(value) for value in (config.gamma, config.clip_coef, config.target_return)] == ["1.0", "1.0", "-3.0"]


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_refuses_what_is_none_of_its_values_in_words_that_name_it(name: str) -> None:
    others = {
        bool: [0, 1, "true", [], {}],
        int: [True, 1.0, "1", [1], {}, math.nan, -math.inf, -(10**400), -(10**5000), 10**5000],
        float: [True, "1", [1], {}, math.nan, math.inf, -math.inf, 10**400, 10**5000],
        str: [True, 1, 1.5, math.nan, -math.inf, -(10**5000), [], {}, "", "\ud800"],
        list: [True, 1, "a:b", {}, math.nan, ("",), [""], [1], [None], ["a\0"]],
        dict: [True, 1, "{}", [], math.nan, {"a": math.inf}, {"a": 10**5000}, {1: 2}, {"a": {1}}, {"a": "\ud800"}],
    }[base_type(name)]
    if name == "wrappers":
        others += [("a",), ["a"], ["a:b\n"]]
    for value in [*others, _nested(40), _nested(10**4), {"a": _nested(10**4)}]:
        assert name in _refusal({name: value})


@pytest.mark.parametrize("name", FIELDS)
def test_a_slip_of_the_fingers_finds_the_field_that_was_meant(name: str) -> None:
    middle = len(name) // 2
    for typo in (f"{name}_", name.replace("_", "-") + "s", f"{name[:middle]}{name[middle + 1 :]}"):
        assert f"unknown setting {typo!r}; did you mean" in (text := _refusal({typo: 1}))
        assert repr(name) in text


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_says_what_it_means_and_what_it_accepts(name: str) -> None:
    description = Config.model_fields[name].description
    assert description and len(description) > 30
    assert description.rstrip()[-1] in ".)"
    words = allowed_values(name)
    assert words.startswith(("a whole number", "a finite number", "a text", "a list", "a JSON object", "true or", '"'))
    if base_type(name) is int:
        assert "at least" in words and "at most" in words
    assert not set("<>[]{}\\") & set(re.sub(r" such as \{.*\}", "", words))


@given(st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=12), JSON_VALUES, max_size=4) | JSON_VALUES)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_document_is_a_config_or_one_line_about_what_is_wrong(document: Any) -> None:
    try:
        config = Config.model_validate(document)
    except ConfigError as error:
        assert str(error) and "\n" not in str(error)
    else:
        assert Config(**json.loads(config.to_json())) == config


@given(config=configs())
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_saved_config_is_read_back_equal(config: Config, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "round_trip.json"
    config.save(path)
    assert Config.load(path) == config


def test_the_deepest_arguments_allowed_survive_a_file_and_a_checkpoint_and_one_more_level_is_refused(
    tmp_path: Path,
) -> None:
    config = Config(environment_kwargs={"a": _nested(23, innermost=1)})
    config.save(tmp_path / "config.json")
    assert Config.load(tmp_path / "config.json") == config
    save(Checkpoint(config.model_dump(), {}, {}, {"weights": torch.zeros(1)}), tmp_path / "checkpoint")
    assert Config(**load(tmp_path / "checkpoint").settings) == config
    assert "environment_kwargs is nested too deeply; at most 24" in _refusal({"environment_kwargs": {"a": _nested(24)}})


def test_save_new_never_touches_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    assert Config(seed=1).save_new(path)
    written = path.read_bytes()
    assert not Config(seed=2).save_new(path)
    assert path.read_bytes() == written
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "nowhere")
    assert not Config(seed=2).save_new(link)
    assert not (tmp_path / "nowhere").exists()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["config.json", "link.json"]


def test_a_wrong_setting_in_a_file_is_reported_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "gamma"  # a name that the message about the setting also begins with
    path.write_text('{"gamma": 2}')
    with pytest.raises(ConfigError) as caught:
        Config.load(path)
    assert str(caught.value).startswith(f"{path}: gamma: 2 is not allowed")


def test_numbers_of_numpy_paths_and_tuples_are_the_json_values_they_stand_for() -> None:
    config = Config(
        environment=np.str_("CartPole-v1"),
        environment_kwargs={"sizes": (np.int8(3), np.array(4)), np.str_("deep"): {"scale": np.float32(0.5)}},
        wrappers=("a.b:C", np.str_("d:E")),  # type: ignore[arg-type]
        hidden_dim=np.int64(64),
        seed=np.arange(3)[1],
        gamma=np.array(0.5),
        anneal_lr=np.bool_(False),
        init_from=Path("runs") / "first",  # type: ignore[arg-type]
        log_file=PurePosixPath("a.log"),  # type: ignore[arg-type]
    )
    expected = {
        "environment": "CartPole-v1", "environment_kwargs": {"sizes": [3, 4], "deep": {"scale": 0.5}},
        "wrappers": ["a.b:C", "d:E"], "hidden_dim": 64, "seed": 1, "gamma": 0.5, "anneal_lr": False,
        "init_from": os.path.join("runs", "first"), "log_file": "a.log",
    }  # fmt: skip
    found = config.model_dump(exclude_none=True)
    assert found == expected
    assert [type(value) for value in found.values()] == [type(expected[name]) for name in found]
    assert json.loads(config.to_json())["environment_kwargs"] == expected["environment_kwargs"]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"seed": np.bool_(True)}, "seed: True (bool) is not allowed; expected a whole number"),
        ({"seed": np.float64(1.0)}, "seed: 1.0 is not allowed; expected a whole number"),
        ({"seed": np.array([1])}, "seed: array([1]) (ndarray) is not allowed; expected a whole number"),
        ({"anneal_lr": np.int64(1)}, "anneal_lr: 1 is not allowed; expected true or false"),
        ({"gamma": np.float32("nan")}, "gamma: nan is not allowed"),
        ({"log_file": b"a.log"}, "log_file: b'a.log' (bytes) is not allowed"),
        ({"environment_kwargs": {"a": np.arange(2)}}, "environment_kwargs: array([0, 1]) (ndarray) is not allowed"),
        ({"environment_kwargs": {"a": np.complex64(1)}}, "environment_kwargs: np.complex64(1+0j) (complex64) is not"),
        ({"environment_kwargs": {(1, 2): 3}}, "environment_kwargs: (1, 2) (tuple) is not allowed; expected a JSON"),
    ],
)
def test_what_numpy_has_beyond_json_is_refused_as_before(document: dict[str, Any], message: str) -> None:
    assert _refusal(document).startswith(message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gamma": 5.0}, "gamma: 5.0 is not allowed"),
        ({"gama": 0.5}, "unknown setting 'gama'; did you mean 'gamma'?"),
        ({"num_epochs": "3"}, "num_epochs: '3' is not allowed"),
        ({"environment_kwargs": {"a": {1}}}, "environment_kwargs: {1} (set) is not allowed"),
    ],
)
def test_no_way_leads_to_a_config_that_is_not_valid(change: dict[str, Any], message: str) -> None:
    base = Config(gamma=0.5, environment_kwargs={"deep": [1]})
    ways = [lambda: base.model_copy(update=change), lambda: Config.model_construct(**change)]
    for way in [*ways, lambda: base.copy(update=change)]:
        with pytest.raises(ConfigError) as caught:
            way()
        assert str(caught.value).startswith(message)
    with pytest.raises(ValidationError, match="frozen"):
        base.gamma = 5.0  # type: ignore[misc]


def test_a_copy_is_equal_and_shares_no_list_and_no_dict() -> None:
    base = Config(gamma=0.5, environment_kwargs={"deep": [1]})
    for copied in (base.model_copy(), base.copy(), copy.deepcopy(base), pickle.loads(pickle.dumps(base))):
        assert copied == base
        assert copied.environment_kwargs is not base.environment_kwargs
    changed = base.model_copy(update={"seed": np.int64(3)})
    assert (changed.seed, changed.gamma) == (3, 0.5)


def test_what_a_dict_of_a_config_holds_is_checked_when_it_is_used() -> None:
    config = Config(environment="CartPole-v1", environment_kwargs={"a": [1]})
    assert config.environment_kwargs is not None
    config.environment_kwargs["a"].append({1})
    with pytest.raises(ConfigError, match=r"environment_kwargs: \{1\} \(set\) is not allowed"):
        resolve(Layer("Config", config))
