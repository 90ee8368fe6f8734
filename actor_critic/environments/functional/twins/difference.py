"""Compare a twin with its original, transition by transition."""

from collections.abc import Callable, Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from actor_critic.environments.functional.random import WORDS, Random
from actor_critic.environments.functional.twins.twin import Twin
from actor_critic.spaces import at_path, pick

SEGMENT = 10
"""Transitions before the next first state, or the next state of any kind."""

_WRAPPERS = ("TimeLimit", "OrderEnforcing", "PassiveEnvChecker")


class Drawn:
    """The methods of a NumPy generator that originals call, over the random numbers of a functional environment."""

    def __init__(self, random: Random) -> None:
        """Draw from a generator."""
        self._random = random

    def random(self) -> float:
        """Return a number in [0, 1)."""
        return self._random.uniform()

    def uniform(self, low: float = 0.0, high: float = 1.0, size: Any = None) -> Any:
        """Return a number in [low, high), or an array of them."""
        if size is None:
            return self._random.uniform(low, high)
        return np.array([self._random.uniform(low, high) for _ in range(int(np.prod(size)))]).reshape(size)

    def choice(self, options: Any) -> Any:
        """Return one of several options."""
        return options[self._random.integers(0, len(options))]


class Pair:
    """A twin and its original, in the same state and with the same random numbers.

    Attributes:
        state: The state of the twin.
    """

    def __init__(self, twin: Twin, original: Any) -> None:
        """Give the original the random numbers of the twin."""
        self._twin = twin
        self._original = original
        self._random, self._other = (Random(np.zeros(WORDS, np.uint64)) for _ in range(2))
        self._memory = twin.layout.states(1)
        self.state = self._memory[0]
        original.np_random = Drawn(self._other)

    def begin(self, seed: int) -> str | None:
        """Begin an episode in both, and return what differs."""
        twin = self._twin
        self._memory[:] = np.zeros(1, self._memory.dtype)
        self._random.seed(seed)
        self._other.seed(seed)
        twin.initial(self.state, self._random, twin.parameters)
        observation, info = self._original.reset()
        return self._compare("first", observation, info, twin.first_tolerance)

    def spread(self, seed: int) -> None:
        """Go to any state."""
        self._memory[:] = np.zeros(1, self._memory.dtype)
        self._random.seed(seed)
        self._twin.spread(self.state, self._random, self._twin.parameters)

    def step(self, action: int) -> tuple[bool, str | None]:
        """Step both, and return whether the episode ended, and what differs."""
        twin = self._twin
        self._other.words[:] = self._random.words
        twin.put(self.state, self._original)
        before = self.state.item()
        reward, terminated = twin.transition(self.state, action, self._random, twin.parameters)
        observation, other_reward, other_terminated, truncated, info = self._original.step(action)
        found = self._compare("next", observation, info, 0.0)
        if found is None and _bits(reward) != _bits(other_reward):
            found = f"the reward is {other_reward}, the twin's {reward}"
        if found is None and (bool(terminated), False) != (bool(other_terminated), bool(truncated)):
            found = f"terminated, truncated are {other_terminated}, {truncated}, the twin's {terminated}, False"
        return bool(terminated), found and f"after action {action} in the state {before}: {found}"

    def _compare(self, name: str, observation: Any, info: dict[str, Any], tolerance: float) -> str | None:
        """Compare states, observations and masks."""
        twin = self._twin
        ours, theirs = self.state.item(), twin.take(self._original)
        if _bits(ours) != _bits(theirs):
            return f"the {name} state is {tuple(map(float, theirs))}, the twin's {ours}"
        layout = twin.layout
        shown = twin.observed(self.state)
        for part in layout.written.parts:
            at, found, out = at_path(part.path), np.asarray(pick(observation, part.path)), pick(shown, part.path)
            if (found.dtype, found.shape) != (out.dtype, out.shape):
                return f"the {name} observation{at} is {found.dtype} {found.shape}, the twin's {out.dtype} {out.shape}"
            if found.tobytes() != out.tobytes() and not (tolerance and np.abs(found - out).max() <= tolerance):
                return f"the {name} observation{at} is {found}, the twin's {out}"
        if (info.get("action_mask") is not None) != layout.has_masks:
            return "one has action masks, the other has none"
        if layout.has_masks:
            mask = np.ones(layout.actions.num_logits, np.bool_)
            twin.action_mask(self.state, mask, twin.parameters)
            if not np.array_equal(mask, np.asarray(info["action_mask"]).astype(np.bool_)):
                return f"the {name} mask is {info['action_mask']}, the twin's {mask}"
        return None


def difference_from_original(
    twin: Twin, make_original: Callable[[], gym.Env[Any, Any]], transitions: int = 300, seed: int = 0
) -> str | None:
    """Compare a twin with the environment that it replaces.

    Half of the transitions begin with first states, the others with states of all kinds. All actions are random.

    Args:
        twin: The twin.
        make_original: Makes the original, as ``gymnasium.make`` does.
        transitions: How many transitions are compared.
        seed: Selects states, actions and outcomes.

    Returns:
        What differs, in one line; None if nothing does.
    """
    try:
        original = make_original()
        try:
            found = next(_differences(twin, original, transitions, seed), None)
        finally:
            original.close()
    except Exception as error:  # other versions of Gymnasium may lack anything
        found = f"{type(error).__name__}: {error}"
    return found and " ".join(found.split())


def _differences(twin: Twin, made: gym.Env[Any, Any], transitions: int, seed: int) -> Iterator[str]:
    """Yield what differs."""
    yield from _fixed_differences(twin, made)
    pair = Pair(twin, made.unwrapped)
    actions = np.random.default_rng(seed).integers(0, twin.layout.actions.num_logits, transitions).tolist()
    left = 0
    for k, action in enumerate(actions):
        if not left:
            left = SEGMENT
            if k // SEGMENT % 2 == 0:
                found = pair.begin(seed + k)
                if found:
                    yield found
            else:
                pair.spread(seed + k)
        terminated, found = pair.step(action)
        if found:
            yield found
        left = 0 if terminated else left - 1


def _fixed_differences(twin: Twin, made: Any) -> Iterator[str]:
    """Yield what differs and is no matter of states: wrappers, attributes, spaces and the limit of steps."""
    limit = made.spec.max_episode_steps if made.spec is not None else None
    if limit != twin.max_episode_steps:
        yield f"max_episode_steps is {limit}, the twin's {twin.max_episode_steps}"
    while made is not made.unwrapped:
        if type(made).__name__ not in _WRAPPERS:
            yield f"it has the wrapper {type(made).__name__}"
        made = made.env
    made.reset(seed=0)  # it sets attributes
    for name in twin.needed:
        if not hasattr(made, name):
            yield f"it has no attribute {name}"
    for name in ("observation_space", "action_space"):
        theirs, ours = getattr(made, name), getattr(twin, name)
        if theirs != ours:
            yield f"{name} is {theirs}, the twin's {ours}"


def _bits(values: Any) -> bytes:
    """Return the bits of numbers as float64."""
    array: npt.NDArray[np.float64] = np.asarray(values, np.float64)
    return array.tobytes()
