"""The same bits in Python, in compiled code and as single environments, for environments of every kind.

With FAULTS, more kinds are made at random and compiled.
"""

import functools
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from actor_critic.environments import SameStepVectorEnv, VectorEnvironment
from actor_critic.environments.functional import Executor, FunctionalVectorEnv, PythonExecutor, make_executor
from actor_critic.environments.masks.reading import random_action_indices
from actor_critic.environments.wrappers.parts import SeenParts
from actor_critic.networks.encoders import encode
from actor_critic.spaces import ObservationSpec, leave_out, pick
from tests.environments.functional.made import ACTIONS, DEEP, OBSERVATIONS, PARTS, STATES, Parts, Tree, make

pytestmark = pytest.mark.slow

FEW = (
    Parts("floats", "box", "discrete", True),
    Parts("mixed", DEEP, "several", False),
    Parts("integers", "several", "binary", True),
)


def _groups(inner: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    """Return Tuples and Dicts of trees."""
    several = st.lists(inner, min_size=1, max_size=3)
    names = st.permutations(("image", "inner", "speed", "size", "a key", "ö"))
    return several.map(lambda parts: tuple((str(k), part) for k, part in enumerate(parts))) | st.builds(
        lambda keys, parts: tuple(zip(keys, parts, strict=False)), names, several
    )


def _trees(leaves: Sequence[str]) -> st.SearchStrategy[Tree]:
    """Return spaces of which some are deep."""
    return st.sampled_from(leaves) | _groups(st.recursive(st.sampled_from(leaves), _groups, max_leaves=4))


SMALL = [name for name in PARTS if name not in ("picture", "channels first")]
TREES = st.sampled_from([*OBSERVATIONS]) | _trees(PARTS)
MANY = st.builds(Parts, st.sampled_from([*STATES]), TREES, st.sampled_from([*ACTIONS]), st.booleans())
RUNS = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**32 - 1),
        "count": st.integers(1, 5),
        "limit": st.none() | st.integers(1, 7),
        "gain": st.floats(-2.0, 2.0),
        "end": st.sampled_from([0.0, 0.125, 1.0]),
    }
)


@functools.cache
def _compiled(parts: Parts) -> Executor:
    return make_executor(make(parts)())  # parameters are arguments, so one form serves all


def _bytes(*arrays: Any) -> list[bytes]:
    """Return the bytes of arrays, of records without those between their fields."""
    return [b"" if array is None else b"".join(_fields(np.asarray(array))) for array in arrays]


def _fields(array: np.ndarray[Any, Any]) -> list[bytes]:
    names = array.dtype.names
    return _bytes(*(array[name] for name in names)) if names else [array.tobytes()]


def _result(environment: VectorEnvironment, actions: np.ndarray[Any, Any]) -> list[bytes]:
    step = environment.step_indices(actions)
    ended = step.terminated | step.truncated
    finals = None if step.final_observations is None else step.final_observations[ended]
    rewards = step.rewards.astype(np.float32)
    return _bytes(step.observations, rewards, step.terminated, step.truncated, step.masks, finals)


def _compare(parts: Parts, run: dict[str, Any], steps: int) -> None:
    kind = make(parts)
    limit, count = run["limit"], run["count"]

    def one() -> Any:
        made = kind(gain=run["gain"], end=run["end"])
        made.max_episode_steps = limit
        return made

    def vector(executor: Executor) -> FunctionalVectorEnv:
        return FunctionalVectorEnv(one(), count, executor)

    compiled = _compiled(parts)
    sides: list[Any] = [vector(PythonExecutor(one())), vector(compiled), SameStepVectorEnv(one, count)]
    begun = [side.begin(run["seed"]) for side in sides]
    assert _bytes(*begun[0]) == _bytes(*begun[1]) == _bytes(*begun[2])
    random, actions = np.random.default_rng(run["seed"]), sides[0].actions
    masks = begun[0].masks
    for _ in range(steps):
        rows = [None] * count if masks is None else list(masks)
        drawn = np.concatenate([random_action_indices(actions, row, random) for row in rows])
        later = [vector(PythonExecutor(one())), vector(compiled)]
        for side, saved in zip(later, reversed(sides[:2]), strict=True):  # each form continues the other's state
            side.load_state(saved.save_state())
        results = [_result(side, drawn) for side in (*sides, *later)]
        assert all(result == results[0] for result in results)
        outputs = [side._outputs for side in sides[:2]]
        assert outputs[0].features.tobytes() == outputs[1].features.tobytes()
        spec = sides[0].episodes.layout.observations
        if not spec.is_plain:
            encoded = encode(sides[0].observe().observations, spec).numpy()
            assert encoded.tobytes() == outputs[1].features.tobytes()
        states = [side.save_state() for side in sides[:2]]
        assert {name: array.tobytes() for name, array in states[0].items()} == {
            name: array.tobytes() for name, array in states[1].items()
        }
        masks = sides[0].observe().masks


@pytest.mark.parametrize("parts", FEW, ids=lambda parts: f"{parts.state}-{parts.action}")
@settings(deadline=None, max_examples=5, suppress_health_check=[HealthCheck.too_slow])
@given(run=RUNS)
def test_few_kinds_of_environment_give_the_same_bits(parts: Parts, run: dict[str, Any]) -> None:
    _compare(parts, run, 8)


def test_chosen_parts_of_a_deep_space_have_the_bits_of_single_environments() -> None:
    kind = make(Parts("one", DEEP, "discrete", False))
    keys = ("inner.1.a key", "inner.1.board", "inner.2", "on")
    seen = leave_out("Made", kind.observation_space, keys)
    chosen = kind()
    assert chosen.layout.pieces == ()  # read before the choice, as a constructor may do it
    chosen.choose_parts(keys)
    assert any(begin != target for begin, _, target in chosen.layout.pieces)
    compiled, python = (FunctionalVectorEnv(chosen, 3, of(chosen)) for of in (make_executor, PythonExecutor))
    single = SameStepVectorEnv(lambda: SeenParts(kind(), seen), 3)
    sides: list[Any] = [compiled, python, single]
    assert compiled.single_observation_space == seen
    begun = [_bytes(*side.begin(5)) for side in sides]
    assert begun[0] == begun[1] == begun[2]
    random, spec = np.random.default_rng(5), chosen.layout.observations
    for _ in range(30):
        actions = random.integers(0, 4, (3, 1))
        results = [_result(side, actions) for side in sides]
        assert results[0] == results[1] == results[2]
        encoded = encode(compiled.observe().observations, spec).numpy()
        assert encoded.tobytes() == compiled._outputs.features.tobytes()
    assert set(chosen.reset(seed=1)[0]) == {"image", "inner", "on", "speed"}


@pytest.mark.skipif("FAULTS" not in os.environ, reason="compiles for minutes")
@settings(
    deadline=None,
    max_examples=25,
    phases=[phase for phase in Phase if phase is not Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(parts=MANY, run=RUNS)
def test_many_kinds_of_environment_give_the_same_bits(parts: Parts, run: dict[str, Any]) -> None:
    _compare(parts, run, 8)


@settings(max_examples=30)
@given(tree=_trees(SMALL), seed=st.integers(0, 99))
def test_an_instance_returns_observations_that_are_in_its_space(tree: Tree, seed: int) -> None:
    environment = make(Parts("floats", tree, "discrete", False))()
    returned = [environment.reset(seed=seed)[0], environment.step(0)[0], environment.step(1)[0]]
    assert all(environment.observation_space.contains(each) for each in returned)
    spec = ObservationSpec.from_space(environment.observation_space)
    views = spec.views(np.zeros(1, spec.dtype)) if spec.is_nested else [np.zeros(spec.shape, spec.dtype)[None]]
    for part, view in zip(spec.parts, views, strict=True):
        found = np.asarray(pick(returned[-1], part.path))
        assert (found.dtype, found.shape) == (view.dtype, part.shape)
        assert found.flags.owndata and not np.shares_memory(found, np.asarray(pick(returned[0], part.path)))
