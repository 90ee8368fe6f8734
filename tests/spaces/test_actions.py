import json
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from hypothesis import given
from hypothesis import strategies as st

from actor_critic.errors import ConfigError
from actor_critic.spaces import ActionSpec, read_spaces
from actor_critic.spaces.actions import ActionPart

BOX = gym.spaces.Box(-1, 1, (2,))


def spec_of(
    shape: tuple[int, ...], sizes: tuple[int, ...], starts: tuple[int, ...], dtype: str = "int64"
) -> ActionSpec:
    return ActionSpec((ActionPart((), shape, sizes, starts, dtype),))


NESTED = gym.spaces.Dict(
    {
        "arm": gym.spaces.Tuple([gym.spaces.Discrete(3, start=-1), gym.spaces.MultiDiscrete([[2, 5]], start=[[1, 0]])]),
        "lamps": gym.spaces.MultiBinary(2),
    }
)
SPECS = [
    (gym.spaces.Discrete(3), spec_of((), (3,), (0,))),
    (gym.spaces.Discrete(3, start=-1), spec_of((), (3,), (-1,))),
    (gym.spaces.MultiDiscrete([2, 5]), spec_of((2,), (2, 5), (0, 0))),
    (gym.spaces.MultiDiscrete([2, 5], start=[1, -4]), spec_of((2,), (2, 5), (1, -4))),
    (gym.spaces.MultiDiscrete([4]), spec_of((1,), (4,), (0,))),
    (gym.spaces.MultiDiscrete([[2, 3], [4, 5]]), spec_of((2, 2), (2, 3, 4, 5), (0, 0, 0, 0))),
    (gym.spaces.MultiBinary(3), spec_of((3,), (2, 2, 2), (0, 0, 0), "int8")),
    (gym.spaces.MultiBinary([2, 1]), spec_of((2, 1), (2, 2), (0, 0), "int8")),
    (gym.spaces.Discrete(3, dtype=np.int32, start=4), spec_of((), (3,), (4,), "int32")),
    (gym.spaces.MultiDiscrete([200, 3], dtype=np.uint8), spec_of((2,), (200, 3), (0, 0), "uint8")),
    (
        NESTED,
        ActionSpec(
            (
                ActionPart(("arm", 0), (), (3,), (-1,)),
                ActionPart(("arm", 1), (1, 2), (2, 5), (1, 0)),
                ActionPart(("lamps",), (2,), (2, 2), (0, 0), "int8"),
            )
        ),
    ),
]


@pytest.mark.parametrize(("space", "expected"), SPECS, ids=str)
def test_a_spec_describes_its_space(space: gym.Space[Any], expected: ActionSpec) -> None:
    spec = ActionSpec.from_space(space)
    assert spec == expected
    assert spec.num_groups == len(expected.sizes)
    assert spec.num_logits == sum(expected.sizes)
    assert spec.is_nested is isinstance(space, gym.spaces.Dict)


@pytest.mark.parametrize(("space", "spec"), SPECS, ids=str)
def test_lowest_and_highest_choices_are_actions_of_the_space_and_the_next_is_none(
    space: gym.Space[Any], spec: ActionSpec
) -> None:
    sizes = np.array(spec.sizes)
    for choices, is_inside in ((0 * sizes, True), (sizes - 1, True), (sizes, False), (0 * sizes - 1, False)):
        action = spec.one_by_one(choices[None])[0]
        assert space.contains(action) is is_inside


@pytest.mark.parametrize(("space", "spec"), SPECS, ids=str)
def test_actions_of_a_batch_are_those_one_by_one_and_lead_back_to_their_choices(
    space: gym.Space[Any], spec: ActionSpec
) -> None:
    random = np.random.default_rng(0)
    choices = np.stack([random.integers(0, size, 7) for size in spec.sizes], 1)
    actions = spec.to_environment(choices)
    np.testing.assert_array_equal(spec.to_choices(actions), choices)
    batched = gym.vector.utils.batch_space(space, 7)
    rows = list(gym.vector.utils.iterate(batched, actions))
    for row, single in zip(rows, spec.one_by_one(choices), strict=True):
        assert data_equivalence(row, single)


@pytest.mark.parametrize(("space", "spec"), SPECS[:-1], ids=str)
def test_choices_of_time_and_batch_become_actions_of_the_same_axes(space: gym.Space[Any], spec: ActionSpec) -> None:
    choices = np.zeros((7, 4, spec.num_groups), np.int64)
    for actions, dtype in ((spec.to_environment(choices), space.dtype), (spec.numbers(choices), np.int64)):
        assert actions.dtype == dtype
        assert actions.shape == (7, 4, *space.shape)  # type: ignore[misc]


def test_choices_become_actions_by_their_starts() -> None:
    single, double = spec_of((), (3,), (-1,)), spec_of((2,), (2, 5), (1, -4))
    assert single.to_environment(np.array([[0], [2]])).tolist() == [-1, 1]
    assert double.to_environment(np.array([[0, 0], [1, 4]])).tolist() == [[1, -4], [2, 0]]


def test_a_nested_action_has_the_form_of_its_space() -> None:
    action = ActionSpec.from_space(NESTED).one_by_one(np.array([[0, 1, 4, 0, 1]]))[0]
    assert action["arm"][0] == -1
    assert action["arm"][1].tolist() == [[2, 4]]
    assert action["lamps"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (BOX, "continuous"),
        (gym.spaces.Dict({"a": gym.spaces.Discrete(2), "b": BOX}), r"at \[\"b\"\] of Dict.* is continuous"),
        (gym.spaces.Tuple([gym.spaces.Discrete(2), gym.spaces.Text(3)]), r"at \[1\] of Tuple.* not supported"),
        (gym.spaces.Text(3), "not supported"),
        (gym.spaces.Tuple([]), "empty"),
        (gym.spaces.Dict({"a": gym.spaces.Dict({})}), "empty"),
    ],
    ids=str,
)
def test_a_space_that_is_not_supported_is_refused_by_name(space: gym.Space[Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ActionSpec.from_space(space)


def test_an_action_space_beyond_any_memory_is_named() -> None:
    words = "^environment: the action space of Big-v0 has 1099511627776 choices, and at most 1000000 are possible"
    with pytest.raises(ConfigError, match=words):
        read_spaces("Big-v0", BOX, gym.spaces.Discrete(2**40))


def test_every_part_of_an_action_has_the_dtype_of_its_space() -> None:
    arm = gym.spaces.Tuple([gym.spaces.Discrete(3, dtype=np.int16), gym.spaces.MultiDiscrete([4, 4], dtype=np.uint8)])
    space = gym.spaces.Dict({"arm": arm, "lamps": gym.spaces.MultiBinary(2)})
    spec = ActionSpec.from_space(space)
    action = spec.one_by_one(np.array([[2, 3, 0, 1, 0]]))[0]
    assert space.contains(action)
    assert (action["arm"][0].dtype, action["arm"][1].dtype, action["lamps"].dtype) == (np.int16, np.uint8, np.int8)
    numbers = spec.numbers(np.array([[2, 3, 0, 1, 0]]))
    assert {array.dtype for array in (*numbers["arm"], numbers["lamps"])} == {np.dtype(np.int64)}


@pytest.mark.parametrize("spec", [spec for _, spec in SPECS], ids=str)
def test_a_spec_survives_its_json_document(spec: ActionSpec) -> None:
    found = ActionSpec.from_document(json.loads(json.dumps(spec.to_document())))
    assert found == spec
    assert hash(found) == hash(spec)


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.float32])
def test_mask_of_one_action_becomes_one_boolean_row(dtype: Any) -> None:
    spec = spec_of((2,), (2, 3), (0, 0))
    found = spec.check_mask(np.array([0, 1, 1, 0, 1], dtype), None)
    assert found.dtype == np.bool_
    assert found.tolist() == [[False, True, True, False, True]]


def test_mask_of_a_batch_keeps_its_rows() -> None:
    masks = np.array([[1, 0, 1], [0, 1, 0]], np.bool_)
    np.testing.assert_array_equal(spec_of((), (3,), (0,)).check_mask(masks, 2), masks)


@pytest.mark.parametrize(
    ("shape", "count"), [((4,), None), ((1, 5), None), ((5,), 1), ((3, 5), 2), ((2, 4), 2), ((10,), 2)]
)
def test_mask_of_another_shape_is_refused(shape: tuple[int, ...], count: int | None) -> None:
    with pytest.raises(ValueError, match="action_mask: shape"):
        spec_of((2,), (2, 3), (0, 0)).check_mask(np.ones(shape, np.bool_), count)


@pytest.mark.parametrize("forbidden", [slice(0, 2), slice(2, 5)])
def test_mask_that_forbids_a_whole_group_is_refused_by_its_row(forbidden: slice) -> None:
    masks = np.ones((4, 5), np.bool_)
    masks[2, forbidden] = False
    with pytest.raises(ValueError, match="row 2 allows no action"):
        spec_of((2,), (2, 3), (0, 0)).check_mask(masks, 4)


@st.composite
def action_spaces(draw: st.DrawFn, depth: int = 3) -> gym.Space[Any]:
    kind = draw(st.sampled_from(["discrete", "integers", "bits", *(["dict", "tuple"] if depth else [])]))
    match kind:
        case "discrete":
            return gym.spaces.Discrete(draw(st.integers(1, 5)), start=draw(st.integers(-3, 3)))
        case "integers":
            sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
            return gym.spaces.MultiDiscrete(sizes, dtype=draw(st.sampled_from([np.int64, np.int8, np.uint16])))
        case "bits":
            return gym.spaces.MultiBinary(draw(st.integers(1, 3)))
    inner = draw(st.lists(action_spaces(depth - 1), min_size=1, max_size=3))  # type: ignore[call-arg]
    return gym.spaces.Tuple(inner) if kind == "tuple" else gym.spaces.Dict(dict(zip("abc", inner, strict=False)))


@given(action_spaces(), st.integers(0, 2**32 - 1))
def test_whatever_is_chosen_in_any_space_is_an_action_of_it(space: gym.Space[Any], seed: int) -> None:
    spec = ActionSpec.from_space(space)
    random = np.random.default_rng(seed)
    choices = np.stack([random.integers(0, size, 3) for size in spec.sizes], 1)
    assert all(space.contains(action) for action in spec.one_by_one(choices))
    np.testing.assert_array_equal(spec.to_choices(spec.to_environment(choices)), choices)
