import json
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from actor_critic.errors import ConfigError
from actor_critic.spaces import ActionSpec, ObservationSpec

BOX = gym.spaces.Box(-1, 1, (2,))

ACTION_SPECS = [
    (gym.spaces.Discrete(3), ActionSpec("discrete", (3,), (0,))),
    (gym.spaces.Discrete(3, start=-1), ActionSpec("discrete", (3,), (-1,))),
    (gym.spaces.MultiDiscrete([2, 5]), ActionSpec("vector", (2, 5), (0, 0))),
    (gym.spaces.MultiDiscrete([2, 5], start=[1, -4]), ActionSpec("vector", (2, 5), (1, -4))),
    (gym.spaces.MultiDiscrete([4]), ActionSpec("vector", (4,), (0,))),
    (gym.spaces.MultiBinary(3), ActionSpec("vector", (2, 2, 2), (0, 0, 0))),
]

OBSERVATION_SPECS = [
    (gym.spaces.Box(-1, 1, (2, 3)), ObservationSpec("box", (2, 3), "float32"), 6),
    (gym.spaces.Box(-1, 1, (2,), np.float64), ObservationSpec("box", (2,), "float32"), 2),
    (gym.spaces.Box(-1, 1, (2,), np.float16), ObservationSpec("box", (2,), "float32"), 2),
    (gym.spaces.Box(0, 255, (4, 4, 3), np.uint8), ObservationSpec("box", (4, 4, 3), "uint8"), 48),
    (gym.spaces.Box(0, 9, (2,), np.int64), ObservationSpec("box", (2,), "int64"), 2),
    (gym.spaces.Box(-1, 1, ()), ObservationSpec("box", (), "float32"), 1),
    (gym.spaces.MultiBinary([2, 3]), ObservationSpec("box", (2, 3), "int8"), 6),
    (gym.spaces.Discrete(16, start=2), ObservationSpec("categories", (), "int64", (16,), (2,)), 16),
    (
        gym.spaces.MultiDiscrete([3, 2], start=[1, -5]),
        ObservationSpec("categories", (2,), "int64", (3, 2), (1, -5)),
        5,
    ),
    (
        gym.spaces.MultiDiscrete([[3, 2], [4, 5]]),
        ObservationSpec("categories", (2, 2), "int64", (3, 2, 4, 5), (0, 0, 0, 0)),
        14,
    ),
]


@pytest.mark.parametrize(("space", "expected"), ACTION_SPECS, ids=str)
def test_action_spec_describes_its_space(space: gym.Space[Any], expected: ActionSpec) -> None:
    spec = ActionSpec.from_space(space)
    assert spec == expected
    assert spec.num_groups == len(expected.sizes)
    assert spec.num_logits == sum(expected.sizes)


@pytest.mark.parametrize(("space", "spec"), ACTION_SPECS, ids=str)
def test_lowest_and_highest_choices_are_actions_of_the_space_and_the_next_is_none(
    space: gym.Space[Any], spec: ActionSpec
) -> None:
    sizes = np.array(spec.sizes)
    for choices, is_inside in ((0 * sizes, True), (sizes - 1, True), (sizes, False), (0 * sizes - 1, False)):
        action = spec.to_environment(choices)
        assert action.shape == (space.shape or ())
        assert space.contains(action) is is_inside


@pytest.mark.parametrize(("space", "spec"), ACTION_SPECS, ids=str)
def test_choices_of_time_and_batch_become_actions_of_the_same_axes(space: gym.Space[Any], spec: ActionSpec) -> None:
    choices = np.zeros((7, 4, spec.num_groups), np.int64)
    actions = spec.to_environment(choices)
    assert actions.dtype == np.int64
    assert actions.shape == ((7, 4) if spec.kind == "discrete" else (7, 4, spec.num_groups))


def test_choices_become_actions_by_their_starts() -> None:
    single, double = ActionSpec("discrete", (3,), (-1,)), ActionSpec("vector", (2, 5), (1, -4))
    assert single.to_environment(np.array([[0], [2]])).tolist() == [-1, 1]
    assert double.to_environment(np.array([[0, 0], [1, 4]])).tolist() == [[1, -4], [2, 0]]


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (BOX, "continuous"),
        (gym.spaces.Dict({"a": gym.spaces.Discrete(2)}), "not supported"),
        (gym.spaces.Tuple([gym.spaces.Discrete(2)]), "not supported"),
        (gym.spaces.Text(3), "not supported"),
        (gym.spaces.MultiDiscrete([[2, 2], [2, 2]]), "one-dimensional"),
        (gym.spaces.MultiBinary([2, 2]), "one-dimensional"),
    ],
    ids=str,
)
def test_action_space_that_is_not_supported_is_refused_by_name(space: gym.Space[Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        ActionSpec.from_space(space)
    assert str(space) in str(caught.value)


@pytest.mark.parametrize(("space", "expected", "num_features"), OBSERVATION_SPECS, ids=str)
def test_observation_spec_describes_its_space(
    space: gym.Space[Any], expected: ObservationSpec, num_features: int
) -> None:
    spec = ObservationSpec.from_space(space)
    assert spec == expected
    assert spec.num_features == num_features
    sample = np.asarray(space.sample())
    assert sample.shape == spec.shape
    assert np.can_cast(sample.dtype, spec.dtype, "same_kind")


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (gym.spaces.Dict({"a": BOX}), "FlattenObservation"),
        (gym.spaces.Tuple([BOX]), "FlattenObservation"),
        (gym.spaces.Text(3), "array of fixed shape"),
        (gym.spaces.Sequence(BOX), "array of fixed shape"),
        (gym.spaces.Graph(BOX, None), "array of fixed shape"),
        (gym.spaces.OneOf([BOX]), "supported are Box"),
    ],
    ids=str,
)
def test_observation_space_that_is_not_supported_is_refused_by_name_with_the_mend(
    space: gym.Space[Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        ObservationSpec.from_space(space)
    assert str(space) in str(caught.value)


@pytest.mark.parametrize("spec", [spec for _, spec in ACTION_SPECS], ids=str)
def test_action_spec_survives_its_json_document(spec: ActionSpec) -> None:
    found = ActionSpec.from_document(json.loads(json.dumps(spec.to_document())))
    assert found == spec
    assert hash(found) == hash(spec)


@pytest.mark.parametrize("space", [space for space, _, _ in OBSERVATION_SPECS], ids=str)
def test_observation_spec_survives_its_json_document(space: gym.Space[Any]) -> None:
    spec = ObservationSpec.from_space(space)
    found = ObservationSpec.from_document(json.loads(json.dumps(spec.to_document())))
    assert found == spec
    assert hash(found) == hash(spec)


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.float32])
def test_mask_of_one_action_becomes_one_boolean_row(dtype: Any) -> None:
    spec = ActionSpec("vector", (2, 3), (0, 0))
    found = spec.check_mask(np.array([0, 1, 1, 0, 1], dtype), None)
    assert found.dtype == np.bool_
    assert found.tolist() == [[False, True, True, False, True]]


def test_mask_of_a_batch_keeps_its_rows() -> None:
    masks = np.array([[1, 0, 1], [0, 1, 0]], np.bool_)
    np.testing.assert_array_equal(ActionSpec("discrete", (3,), (0,)).check_mask(masks, 2), masks)


@pytest.mark.parametrize(
    ("shape", "count"), [((4,), None), ((1, 5), None), ((5,), 1), ((3, 5), 2), ((2, 4), 2), ((10,), 2)]
)
def test_mask_of_another_shape_is_refused(shape: tuple[int, ...], count: int | None) -> None:
    with pytest.raises(ValueError, match="action_mask: shape"):
        ActionSpec("vector", (2, 3), (0, 0)).check_mask(np.ones(shape, np.bool_), count)


@pytest.mark.parametrize("forbidden", [slice(0, 2), slice(2, 5)])
def test_mask_that_forbids_a_whole_group_is_refused_by_its_row(forbidden: slice) -> None:
    masks = np.ones((4, 5), np.bool_)
    masks[2, forbidden] = False
    with pytest.raises(ValueError, match="row 2 allows no action"):
        ActionSpec("vector", (2, 3), (0, 0)).check_mask(masks, 4)
