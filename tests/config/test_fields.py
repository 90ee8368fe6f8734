"""Each setting is declared once: what is derived from the declarations, and what is checked against them."""

import json
import re
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest

from actor_critic.config import RANDOM_STATES, Config, Layer, Settings, allowed_values, resolve
from actor_critic.config.config import Default
from actor_critic.config.fields import ALTERNATIVES, DEFAULTS, NULLABLE, SWITCHABLE, default_values
from actor_critic.config.messages import alternatives
from actor_critic.config.preset import find_preset

FIELDS = list(Config.model_fields)
COMPUTED = {"num_envs", "workers", "checkpoint_interval"}  # from other settings
UNSPOKEN = {"clip_coef", "environment_kwargs", "wrappers", "observation_keys", "reward_model_kwargs", "encoder_kwargs"}
UNSPOKEN |= {"evaluation_environment_kwargs", "logger"}


def _plain(annotation: Any) -> Any:
    """A type without the ranges."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    if get_origin(annotation) is list:
        return list[_plain(get_args(annotation)[0])]  # type: ignore[misc]
    if get_origin(annotation) is dict:
        key, value = get_args(annotation)
        return dict[_plain(key), _plain(value)]  # type: ignore[misc]
    if get_origin(annotation) in (Union, UnionType):
        return Union[tuple(_plain(member) for member in get_args(annotation))]  # noqa: UP007
    return annotation


def _resolved_types(name: str) -> list[Any]:
    """The types that a resolved setting may be declared with: as in Config, or with any text where it has choices."""
    members = [_plain(member) for member in alternatives(Config.model_fields[name].annotation)]
    members = [member for member in members if member != Literal["off"]]
    if name in SWITCHABLE | NULLABLE:
        members.append(NoneType)
    exact = Union[tuple(members)]  # noqa: UP007
    widened = Union[tuple(str if get_origin(member) is Literal else member for member in members)]  # noqa: UP007
    return [exact, widened]


@pytest.mark.parametrize("name", FIELDS)
def test_each_setting_has_a_default_or_is_computed_or_is_a_second_name(name: str) -> None:
    assert [name in DEFAULTS, name in COMPUTED, name in ALTERNATIVES.values()].count(True) == 1


@pytest.mark.parametrize("name", [name for name in FIELDS if name not in ALTERNATIVES.values()])
def test_a_resolved_setting_has_the_declared_type(name: str) -> None:
    assert get_type_hints(Settings)[name] in _resolved_types(name)


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_meaning_of_a_setting_tells_its_default(name: str) -> None:
    default = DEFAULTS[name]
    meaning = " ".join((Config.model_fields[name].description or "").split())
    if name in UNSPOKEN or default == Default(None):
        assert "default" not in meaning.lower()
        return
    told = re.search(r"""[Dd]efault:? ("[^"]*"|off|true|false|[\d.e-]*\d)""", meaning)
    assert told is not None
    value = default.value if default.random_states is None else default.random_states
    assert (told[1] if told[1] == "off" else json.loads(told[1])) == value
    if None not in (default.random_states, default.value):
        assert f'Default: "{default.random_states}" for random states, else "{default.value}".' in meaning


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_default_is_allowed(name: str) -> None:
    for value in (DEFAULTS[name].value, DEFAULTS[name].random_states):
        assert getattr(Config(**{name: value}), name) == value


def test_random_states_have_every_default() -> None:
    resolution = resolve(Layer("file", Config()))
    document = resolution.settings.to_document()
    preset = find_preset(RANDOM_STATES, "a2c").settings
    for name, value in default_values(is_random_states=True).items():
        if name not in preset:
            assert (document[name], resolution.sources[name]) == (value, "default")


def test_a_default_is_not_shared_between_settings() -> None:
    default_values(False)["wrappers"].append("m:C")
    assert default_values(False)["wrappers"] == []


@pytest.mark.parametrize("name", FIELDS)
def test_what_may_be_off_says_so(name: str) -> None:
    assert (name in SWITCHABLE) == allowed_values(name).endswith('or "off"')
