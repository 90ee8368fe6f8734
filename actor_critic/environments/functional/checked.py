"""An environment's functions, each with checks of what it writes and returns."""

import traceback
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from actor_critic.environments.functional.environment import FunctionalEnvironment
from actor_critic.environments.functional.executors import Episodes
from actor_critic.environments.functional.outputs import written_as
from actor_critic.environments.functional.random_states import RandomStates
from actor_critic.errors import describe
from actor_critic.process import Interrupted
from actor_critic.spaces import Path, describe_path, parts_of, pick

_BEYOND_BOUNDS = 1e-6  # a number may be this far outside its bounds, relative to the bound


class WrongValue(Exception):  # noqa: N818 - it carries a message, and is always caught in a trial
    """A value is wrong; the text names it."""


class Checked:
    """An environment's functions, with checks of what they write.

    Attributes:
        functions: The functions by name.
        episodes: The running episodes.
        stepping: The function that a step calls first.
    """

    stepping = "transition"
    _of_parameters = "them unchanged: what changes belongs into the state"
    _of_state = "that only initial and transition change it"

    def __init__(self, environment: FunctionalEnvironment, episodes: Episodes) -> None:
        layout = environment.layout
        self.episodes = episodes
        self._own = environment.functions
        self._name, self._actions = layout.name, layout.actions
        self._fields = layout.state.names
        self._parameters = episodes.parameters.tobytes()
        self._parts = [_Part.of(path, space) for path, space in parts_of(environment.observation_space)]
        self._index, self._leading = -1, ""
        made: dict[str, Callable[..., Any]] = {
            "initial": self._initial,
            "transition": self._transition,
            "observation": self._observation,
            "action_mask": self._action_mask,
        }
        self.functions = {name: made[name] for name in self._own}

    def begin(self, leading: str) -> None:
        """Begin a loop over the environments; it calls the function ``leading`` first for each of them."""
        self._index, self._leading = -1, leading

    def _call(self, name: str, *arguments: Any) -> Any:
        """Call a function of the environment."""
        if name == self._leading:
            self._index += 1
        try:
            result = self._own[name](*arguments)
        except Interrupted:
            raise
        except BaseException as error:  # user code may raise anything
            hint = ""
            if isinstance(error, AttributeError) and "'record' object" in str(error):
                hint = self._known()
            elif isinstance(error, TypeError) and "argument" in str(error) and error.__traceback__.tb_next is None:  # type: ignore[union-attr]
                hint = f"; it is called with {len(arguments)} arguments"
            found = describe(error.with_traceback(_own_lines(error, self._own[name])))
            raise self._wrong(name, f"raised {found}{hint}") from None
        if self.episodes.parameters.tobytes() != self._parameters:
            raise self._wrong(name, f"changed parameters; expected {self._of_parameters}")
        return result

    def _known(self) -> str:
        """Return what the records have that functions receive, to follow a message."""
        has = {
            "the state has the fields": self._fields or (),
            "out has": [written_as(part.path) for part in self._parts if part.path],
        }
        known = [f"{words} {', '.join(names)}" for words, names in has.items() if names]
        return f"; {', '.join([*known, 'and parameters are in parameters'])}"

    def _wrong(self, function: str, what: str) -> WrongValue:
        episode, step = self.episodes.counts[self._index].tolist()
        step += function == self.stepping
        return WrongValue(f"{self._name}: environment {self._index}, episode {episode}, step {step}: {function} {what}")

    def _initial(self, state: Any, random: Any, parameters: Any) -> None:
        self._call("initial", state, random, parameters)
        self._check_state("initial", state)

    def _transition(self, state: Any, action: Any, random: Any, parameters: Any) -> Any:
        result = self._call("transition", state, action, random, parameters)
        if not isinstance(result, tuple) or len(result) != 2:
            raise self._wrong("transition", f"returned {result!r}; expected a pair: return reward, terminated")
        reward, terminated = result
        if not _is_reward(reward):
            raise self._wrong("transition", f"returned the reward {reward!r}; expected a finite number")
        if not isinstance(terminated, bool | np.bool_):
            raise self._wrong("transition", f"returned terminated as {terminated!r}; expected True or False")
        self._check_state("transition", state)
        return result

    def _observation(self, state: Any, out: Any, parameters: Any) -> None:
        self._call_reading("observation", state, out, parameters)
        for part in self._parts:
            if found := part.problem(out):
                raise self._wrong("observation", found)

    def _action_mask(self, state: Any, mask: npt.NDArray[np.bool_], parameters: Any) -> None:
        self._call_reading("action_mask", state, mask, parameters)
        if not self._actions.allows_an_action(mask[None])[0]:
            shown = mask.astype(int).tolist()
            raise self._wrong(
                "action_mask", f"wrote {shown}, which allows no action; expected at least one True for every choice"
            )

    def _call_reading(self, name: str, state: Any, *arguments: Any) -> Any:
        """Call a function that must not change the state."""
        before = np.asarray(state).tobytes()
        result = self._call(name, state, *arguments)
        if np.asarray(state).tobytes() != before:
            raise self._wrong(name, f"changed the state; expected {self._of_state}")
        return result

    def _check_state(self, function: str, state: Any) -> None:
        for field in self._fields or ("",):
            values = np.asarray(state[field] if field else state)
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                place = int(np.argmin(np.isfinite(values.reshape(-1))))
                name = f"state.{field}" if field else "state"
                raise self._wrong(function, f"wrote {_entry(name, place, values)}; expected a finite number")


class CheckedReward(Checked):
    """The functions of random states, with checks of the function of their reward model."""

    stepping = "reward"
    _of_parameters = "them unchanged"
    _of_state = "it unchanged"

    def __init__(self, environment: RandomStates, episodes: Episodes) -> None:
        super().__init__(environment, episodes)
        assert environment.reward is not None
        self._own["reward"] = environment.reward

    def _transition(self, state: Any, action: Any, random: Any, parameters: Any) -> Any:
        reward = self._call_reading("reward", state, action, parameters)
        if not _is_reward(reward):
            raise self._wrong("reward", f"returned {reward!r}; expected a finite number")
        return reward, True


def _is_reward(value: Any) -> bool:
    """Return whether a value is a number that is finite in float32, as the rewards of a run are."""
    is_number = isinstance(value, int | float | np.number | np.bool_) and not isinstance(value, np.complexfloating)
    with np.errstate(over="ignore"):
        try:
            return is_number and bool(np.isfinite(np.float32(value)))
        except OverflowError:  # an integer that no float can hold
            return False


@dataclass(frozen=True)
class _Part:
    """One array of an observation.

    Attributes:
        path: Its place in the observation; empty for the whole.
        low: The lowest value of each entry, in row-major order.
        high: The highest values.
    """

    path: Path
    low: npt.NDArray[Any]
    high: npt.NDArray[Any]

    @classmethod
    def of(cls, path: Path, space: gym.Space[Any]) -> "_Part":
        """Read the bounds of a space."""
        return cls(path, *_bounds(space))

    def problem(self, out: Any) -> str | None:
        """Return what is wrong in what a function wrote, in words that follow its name; None if nothing is."""
        array = np.asarray(pick(out, tuple(map(str, self.path))))
        name, flat = written_as(self.path), array.reshape(-1)
        if array.dtype.kind == "f" and not np.isfinite(flat).all():
            return f"wrote {_entry(name, int(np.argmin(np.isfinite(flat))), array)}; expected a finite number"
        slack = _BEYOND_BOUNDS if array.dtype.kind == "f" else 0
        outside = flat < self.low - slack * np.maximum(1, np.abs(self.low))
        outside |= flat > self.high + slack * np.maximum(1, np.abs(self.high))
        if not outside.any():
            return None
        place = int(np.argmax(outside))
        low, high = (_shown(bound[place], array.dtype) for bound in (self.low, self.high))
        space = f"observation_space{describe_path(self.path)}"
        return f"wrote {_entry(name, place, array)}; expected {low} to {high}, the bounds in {space}"


def _own_lines(error: BaseException, function: Callable[..., Any]) -> types.TracebackType | None:
    """Return the traceback of an exception up to the last line in the file of a function."""
    file = function.__code__.co_filename
    last = error.__traceback__
    for frame, line in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_filename == file:
            last = types.TracebackType(None, frame, frame.f_lasti, line)
    return last


def _bounds(space: gym.Space[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the lowest and highest value of each entry of an observation, in row-major order."""
    match space:
        case gym.spaces.Discrete():
            low, high = np.array([space.start]), np.array([space.start + space.n - 1])
        case gym.spaces.MultiDiscrete():
            low, high = space.start, space.start + space.nvec - 1
        case gym.spaces.Box():
            low, high = space.low, space.high
        case _:
            low, high = np.zeros(space.shape or 1, np.int8), np.ones(space.shape or 1, np.int8)
    kind = {"f": "float64", "b": "int8"}.get(low.dtype.kind, low.dtype.name)
    return low.reshape(-1).astype(kind), high.reshape(-1).astype(kind)


def _entry(name: str, place: int, array: npt.NDArray[Any]) -> str:
    """Return an entry of an array and its value in words: "out[2] = nan"."""
    index = ", ".join(str(int(i)) for i in np.unravel_index(place, array.shape))
    return f"{name}{f'[{index}]' if index else ''} = {array.reshape(-1)[place]!s}"


def _shown(bound: Any, dtype: np.dtype[Any]) -> str:
    return f"{np.float32(bound):g}" if dtype.kind == "f" else f"{bound}"
