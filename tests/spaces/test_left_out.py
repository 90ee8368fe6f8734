"""Parts of observations that the networks do not see: which they are, and that nothing else changes."""

import json
import pickle
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector.utils import batch_space
from hypothesis import given
from hypothesis import strategies as st

from actor_critic.errors import ConfigError
from actor_critic.spaces import ObservationSpec, leave_out, left_out, parts_of, pick

READABLE = [
    gym.spaces.Box(-1, 1, (2,)),
    gym.spaces.Box(0, 255, (5, 4, 3), np.uint8),
    gym.spaces.Discrete(3, start=1),
    gym.spaces.MultiDiscrete([2, 4]),
    gym.spaces.MultiBinary(3),
]
UNREADABLE = [gym.spaces.Text(4), gym.spaces.Sequence(READABLE[2]), gym.spaces.OneOf([READABLE[2]])]
UNSEEN = gym.spaces.Dict(
    {
        "image": READABLE[1],
        "mission": gym.spaces.Text(4),
        "sensors": gym.spaces.Tuple([gym.spaces.Text(4), gym.spaces.Dict({"camera": READABLE[1], "on": READABLE[4]})]),
        "log": gym.spaces.Dict({"words": gym.spaces.Text(4)}),
    }
)

UNREAD = [".".join(map(str, path)) for path, part in parts_of(UNSEEN) if isinstance(part, gym.spaces.Text)]


def _nested(inner: st.SearchStrategy[gym.Space[Any]]) -> st.SearchStrategy[gym.Space[Any]]:
    several = st.lists(inner, min_size=1, max_size=3)
    return several.map(gym.spaces.Tuple) | several.map(
        lambda spaces: gym.spaces.Dict(list(zip(["b", "a.b", "0"], spaces, strict=False)))
    )


SPACES = _nested(st.recursive(st.sampled_from([*READABLE, *UNREADABLE]), _nested, max_leaves=6))


@given(SPACES, st.data())
def test_the_networks_see_exactly_the_chosen_parts_that_they_can_read(
    space: gym.Space[Any], data: st.DataObject
) -> None:
    parts = list(parts_of(space))
    readable = [path for path, part in parts if any(part is other for other in READABLE)]
    if not readable:
        assert leave_out("", space, ["b"]) is space
        with pytest.raises(ConfigError, match="is not supported"):
            ObservationSpec.from_space(space)
        return
    all_names = {".".join(map(str, path[:end])) for path in readable for end in range(1, len(path) + 1)}
    keys = data.draw(st.lists(st.sampled_from(sorted(all_names)), max_size=3))
    expected = [
        path
        for path in readable
        if not keys or any(".".join(map(str, path[:end])) in keys for end in range(1, len(path) + 1))
    ]
    seen = leave_out("", space, keys)
    spec = ObservationSpec.from_space(seen)
    assert [part.path for part in spec.parts] == expected
    assert len(left_out(seen)) == len(parts) - len(expected)
    assert leave_out("", seen, keys) == seen == pickle.loads(pickle.dumps(seen))

    space.seed(3)
    observation = space.sample()
    batch, is_single = spec.as_batch(observation)
    assert is_single
    for path, read, view in zip(expected, spec.read(observation), spec.views(batch), strict=True):
        np.testing.assert_array_equal(read, pick(observation, path))
        np.testing.assert_array_equal(view[0], pick(observation, path))
    assert ObservationSpec.from_document(json.loads(json.dumps(spec.to_document()))) == spec


@pytest.mark.parametrize(
    "space", [*READABLE, gym.spaces.Tuple(READABLE), *UNREADABLE, gym.spaces.Tuple(UNREADABLE)], ids=str
)
def test_a_space_stays_as_it_is_if_nothing_can_be_left_out(space: gym.Space[Any]) -> None:
    assert leave_out("Id-v0", space, []) is space


def test_each_part_that_is_left_out_is_named_with_the_reason() -> None:
    expected = [(name, "Text, which no network reads") for name in UNREAD]
    assert left_out(UNSEEN) == left_out(leave_out("Id-v0", UNSEEN, [])) == expected
    chosen = dict(left_out(leave_out("Id-v0", UNSEEN, ["sensors"])))
    assert chosen == dict(expected) | {"image": "not among observation_keys"}


def test_a_tuple_keeps_its_positions() -> None:
    spec = ObservationSpec.from_space(leave_out("Id-v0", UNSEEN, ["sensors.1.on"]))
    assert str(spec) == "Dict('sensors': Tuple(left out, Dict('on': Box((3,), int8))))"
    assert spec.dtype["sensors"].names == ("1",)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["imge"], "observation_keys: 'imge' is no part of the observations of Id-v0; expected some of 'image', "),
        (["image", "sensors.2"], "observation_keys: 'sensors.2' is no part"),
        (
            ["mission"],
            "observation_keys: 'mission' cannot be chosen (Text, which no network reads); expected some of 'image', ",
        ),
        (["log"], "observation_keys: 'log' cannot be chosen (Text, which no network reads); expected some of"),
    ],
)
def test_a_name_of_nothing_is_refused_with_the_names_that_there_are(keys: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        leave_out("Id-v0", UNSEEN, keys)
    assert str(caught.value).startswith(message)
    assert str(caught.value).endswith("'image', 'sensors.1.camera', 'sensors.1.on'")


def test_an_observation_without_parts_has_none_to_choose() -> None:
    with pytest.raises(ConfigError, match=r"observation_keys: \['image'\]: .* Id-v0 have no parts, they are Discrete"):
        leave_out("Id-v0", READABLE[2], ["image"])


def test_a_batch_of_what_is_left_out_is_left_out() -> None:
    seen = leave_out("Id-v0", UNSEEN, ["image"])
    assert left_out(batch_space(seen, 3)) == left_out(seen)
    assert seen.sample() in seen
