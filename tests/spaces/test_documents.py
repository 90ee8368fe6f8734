"""Spaces from a file: read as they were written, or refused."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from actor_critic.spaces import ActionSpec, ObservationSpec

SPACE = gym.spaces.Dict(
    {
        "picture": gym.spaces.Box(0, 255, (36, 40, 3), np.uint8),
        "body": gym.spaces.Tuple([gym.spaces.Box(-1, 1, (3,)), gym.spaces.MultiBinary(2)]),
        "state": gym.spaces.MultiDiscrete([2, 3], start=[-1, 5]),
    }
)
ACTIONS = gym.spaces.Tuple([gym.spaces.Discrete(3, start=-1), gym.spaces.MultiDiscrete([[2, 3], [4, 5]])])


def _documents() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    return ObservationSpec.from_space(SPACE).to_document(), ActionSpec.from_space(ACTIONS).to_document()


def test_what_was_written_is_read() -> None:
    observations, actions = _documents()
    assert ObservationSpec.from_document(observations) == ObservationSpec.from_space(SPACE)
    assert ActionSpec.from_document(actions) == ActionSpec.from_space(ACTIONS)


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": (-3,)}, {"shape": (2**63,)}, {"shape": (3.0,)}, {"shape": "abc"}, {"shape": (True,)}, {"shape": None},
        {"shape": (1,) * 33}, {"dtype": "object"}, {"dtype": "U9"}, {"dtype": None}, {"dtype": "complex64"},
        {"kind": "other"}, {"kind": []}, {"order": (0, 1, 2)}, {"kind": "image", "order": (0,)},
        {"kind": "image", "shape": (9, 9), "order": (0, 2)}, {"kind": "image", "shape": (2, 9), "order": (0, 1)},
        {"kind": "categories", "dtype": "int64", "shape": (), "sizes": (2, 3), "starts": (0, 0)},
        {"kind": "categories", "dtype": "int64", "shape": (1,), "sizes": (0,), "starts": (0,)},
        {"path": ("a", 1.5)}, {"path": "body"}, {"path": ()}, {"path": ("body", 1)}, {"path": ("body", -1)},
        {"path": ("body", 2**40)},
        {"path": ("a",) * 33}, {"path": ("picture", "x")}, {"more": 1}, {"divisor": 2.0},
        {"kind": "image", "shape": (40, 40), "order": (0, 1), "divisor": 0.0},
        {"kind": "image", "shape": (40, 40), "order": (0, 1), "divisor": True},
        {"kind": "image", "shape": (40, 40), "order": (0, 1), "divisor": float("nan")},
    ],
)  # fmt: skip
def test_an_observation_space_that_is_none_is_refused(changes: dict[str, Any]) -> None:
    document, _ = _documents()
    body = next(part for part in document if part["kind"] == "box")
    body.update(changes)
    with pytest.raises(ValueError, match="space"):
        ObservationSpec.from_document(document)


def test_a_tuple_may_lack_parts() -> None:
    space = gym.spaces.Tuple([gym.spaces.Text(3), gym.spaces.Box(-1, 1, (3,)), gym.spaces.Text(3)])
    spec = ObservationSpec.from_space(space)
    assert [part.path for part in spec.parts] == [(1,)]
    assert ObservationSpec.from_document(spec.to_document()) == spec


@pytest.mark.parametrize(
    "changes",
    [
        {"sizes": (0,)}, {"sizes": (2, 2)}, {"starts": ()}, {"starts": (10**400,)}, {"starts": ("0",)}, {"shape": (2,)},
        {"dtype": "float32"}, {"dtype": 8}, {"dtype": "int8", "sizes": (300,)}, {"dtype": "uint8"},
    ],
)  # fmt: skip
def test_an_action_space_that_is_none_is_refused(changes: dict[str, Any]) -> None:
    _, document = _documents()
    document[0].update(changes)
    with pytest.raises(ValueError, match="space"):
        ActionSpec.from_document(document)


@pytest.mark.parametrize("document", [[], {}, None, [1], [[]], [{}], "parts"])
def test_what_is_no_list_of_parts_is_refused(document: Any) -> None:
    for spec in (ObservationSpec, ActionSpec):
        with pytest.raises(ValueError, match="space"):
            spec.from_document(document)


def test_a_document_says_no_more_than_before_where_nothing_is_new() -> None:
    # Digests cover documents: runs in these spaces keep theirs.
    observations, actions = _documents()
    assert [set(part) for part in observations] == 4 * [{"path", "kind", "shape", "dtype", "order", "sizes", "starts"}]
    assert [set(part) for part in actions] == 2 * [{"path", "shape", "sizes", "starts"}]


def test_what_is_new_is_written_and_read() -> None:
    picture = ObservationSpec.from_space(gym.spaces.Box(0, 1, (40, 40, 1), np.uint8))
    assert picture.to_document()[0]["divisor"] == 1.0
    assert ObservationSpec.from_document(picture.to_document()) == picture
    before = [{key: value for key, value in part.items() if key != "divisor"} for part in picture.to_document()]
    assert ObservationSpec.from_document(before).parts[0].scale == 1 / 255
    lamps = ActionSpec.from_space(gym.spaces.MultiBinary(2))
    assert lamps.to_document()[0]["dtype"] == "int8"
    assert ActionSpec.from_document(lamps.to_document()) == lamps
