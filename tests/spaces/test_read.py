"""Both spaces of an environment: found, or refused in one sentence; and compared with others."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from actor_critic.errors import ConfigError
from actor_critic.spaces import read_spaces, spaces_of, spec_mismatch

BOX = gym.spaces.Box(-1, 1, (3,), np.float32)
TWO = gym.spaces.Discrete(2)
OldBox = type("Box", (), {"__module__": "gym.spaces.box", "shape": (3,), "dtype": np.dtype(np.float32)})


class Own(gym.spaces.Box):
    """A subclass of a space of Gymnasium's."""


class Env(gym.Env[Any, Any]):
    """Two spaces, whatever they are."""

    def __init__(self, observation_space: Any, action_space: Any) -> None:
        self.observation_space = observation_space
        self.action_space = action_space


class Late(gym.Env[Any, Any]):
    """Has its spaces after a reset."""


class Raises(gym.Env[Any, Any]):
    """Has a space that raises."""

    @property
    def observation_space(self) -> Any:  # type: ignore[override]
        raise KeyboardInterrupt("the simulator is not there")


def _nested(space: Any) -> gym.spaces.Dict:
    outer = gym.spaces.Dict({"a": BOX, "b": gym.spaces.Dict({"c": TWO})})
    outer.spaces["b"].spaces["c"] = space
    return outer


@pytest.mark.parametrize(
    ("env", "words"),
    [
        (Env(OldBox(), TWO), r"its observation_space is of the older package gym \(gym\.spaces\.box\.Box\).*shimmy"),
        (Env(BOX, OldBox()), "its action_space is of the older package gym"),
        (Env(object(), TWO), r"is of the class builtins\.object, which is no space of Gymnasium"),
        (Env(None, TWO), "its observation_space is None; set it to a space of gymnasium.spaces in __init__"),
        (Env(gym.spaces.Discrete, TWO), r"is the class gymnasium\.spaces\.discrete\.Discrete; expected an instance"),
        (Env(_nested(OldBox()), TWO), r'observation_space: the space at \["b"\]\["c"\] is of the older package gym'),
        (Env(BOX, gym.spaces.Tuple([])), "action_space: the space .* is empty"),
        (Late(), "it has no observation_space before its first reset .*; set it in __init__"),
        (gym.Wrapper(Late()), "it has no observation_space before its first reset"),
        (Raises(), r"its observation_space raised KeyboardInterrupt: the simulator is not there \(test_read.py, line"),
    ],
)
def test_what_is_no_space_is_refused_in_one_sentence(env: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=rf"^environment: Mine-v0: .*{words}"):
        spaces_of("Mine-v0", env)


def test_a_space_of_one_s_own_that_is_one_of_gymnasium_s_is_taken() -> None:
    own = Own(-1, 1, (3,), np.float32)
    assert spaces_of("Mine-v0", Env(own, TWO)) == (own, TWO)
    assert spec_mismatch(read_spaces("", own, TWO), read_spaces("", BOX, TWO)) is None


SAME = [
    (BOX, gym.spaces.Box(-9, 9, (3,), np.float64)),
    (gym.spaces.MultiBinary(3), gym.spaces.Box(0, 1, (3,), np.int8)),
]
OTHER = [
    (BOX, gym.spaces.Discrete(3), "Box((3,), float32)", "Discrete(3)"),
    (BOX, gym.spaces.Box(-1, 1, (4,)), "Box((3,), float32)", "Box((4,), float32)"),
    (BOX, gym.spaces.Box(-1, 1, (3, 1)), "Box((3,), float32)", "Box((3, 1), float32)"),
    (BOX, gym.spaces.Box(0, 9, (3,), np.int32), "Box((3,), float32)", "Box((3,), int32)"),
    (BOX, gym.spaces.Dict({"a": BOX}), "Box((3,), float32)", "Dict('a': Box((3,), float32))"),
    (gym.spaces.Dict({"a": BOX}), gym.spaces.Dict({"b": BOX}), "Dict('a': ", "Dict('b': "),
    (gym.spaces.Discrete(3), gym.spaces.Discrete(3, start=1), "Discrete(3)", "Discrete(3, start=1)"),
    (
        gym.spaces.Box(0, 255, (40, 40, 1), np.uint8),
        gym.spaces.Box(0, 1, (40, 40, 1), np.uint8),
        "up to 255",
        "up to 1",
    ),
]


@pytest.mark.parametrize(("built", "found"), SAME)
def test_spaces_that_look_the_same_to_a_policy_are_the_same(built: Any, found: Any) -> None:
    assert spec_mismatch(read_spaces("", built, TWO), read_spaces("", found, TWO)) is None


@pytest.mark.parametrize(("built", "found", "ours", "theirs"), OTHER)
def test_other_observations_are_told_in_the_user_s_words(built: Any, found: Any, ours: str, theirs: str) -> None:
    told = spec_mismatch(read_spaces("", built, TWO), read_spaces("", found, TWO))
    assert told is not None
    first, second = told.split(", and the environment shows ")
    assert first.startswith("the policy was built for observations ")
    assert ours in first and theirs in second


def test_other_actions_are_told_and_another_dtype_of_them_is_none() -> None:
    pair = gym.spaces.MultiDiscrete([2, 3])
    told = spec_mismatch(read_spaces("", BOX, pair), read_spaces("", BOX, gym.spaces.Discrete(5)))
    assert told == "the policy was built for actions MultiDiscrete([2, 3]), and the environment takes Discrete(5)"
    narrow = gym.spaces.MultiDiscrete([2, 3], dtype=np.int8)
    assert spec_mismatch(read_spaces("", BOX, pair), read_spaces("", BOX, narrow)) is None


def test_a_very_large_space_is_not_written_out() -> None:
    told = spec_mismatch(read_spaces("", BOX, TWO), read_spaces("", gym.spaces.MultiBinary(3), TWO))
    assert told is not None
    told = spec_mismatch(read_spaces("", BOX, TWO), read_spaces("", gym.spaces.MultiDiscrete([3] * 500), TWO))
    assert told is not None and len(told) < 500
