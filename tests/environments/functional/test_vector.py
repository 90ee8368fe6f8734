"""The state of compiled environments in checkpoints."""

from collections.abc import Callable

import numpy as np
import pytest

from actor_critic.environments import State
from actor_critic.environments.functional import FunctionalVectorEnv, make_executor, make_twin


def _vector(name: str = "Taxi-v4") -> FunctionalVectorEnv:
    twin = make_twin(name, {})
    assert twin is not None
    return FunctionalVectorEnv(twin, 4, make_executor(twin))


def _forged(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[State], None]:
    def forge(state: State) -> None:
        state[f"functional.{name}"] = change(state[f"functional.{name}"])

    return forge


FORGED = {
    "no such part": lambda state: state.update({"functional.other": np.zeros(1)}),
    "other sizes": _forged("memory", lambda array: array[:, 1:]),
    "another dtype": _forged("random", lambda array: array.astype(np.int16)),
    "negative steps": _forged("counts", lambda array: np.full_like(array, 255)),
    "a negative seed": _forged("seed", lambda array: array - 10**6),
    "a state that no episode reaches": _forged("memory", lambda array: np.full_like(array, 127)),
}


@pytest.mark.parametrize("what", FORGED)
def test_a_state_that_no_run_reaches_is_refused(what: str) -> None:
    vector = _vector()
    vector.begin(1)
    state = vector.save_state()
    FORGED[what](state)
    with pytest.raises(ValueError, match="functional"):
        _vector().load_state(state)


@pytest.mark.parametrize("name", ["Taxi-v4", "CartPole-v1", "Blackjack-v1"])
def test_a_loaded_state_goes_on_to_the_same_bits_at_every_step(name: str) -> None:
    vector, other = _vector(name), _vector(name)
    vector.begin(3)
    random = np.random.default_rng(0)
    for _ in range(40):
        state = vector.save_state()
        other.begin(8)  # anything else
        observed = other.load_state(state)
        assert other.save_state().keys() == state.keys()
        assert all(np.array_equal(array, state[key]) for key, array in other.save_state().items())
        assert np.array_equal(observed.observations, vector.observe().observations)
        actions = random.integers(0, vector.actions.sizes[0], (4, 1))
        expected, found = vector.step_indices(actions), other.step_indices(actions)
        assert np.array_equal(found.observations, expected.observations)
        assert np.array_equal(found.rewards, expected.rewards)
