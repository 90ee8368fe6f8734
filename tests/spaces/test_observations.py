import json
import re
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from actor_critic.errors import ConfigError
from actor_critic.spaces import ActionSpec, ObservationPart, ObservationSpec, spec_mismatch

BOX = gym.spaces.Box(-1, 1, (2,))
NESTED = gym.spaces.Dict(
    {
        "camera": gym.spaces.Box(0, 255, (5, 5, 3), np.uint8),
        "inside": gym.spaces.Tuple([BOX, gym.spaces.Dict({"mode": gym.spaces.Discrete(3, start=1)})]),
    }
)


def part(kind: Any, shape: tuple[int, ...], dtype: str, **more: Any) -> ObservationPart:
    return ObservationPart((), kind, shape, dtype, **more)


PARTS = [
    (gym.spaces.Box(-1, 1, (2, 3)), part("box", (2, 3), "float32"), 6),
    (gym.spaces.Box(-1, 1, (2,), np.float64), part("box", (2,), "float64"), 2),
    (gym.spaces.Box(-1, 1, (2,), np.float16), part("box", (2,), "float32"), 2),
    (gym.spaces.Box(0, 9, (2,), np.int64), part("box", (2,), "int64"), 2),
    (gym.spaces.Box(-1, 1, ()), part("box", (), "float32"), 1),
    (gym.spaces.MultiBinary([2, 3]), part("box", (2, 3), "int8"), 6),
    (gym.spaces.Discrete(16, start=2), part("categories", (), "int64", sizes=(16,), starts=(2,)), 16),
    (
        gym.spaces.MultiDiscrete([3, 2], start=[1, -5]),
        part("categories", (2,), "int64", sizes=(3, 2), starts=(1, -5)),
        5,
    ),
    (
        gym.spaces.MultiDiscrete([[3, 2], [4, 5]]),
        part("categories", (2, 2), "int64", sizes=(3, 2, 4, 5), starts=(0, 0, 0, 0)),
        14,
    ),
    (gym.spaces.Box(0, 255, (12, 12, 3), np.uint8), part("image", (12, 12, 3), "uint8", order=(2, 0, 1)), 432),
    (gym.spaces.Box(0, 255, (3, 12, 12), np.uint8), part("image", (3, 12, 12), "uint8", order=(0, 1, 2)), 432),
]

IMAGES = [  # shape, dtype, bounds, (C, H, W), what numbers are multiplied with
    ((210, 160, 3), np.uint8, (0, 255), (3, 210, 160), 1 / 255),
    ((3, 210, 160), np.uint8, (0, 255), (3, 210, 160), 1 / 255),
    ((4, 84, 84), np.uint8, (0, 255), (4, 84, 84), 1 / 255),
    ((84, 84), np.uint8, (0, 255), (1, 84, 84), 1 / 255),
    ((4, 84, 84, 3), np.uint8, (0, 255), (12, 84, 84), 1 / 255),
    ((4, 3, 84, 84), np.uint8, (0, 255), (12, 84, 84), 1 / 255),
    ((10, 10, 4), np.bool_, (0, 1), (4, 10, 10), 1),
    ((7, 7, 3), np.uint8, (0, 250), (3, 7, 7), 1),
    ((8, 8, 111), np.float32, (0, 255), (111, 8, 8), 1),
    ((111, 8, 8), np.float32, (0, 1), (111, 8, 8), 1),
    ((36, 36, 1), np.uint8, (0, 255), (1, 36, 36), 1 / 255),
    ((35, 36, 1), np.uint8, (0, 255), (1, 35, 36), 1),
    ((36, 36, 1), np.uint8, (0, 1), (1, 36, 36), 1),
    ((36, 36), np.uint8, (0, 1), (1, 36, 36), 1),
    ((36, 36, 1), np.bool_, (0, 1), (1, 36, 36), 1),
    ((36, 36, 1), np.float32, (0, 1), (1, 36, 36), 1),
    ((36, 36, 1), np.float32, (0, 255), (1, 36, 36), 1 / 255),
    ((36, 36, 1), np.float64, (-1, 1), (1, 36, 36), 1),
    ((36, 36, 1), np.float32, (-200, 100), (1, 36, 36), 1 / 200),
    ((36, 36, 1), np.float32, (-np.inf, np.inf), (1, 36, 36), 1),
    ((36, 36, 1), np.float32, (0, np.inf), (1, 36, 36), 1),
    ((36, 36, 1), np.float32, (-3e38, 3e38), (1, 36, 36), 1),
    ((36, 36, 1), np.int32, (-np.inf, np.inf), (1, 36, 36), 1),
    ((36, 36, 1), np.uint16, (0, 4095), (1, 36, 36), 1 / 4095),
    ((36, 36, 1), np.uint8, (0, 0), (1, 36, 36), 1),
]


@pytest.mark.parametrize(
    ("space", "codes", "lowest"),
    [
        (gym.spaces.Box(0, 255, (7, 7, 3), np.uint8), 16, 0),  # MiniGrid
        (gym.spaces.Box(0, 255, (3, 7, 7), np.uint8), 16, 0),
        (gym.spaces.Box(0, 255, (10, 10, 4), np.uint8), 16, 0),
        (gym.spaces.Box(0, 255, (10, 11, 4), np.uint8), 0, 0),  # too large
        (gym.spaces.Box(0, 255, (7, 7), np.uint8), 0, 0),  # could be counts
        (gym.spaces.Box(0, 255, (7, 7, 3), np.int16), 0, 0),
        (gym.spaces.Box(0, 254, (7, 7, 3), np.uint8), 0, 0),
        (gym.spaces.Box(-1, 1, (3, 3), np.int8), 3, -1),
        (gym.spaces.Box(2, 16, (4, 4), np.int64), 15, 2),
        (gym.spaces.Box(1, 16, (4, 4), np.int64), 0, 0),  # too many
        (gym.spaces.Box(0, 1, (4, 4), np.int8), 0, 0),  # one-hot as they are
        (gym.spaces.Box(2**63 - 4, 2**63 - 1, (4, 4), np.int64), 0, 0),
        (gym.spaces.Box(0, 5, (2, 9), np.int8), 0, 0),  # too flat
        (gym.spaces.Box(0, 5, (9,), np.int8), 0, 0),
        (gym.spaces.Box(-1, 1, (3, 3)), 0, 0),
        (gym.spaces.Box(0, 1, (7, 7, 3), np.bool_), 0, 0),
    ],
    ids=str,
)
def test_whole_numbers_of_a_small_grid_are_codes(space: gym.Space[Any], codes: int, lowest: int) -> None:
    spec = ObservationSpec.from_space(space)
    (found,) = spec.parts
    assert (found.codes, found.lowest) == (codes, lowest)
    assert found.is_categorical == (codes in range(1, 16))
    again = ObservationSpec.from_document(json.loads(json.dumps(spec.to_document())))
    assert (again.parts[0].codes, again.parts[0].lowest) == (codes, lowest)


def test_a_number_beyond_the_codes_of_a_board_is_refused() -> None:
    spec = ObservationSpec.from_space(gym.spaces.Box(-1, 1, (3, 3), np.int8))
    spec.as_batch(np.ones((3, 3), np.int8))
    for number in (-2, 2):
        with pytest.raises(ValueError, match="a number is outside the bounds -1 to 1"):
            spec.as_batch(np.full((3, 3), number, np.int8))
        with pytest.raises(ValueError, match="with a number outside the bounds -1 to 1"):
            spec.read(np.full((3, 3), number, np.int8))


def test_policies_of_older_checkpoints_see_codes_as_numbers_and_fit_the_same_environments() -> None:
    spec = ObservationSpec.from_space(gym.spaces.Box(0, 255, (7, 7, 3), np.uint8))
    actions = ActionSpec.from_space(gym.spaces.Discrete(2))
    document = [{k: v for k, v in each.items() if k not in ("codes", "lowest")} for each in spec.to_document()]
    older = ObservationSpec.from_document(document)
    assert older.num_features == 147
    assert spec_mismatch((older, actions), (spec, actions)) is None
    boards = [ObservationSpec.from_space(gym.spaces.Box(0, high, (3, 3), np.int8)) for high in (3, 4)]
    assert "0 to 3 one-hot" in (spec_mismatch((boards[0], actions), (boards[1], actions)) or "")
    wide = ObservationSpec.from_space(gym.spaces.Box(-50, 50, (3, 3), np.int8))
    assert spec_mismatch((boards[0], actions), (wide, actions)) is not None


@pytest.mark.parametrize(
    "change",
    [
        {"codes": "a"}, {"codes": [1, 2]}, {"codes": 2}, {"codes": -3}, {"lowest": 1.5}, {"codes": 16}, {"codes": 17},
        {"dtype": "float32"}, {"dtype": "bool"}, {"shape": [9]},
    ],
)  # fmt: skip
def test_a_document_with_wrong_codes_is_refused(change: dict[str, Any]) -> None:
    (document,) = ObservationSpec.from_space(gym.spaces.Box(-1, 1, (3, 3), np.int8)).to_document()
    assert ObservationSpec.from_document([document]).num_features == 27
    with pytest.raises(ValueError, match="an observation space has a part that is wrong"):
        ObservationSpec.from_document([document | change])


@pytest.mark.parametrize(("space", "expected", "num_features"), PARTS, ids=str)
def test_a_spec_describes_its_space(space: gym.Space[Any], expected: ObservationPart, num_features: int) -> None:
    spec = ObservationSpec.from_space(space)
    assert spec == ObservationSpec((expected,))
    assert spec.num_features == num_features
    sample = np.asarray(space.sample())
    assert sample.shape == spec.shape
    assert np.can_cast(sample.dtype, spec.dtype, "same_kind")


@pytest.mark.parametrize(("shape", "dtype", "bounds", "expected", "scale"), IMAGES)
def test_an_image_has_its_channels_first_and_a_picture_its_bounds_at_one(
    shape: tuple[int, ...], dtype: Any, bounds: tuple[float, float], expected: tuple[int, ...], scale: float
) -> None:
    (found,) = ObservationSpec.from_space(gym.spaces.Box(*bounds, shape, dtype)).parts
    assert found.kind == "image"
    assert found.feature_shape == expected
    assert found.scale == scale


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((84, 84), np.float32), ((20, 20), np.uint8), ((2, 2, 9), np.uint8), ((9,), np.uint8), ((0, 5, 5), np.uint8)],
)
def test_what_is_too_flat_or_small_is_no_image(shape: tuple[int, ...], dtype: Any) -> None:
    assert ObservationSpec.from_space(gym.spaces.Box(0, 1, shape, dtype)).parts[0].kind == "box"


def test_a_nested_space_is_one_structured_array_that_reads_like_it() -> None:
    spec = ObservationSpec.from_space(NESTED)
    assert [found.path for found in spec.parts] == [("camera",), ("inside", 0), ("inside", 1, "mode")]
    assert spec.num_features == 75 * 17 + 2 + 3
    NESTED.seed(0)
    array = np.zeros((4, 2), spec.dtype)
    sample = NESTED.sample()
    for view, value in zip(spec.views(array), spec.read(sample), strict=True):
        view[1, 1] = value
    np.testing.assert_array_equal(array["camera"][1, 1], sample["camera"])
    np.testing.assert_array_equal(array[1, 1]["inside"]["0"], sample["inside"][0])
    assert array["inside"]["1"]["mode"][1, 1] == sample["inside"][1]["mode"]
    assert not array["camera"][0].any()


@pytest.mark.parametrize("is_structured", [False, True])
def test_a_batch_of_nested_observations_is_told_apart_from_a_single_one(is_structured: bool) -> None:
    spec = ObservationSpec.from_space(NESTED)
    NESTED.seed(1)
    samples = [NESTED.sample() for _ in range(3)]
    together = gym.vector.utils.create_empty_array(NESTED, 3)
    together = gym.vector.utils.concatenate(NESTED, samples, together)
    batch, is_single = spec.as_batch(together)
    if is_structured:
        batch, is_single = spec.as_batch(batch)
    assert not is_single
    assert batch.shape == (3,)
    for row, sample in enumerate(samples):
        single, is_single = spec.as_batch(sample)
        assert is_single
        assert single.tobytes() == batch[row : row + 1].tobytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"camera": np.zeros((5, 5, 2), np.uint8)}, r"observation\[\"camera\"\]: shape \(5, 5, 2\)"),
        ({"camera": np.zeros((5, 5, 3), np.float32)}, r"observation\[\"camera\"\]: dtype float32"),
        ({"inside": (np.zeros(2, np.float32),)}, r"nothing at \[\"inside\"\]\[1\]"),
        ({"inside": (np.zeros((1, 2), np.float32), {"mode": 1})}, r"observation\[\"inside\"\]\[0\]: shape"),
        ({"inside": (np.zeros(2, np.float32), {"mode": 0})}, r"\[\"mode\"\]: a category is outside"),
    ],
)
def test_a_nested_observation_that_does_not_fit_is_refused_by_its_path(change: dict[str, Any], message: str) -> None:
    spec = ObservationSpec.from_space(NESTED)
    NESTED.seed(1)
    with pytest.raises(ValueError, match=message):
        spec.as_batch(NESTED.sample() | change)
    with pytest.raises(ValueError, match=r"its space|nothing at"):
        spec.read(NESTED.sample() | change)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (gym.spaces.Dict({"mission": gym.spaces.Text(3)}), r'\["mission"\] of Dict.*fixed shape'),
        (gym.spaces.Text(3), "fixed shape"),
        (gym.spaces.Tuple([gym.spaces.Sequence(BOX)]), "fixed shape"),
        (gym.spaces.Graph(BOX, None), "fixed shape"),
        (gym.spaces.OneOf([BOX]), "supported are Box"),
        (gym.spaces.Dict({}), "empty"),
        (gym.spaces.Dict({1: BOX}), "keys that are texts"),
        (gym.spaces.Dict({"": BOX}), "empty key"),
    ],
    ids=str,
)
def test_a_space_that_is_not_supported_is_refused_with_the_mend(space: gym.Space[Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ObservationSpec.from_space(space)


@pytest.mark.parametrize("space", [*(space for space, _, _ in PARTS), NESTED], ids=str)
def test_a_spec_survives_its_json_document(space: gym.Space[Any]) -> None:
    spec = ObservationSpec.from_space(space)
    found = ObservationSpec.from_document(json.loads(json.dumps(spec.to_document())))
    assert found == spec
    assert hash(found) == hash(spec)


@st.composite
def observation_spaces(draw: st.DrawFn, depth: int = 3) -> gym.Space[Any]:
    leaf = st.sampled_from(
        [
            gym.spaces.Box(-1, 1, (3,)),
            gym.spaces.Box(-1, 1, (), np.float64),
            gym.spaces.Box(0, 1, (36, 36), np.uint8),
            gym.spaces.Box(0, 255, (6, 4, 3), np.uint8),
            gym.spaces.Box(0, 1, (5,), np.bool_),
            gym.spaces.Discrete(4, start=-2),
            gym.spaces.MultiDiscrete([3, 2]),
            gym.spaces.MultiBinary(7),
        ]
    )
    kind = draw(st.sampled_from(["leaf", *(["dict", "tuple"] if depth else [])]))
    if kind == "leaf":
        return draw(leaf)
    inner = draw(st.lists(observation_spaces(depth - 1), min_size=1, max_size=3))  # type: ignore[call-arg]
    return gym.spaces.Tuple(inner) if kind == "tuple" else gym.spaces.Dict(dict(zip("abc", inner, strict=False)))


@given(observation_spaces(), st.integers(0, 2**31))
def test_any_nesting_is_stored_and_found_again(space: gym.Space[Any], seed: int) -> None:
    spec = ObservationSpec.from_space(space)
    space.seed(seed)
    sample = space.sample()
    batch, is_single = spec.as_batch(sample)
    assert is_single
    for view, value in zip(spec.views(batch), spec.read(sample), strict=True):
        np.testing.assert_array_equal(view[0], value.astype(view.dtype))


WHOLE = [  # the dtype of a space, what an environment returns, and what is wrong with it
    (np.int8, np.array([256, 300]), "256 at [0]"),
    (np.int8, np.array([1, -129]), "-129 at [1]"),
    (np.uint8, np.array([3, 300], np.uint16), "300 at [1]"),
    (np.uint8, [-1, 0], "-1 at [0]"),
    (np.int32, [2**32 + 1, 0], "4294967297 at [0]"),
    (np.int64, np.array([0, 2**63], np.uint64), "9223372036854775808 at [1]"),
    (np.bool_, [1, 2], "2 at [1]"),
    (np.int8, [-128, 127], None),
    (np.uint8, [0, 255], None),
    (np.uint64, [0, 1], None),
    (np.uint8, [True, False], None),
    (np.bool_, [1, 0], None),
    (np.int16, torch.tensor([5, 6]), None),
]


@pytest.mark.parametrize(("dtype", "returned", "wrong"), WHOLE, ids=str)
def test_a_whole_number_is_stored_as_itself_or_refused(dtype: Any, returned: Any, wrong: str | None) -> None:
    spec = ObservationSpec.from_space(gym.spaces.Box(0, 1, (2,), dtype))
    rows = np.zeros((3, 2), spec.dtype)
    batch = np.stack([np.asarray(returned)] * 2)
    if wrong is None:
        spec.write(returned, spec.views(rows), 1)
        assert rows[1].tolist() == np.asarray(returned).tolist()
        assert spec.as_batch(returned)[0].tolist() == [np.asarray(returned).tolist()]
        assert spec.as_batch(batch)[0].tolist() == batch.tolist()
        return
    with pytest.raises(ValueError, match=f"^{re.escape(f'with {wrong}, outside {spec.dtype}')}$"):
        spec.write(returned, spec.views(rows), 1)
    with pytest.raises(ValueError, match=re.escape(f"observation: {wrong} is outside {spec.dtype}")):
        spec.as_batch(returned)
    with pytest.raises(ValueError, match=re.escape(f"observation: {wrong.replace('[', '[0][')} is outside")):
        spec.as_batch(batch)


def test_a_whole_number_out_of_range_is_named_by_its_path() -> None:
    spec = ObservationSpec.from_space(gym.spaces.Dict({"a": gym.spaces.Box(0, 9, (2,), np.int8), "b": BOX}))
    with pytest.raises(ValueError, match=r'with 300 at \["a"\]\[1\], outside int8'):
        spec.read({"a": [0, 300], "b": np.zeros(2, np.float32)})


class _Unreadable:
    def __array__(self, *_: Any, **__: Any) -> Any:
        raise SystemExit("no")


@pytest.mark.parametrize("returned", [2**70, _Unreadable(), torch.tensor([1.0, 2.0]), "x", None, {}, [[1], [1, 2]]])
def test_what_is_no_category_is_a_value_error(returned: Any) -> None:
    spec = ObservationSpec.from_space(gym.spaces.Discrete(5))
    for read in (spec.read, spec.as_batch):
        with pytest.raises(ValueError):
            read(returned)


@pytest.mark.parametrize(
    "returned",
    [
        torch.tensor([0.5, -0.25]), torch.tensor([0.5, -0.25], requires_grad=True), [torch.tensor(0.5), -0.25],
        torch.tensor([0.5, -0.25], dtype=torch.bfloat16), np.array([0.5, -0.25]).view(np.ndarray), (0.5, -0.25),
        np.ma.array([0.5, -0.25]), np.array([0.5, -0.25], np.float16),
    ],
)  # fmt: skip
def test_numbers_of_any_make_are_read(returned: Any) -> None:
    spec = ObservationSpec.from_space(BOX)
    assert spec.read(returned)[0].tolist() == [0.5, -0.25]
    assert spec.as_batch(returned)[0].tolist() == [[0.5, -0.25]]


def test_a_masked_entry_is_no_number() -> None:
    with pytest.raises(ValueError, match="masked"):
        ObservationSpec.from_space(BOX).read(np.ma.array([0.5, 7.0], mask=[False, True]))


def test_numbers_that_32_bits_cannot_hold_are_told() -> None:
    spaces = {
        np.float64: True, np.int64: True, np.int32: True, np.uint64: True, np.float32: False, np.float16: False,
        np.int16: False, np.bool_: False,
    }  # fmt: skip
    for dtype, is_wide in spaces.items():
        assert ObservationSpec.from_space(gym.spaces.Box(0, 1, (2,), dtype)).is_wide is is_wide
    assert not ObservationSpec.from_space(gym.spaces.Discrete(3)).is_wide


def test_a_spec_is_called_what_its_space_is() -> None:
    assert str(ObservationSpec.from_space(NESTED)) == (
        "Dict('camera': Box((5, 5, 3), uint8) as codes, 0 to 15 one-hot and others as brightness, "
        "'inside': Tuple(Box((2,), float32), Dict('mode': Discrete(3, start=1))))"
    )
    assert str(ObservationSpec.from_space(gym.spaces.MultiDiscrete([[2, 3]]))) == "MultiDiscrete([[2, 3]])"


def test_an_empty_key_is_refused() -> None:
    space = gym.spaces.Dict({"": gym.spaces.Discrete(2)})
    with pytest.raises(ConfigError, match="has an empty key; expected keys of at least one character"):
        ObservationSpec.from_space(space)
