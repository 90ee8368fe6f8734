"""Twins of Gymnasium's environments: the same bits from the same state, transition by transition."""

import itertools
import os
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.classic_control import CartPoleEnv

from actor_critic.environments.functional.compiled.executor import CompiledExecutor
from actor_critic.environments.functional.executors import PythonExecutor
from actor_critic.environments.functional.random import WORDS, Random
from actor_critic.environments.functional.twins import TWINS, Twin, difference_from_original, make_twin
from actor_critic.environments.functional.twins.difference import Drawn
from actor_critic.environments.functional.vector import FunctionalVectorEnv

pytestmark = pytest.mark.filterwarnings("ignore:.*out of date.*:DeprecationWarning")

Case = tuple[str, dict[str, Any]]
INSTALLED = [environment_id for environment_id in TWINS if environment_id in gym.registry]
CASES: list[Case] = [
    *((environment_id, {}) for environment_id in INSTALLED),
    ("CartPole-v1", {"sutton_barto_reward": True}),
    ("MountainCar-v0", {"goal_velocity": 0.02}),
    ("FrozenLake-v1", {"is_slippery": False, "reward_schedule": [2.5, -1, -0.1]}),
    ("FrozenLake-v1", {"desc": ["SFSHF", "FHFFS", "GFFFG"], "success_rate": 0.7}),
    ("Taxi-v4", {"is_rainy": True, "rainy_probability": 0.55}),
    ("Taxi-v4", {"is_rainy": True, "fickle_passenger": True, "fickle_probability": 0.9}),
    ("Blackjack-v1", {"sab": False, "natural": True}),
    ("Blackjack-v1", {"sab": False}),
]
IS_WHOLE = bool(os.environ.get("FAULTS"))
NUM_ENVS = 8
Policy = Callable[[Any, Any], int]
for_all = pytest.mark.parametrize(
    "case", CASES, ids=[f"{name}{''.join(f'-{key}' for key in kwargs)}" for name, kwargs in CASES]
)


def twin_of(case: Case) -> Twin:
    twin = make_twin(*case)
    assert twin is not None
    return twin


def make(case: Case) -> Any:
    return gym.make(case[0], **case[1])


def bits(values: Any) -> bytes:
    return np.asarray(values, np.float64).tobytes()


def policies(twin: Twin) -> list[Policy]:
    """Random actions, and a linear policy that takes the best of them that are allowed."""
    random = np.random.default_rng(0)
    num_actions = twin.layout.actions.num_logits
    weights = random.normal(size=(num_actions, 2 * max(twin.layout.observations.num_features, 6)))

    def linear(observation: Any, mask: Any) -> int:
        values = np.asarray(observation.tolist() if isinstance(observation, np.void) else observation).reshape(-1)
        is_box = values.dtype.kind == "f"
        scores = weights[:, : values.size] @ values if is_box else weights[:, values].sum(1)
        return int(np.argmax(np.where(mask, scores, -np.inf) if mask is not None else scores))

    return [lambda observation, mask: int(random.integers(num_actions)), linear]


@for_all
def test_transitions_are_the_originals(case: Case) -> None:
    assert difference_from_original(twin_of(case), lambda: make(case), 100_000 if IS_WHOLE else 600, seed=1) is None


@for_all
def test_whole_episodes_are_the_originals(case: Case) -> None:
    """The state is set once in an episode; then only actions and random numbers are shared."""
    twin, original = twin_of(case), make(case)
    words = np.zeros(WORDS, np.uint64)
    transitions = 0
    for episode, policy in itertools.islice(itertools.cycle(enumerate(policies(twin))), 4):
        observation, info = twin.reset(seed=1000 + episode)
        assert observation in twin.observation_space
        original.reset(seed=0)
        assert twin._memory is not None
        twin.put(twin._memory[0], original.unwrapped)
        original.unwrapped.np_random = Drawn(Random(words))
        for _ in range(250):
            action = policy(observation, info.get("action_mask"))
            words[:] = twin._random.words
            observation, reward, terminated, truncated, info = twin.step(action)
            theirs = original.step(action)
            assert np.asarray(theirs[0]).dtype == np.asarray(observation).dtype
            assert np.asarray(theirs[0]).tobytes() == np.asarray(observation).tobytes()
            assert (bits(theirs[1]), *theirs[2:4]) == (bits(reward), terminated, truncated)
            assert ("action_mask" in theirs[4]) == ("action_mask" in info)
            if "action_mask" in info:
                assert theirs[4]["action_mask"].tolist() == info["action_mask"].tolist()
            transitions += 1
            if terminated or truncated:
                break
    assert bits(twin.take(original.unwrapped)) == bits(twin._memory[0].item())
    assert transitions > 3


@for_all
def test_compiled_transitions_are_the_originals(case: Case) -> None:
    """Half of the environments act at random; some states are of all kinds."""
    twin, original = twin_of(case), make(case).unwrapped
    vector = FunctionalVectorEnv(twin, NUM_ENVS, CompiledExecutor(twin))
    observed = vector.begin(7)
    original.reset(seed=0)
    words = np.zeros(WORDS, np.uint64)
    original.np_random = Drawn(Random(words))
    chosen, states, masks = policies(twin), vector.episodes.states, vector._masks
    limit = vector.episodes.limit
    transitions = 0
    for t in range((1_000_000 if IS_WHOLE else 600) // NUM_ENVS):
        if t % 40 == 39:
            for i in range(0, NUM_ENVS, 3):
                twin.spread(states[i], Random(vector.episodes.random[i]), twin.parameters)
        actions = np.array([[chosen[i % 2](observed.observations[i], None)] for i in range(NUM_ENVS)])
        before, random, steps = states.copy(), vector.episodes.random.copy(), vector.episodes.counts[:, 1] + 1
        found = vector.step_indices(actions)
        for i in range(NUM_ENVS):
            words[:] = random[i]
            twin.put(before[i], original)
            observation, reward, terminated, _, info = original.step(int(actions[i, 0]))
            where = (before[i], actions[i])
            truncated = bool(steps[i] >= limit)
            assert (np.float32(reward), terminated, truncated) == (
                found.rewards[i],
                found.terminated[i],
                found.truncated[i],
            ), where
            ours = found.observations[i]
            if terminated or truncated:
                assert found.final_observations is not None
                ours = found.final_observations[i]
            else:
                assert bits(twin.take(original)) == bits(states[i].item()), where
                assert masks is None or info["action_mask"].tolist() == masks[i].tolist(), where
            assert np.asarray(observation).tobytes() == ours.tobytes(), where
            transitions += 1
    print(f"{case}: {transitions} transitions")


@for_all
def test_python_and_compiled_code_agree(case: Case) -> None:
    twin = twin_of(case)
    slow, fast = (FunctionalVectorEnv(twin, 4, executor(twin)) for executor in (PythonExecutor, CompiledExecutor))
    slow.begin(3)
    fast.begin(3)
    random = np.random.default_rng(0)
    for _ in range(1000 if IS_WHOLE else 60):
        actions = random.integers(0, twin.layout.actions.num_logits, (4, 1))
        steps = slow.step_indices(actions), fast.step_indices(actions)
        for name in ("observations", "rewards", "terminated", "truncated", "masks", "final_observations"):
            ours, theirs = (getattr(step, name) for step in steps)
            assert (ours is None) == (theirs is None)
            assert ours is None or ours.tobytes() == theirs.tobytes()
        for name in ("memory", "random", "counts"):
            assert getattr(slow.episodes, name).tobytes() == getattr(fast.episodes, name).tobytes()


class Fixed:
    """A generator whose only number is given."""

    def __init__(self, number: float) -> None:
        self._number = number

    def uniform(self) -> float:
        return self._number


@pytest.mark.parametrize(
    "case", [case for case in CASES if case[0].startswith(("Frozen", "Cliff", "Taxi")) and "fickle" not in str(case)]
)
def test_tables_are_the_originals(case: Case) -> None:
    """Every state, action and outcome; numbers at both ends of the interval of each outcome."""
    twin, original = twin_of(case), make(case).unwrapped
    state = twin.layout.states(1)[0]
    for s, a in itertools.product(original.P, range(twin.layout.actions.num_logits)):
        original.s = s
        fields = twin.take(original)
        outcomes = original.P[s][a]
        ends = np.cumsum([0.0, *(outcome[0] for outcome in outcomes)])
        assert ends[-1] > 1 - 1e-9
        for low, high, (_, following, reward, terminated) in zip(ends, ends[1:], outcomes, strict=False):
            for number in (low, np.nextafter(min(high, 1.0), 0.0)):
                for name, value in zip(twin.layout.state.names or (), fields, strict=True):
                    state[name] = value
                found = twin.transition(state, a, Fixed(number), twin.parameters)
                twin.put(state, original)
                assert (original.s, *found) == (following, reward, terminated), (s, a, number)


def test_an_outcome_that_rounding_leaves_out_is_the_first() -> None:
    """The probabilities add up to less than 1, and the number lies above the sum."""
    rates = [rate for rate in np.linspace(0, 1, 1001) if np.cumsum([(1 - rate) / 2, rate, (1 - rate) / 2])[-1] < 1]
    case = ("FrozenLake-v1", {"success_rate": float(rates[0])})
    twin, original = twin_of(case), make(case).unwrapped
    state = twin.layout.states(1)[0]
    state.row, state.column = 2, 1
    twin.transition(state, 1, Fixed(np.nextafter(1.0, 0.0)), twin.parameters)
    assert state.item() == twin.take(type("", (), {"s": original.P[9][1][0][1]}))


@pytest.mark.parametrize(
    ("environment_id", "kwargs"),
    [
        ("CartPole-v2", {}),
        ("CartPole", {}),
        ("LunarLander-v3", {}),
        ("CartPole-v1", {"gravity": 9.8}),
        ("CartPole-v1", {"render_mode": None}),
        ("CartPole-v1", {"render_mode": "rgb_array"}),
        ("CartPole-v1", {"sutton_barto_reward": "yes"}),
        ("MountainCar-v0", {"goal_velocity": float("nan")}),
        ("Acrobot-v1", {"two": 3.0}),
        ("FrozenLake-v1", {"map_name": "5x5"}),
        ("FrozenLake-v1", {"map_name": ["4x4"]}),
        ("FrozenLake-v1", {"map_name": None}),
        ("FrozenLake-v1", {"desc": ["SF", "FX"]}),
        ("FrozenLake-v1", {"desc": ["SF", "G"]}),
        ("FrozenLake-v1", {"desc": ["FF", "FG"]}),
        ("FrozenLake-v1", {"desc": 3}),
        ("FrozenLake-v1", {"reward_schedule": [1, 0]}),
        ("FrozenLake-v1", {"reward_schedule": ["a", 0, 0]}),
        ("Taxi-v3", {"is_rainy": True}),
        ("Taxi-v4", {"places": 4}),
        ("Blackjack-v1", {"sab": 2}),
    ],
)
def test_there_is_no_twin_for_what_is_not_known(environment_id: str, kwargs: dict[str, Any]) -> None:
    assert make_twin(environment_id, kwargs) is None


def planted(environment_id: str, **attributes: Any) -> Any:
    original = gym.make(environment_id)
    for name, value in attributes.items():
        setattr(original.unwrapped, name, value)
    return original


@pytest.mark.parametrize(
    ("environment_id", "attributes", "named"),
    [
        ("CartPole-v1", {"gravity": np.nextafter(9.8, 10)}, "next state"),
        ("CartPole-v1", {"kinematics_integrator": "semi-implicit"}, "next state"),
        ("CartPole-v1", {"_sutton_barto_reward": True}, "reward"),
        ("CartPole-v1", {"theta_threshold_radians": 0.2}, "terminated"),
        ("MountainCar-v0", {"goal_position": 0.45}, "terminated"),
        ("Acrobot-v1", {"book_or_nips": "nips"}, "next state"),
        ("Acrobot-v1", {"torque_noise_max": 0.1}, "next state"),
        ("Taxi-v4", {"fickle_passenger": True}, "state"),
        ("Taxi-v4", {"action_mask": lambda state: np.ones(6, np.int8)}, "mask"),
        ("Taxi-v4", {"action_mask": lambda state: None}, "mask"),
        ("Blackjack-v1", {"sab": False, "natural": True}, "reward"),
        ("FrozenLake-v1", {"initial_state_distrib": np.eye(16)[1]}, "first state"),
        ("CartPole-v1", {"action_space": gym.spaces.Discrete(3)}, "action_space"),
    ],
)
def test_a_planted_difference_is_found(environment_id: str, attributes: dict[str, Any], named: str) -> None:
    twin = twin_of((environment_id, {}))
    found = difference_from_original(twin, lambda: planted(environment_id, **attributes))
    assert found is not None
    assert named in found
    assert "\n" not in found


class Shifted(CartPoleEnv):
    """The first state is another, and observations have 64 bits."""

    def reset(self, **kwargs: Any) -> Any:
        observation, info = super().reset(**kwargs)
        assert self.state is not None
        return observation.astype(np.float64), info


def without_state() -> gym.Env[Any, Any]:
    class Bare(gym.Env[Any, Any]):
        spec = gym.spec("CartPole-v1")

        def reset(self, **kwargs: Any) -> Any:
            return np.zeros(4, np.float32), {}

    return Bare()


def with_other_dtype() -> gym.Env[Any, Any]:
    made = Shifted()
    made.spec = gym.spec("CartPole-v1")
    return made


@pytest.mark.parametrize(
    ("make_original", "named"),
    [
        (lambda: gym.make("CartPole-v1", max_episode_steps=100), "max_episode_steps is 100, the twin's 500"),
        (lambda: gym.make("CartPole-v1").unwrapped.__class__(), "max_episode_steps is None"),
        (lambda: gym.wrappers.TransformReward(gym.make("CartPole-v1"), abs), "TransformReward"),
        (lambda: gym.make("NoSuch-v0"), "NameNotFound"),
        (without_state, "no attribute state"),
        (with_other_dtype, "float64"),
        (lambda: gym.make("MountainCar-v0", max_episode_steps=500), "no attribute steps_beyond_terminated"),
    ],
)
def test_a_difference_in_kind_is_found(make_original: Callable[[], gym.Env[Any, Any]], named: str) -> None:
    found = difference_from_original(twin_of(("CartPole-v1", {})), make_original)
    assert found is not None
    assert named in found


@pytest.mark.parametrize("environment_id", INSTALLED)
def test_limits_and_spaces_are_the_registered_ones(environment_id: str) -> None:
    twin, original = twin_of((environment_id, {})), gym.make(environment_id)
    assert original.spec is not None
    assert twin.max_episode_steps == original.spec.max_episode_steps
    assert twin.action_space == original.action_space
    if environment_id != "Blackjack-v1":
        assert twin.observation_space == original.observation_space
        assert twin.observation_space.dtype == original.observation_space.dtype


def first_states(case: Case, count: int) -> Any:
    twin = twin_of(case)
    vector = FunctionalVectorEnv(twin, count, CompiledExecutor(twin))
    vector.begin(0)
    return vector.episodes.states


@pytest.mark.parametrize(
    ("environment_id", "low", "high"),
    [("CartPole-v1", -0.05, 0.05), ("MountainCar-v0", -0.6, -0.4), ("Acrobot-v1", -0.1, 0.1)],
)
def test_first_states_fill_their_range(environment_id: str, low: float, high: float) -> None:
    states = first_states((environment_id, {}), 20_000)
    for name in states.dtype.names:
        values = states[name]
        if name == "velocity" and environment_id == "MountainCar-v0":
            assert not values.any()
            continue
        counts, _ = np.histogram(values, 20, (low, high))
        assert counts.sum() == 20_000
        assert np.abs(counts - 1000).max() < 5 * np.sqrt(1000)
        is_short = bool((values == values.astype(np.float32)).all())
        assert is_short == (environment_id == "Acrobot-v1")


def test_first_states_of_taxi_are_uniform() -> None:
    case = ("Taxi-v4", {"fickle_passenger": True})
    states, original = first_states(case, 30_000), make(case).unwrapped
    numbers = ((states.row * 5 + states.column) * 5 + states.passenger) * 4 + states.destination
    counts = np.bincount(numbers, minlength=500)
    assert ((counts > 0) == (original.initial_state_distrib > 0)).all()
    assert np.abs(counts[counts > 0] - 100).max() < 60
    assert abs(states.may_change.mean() - 0.3) < 0.02


def test_first_states_of_a_lake_are_its_starts() -> None:
    states = first_states(("FrozenLake-v1", {"desc": ["SFS", "HSG"]}), 3000)
    counts = np.bincount(states.row * 3 + states.column, minlength=6)
    assert (counts > 0).tolist() == [True, False, True, False, True, False]
    assert np.abs(counts[counts > 0] - 1000).max() < 150


def test_cards_have_their_frequencies() -> None:
    states = first_states(("Blackjack-v1", {}), 26_000)
    assert np.abs(np.bincount(states.shown, minlength=11)[1:10] - 2000).max() < 250
    assert abs((states.shown == 10).sum() - 8000) < 400
    assert abs(states.is_natural.mean() - 2 * 4 / 13 / 13) < 0.01
