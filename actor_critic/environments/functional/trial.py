"""Try a functional environment for some steps: check every value that its functions write, and compare compiled code.

The functions run in Python first. An index outside an array raises an exception there, but not in compiled code.
"""

import time
import traceback
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from actor_critic.environments.functional.differences import Difference, first_difference
from actor_critic.environments.functional.environment import FunctionalEnvironment
from actor_critic.environments.functional.executors import Episodes, Executor, Outputs, PythonExecutor
from actor_critic.environments.functional.loops import FAILED
from actor_critic.environments.masks.reading import random_action_indices
from actor_critic.errors import describe
from actor_critic.process import Interrupted, boundary
from actor_critic.seeding import Purpose

_COUNT = 3  # environments
_ROUNDING = 1e-6  # a number may be this far outside its bounds, relative to the bound


@dataclass(frozen=True)
class Trial:
    """The result of a trial.

    Attributes:
        steps: Steps that were taken, of all environments.
        episodes: Episodes that ended.
        problem: The first value that is wrong, in one line; None if there is none.
        difference: The first difference between Python and compiled code; None if there is none.
        compared: Steps that were compared.
    """

    steps: int
    episodes: int
    problem: str | None
    difference: Difference | None
    compared: int


def try_functions(
    environment: FunctionalEnvironment,
    compiled: Executor | None,
    *,
    limit: int | None = None,
    steps: int,
    seconds: float,
) -> Trial:
    """Run the functions of an environment in Python with random allowed actions, and check every value.

    Args:
        environment: The environment, with its parameters.
        compiled: Executes the compiled functions with the same actions; None compares nothing.
        limit: The step that truncates an episode; None means the environment's own limit.
        steps: How many steps to take in each environment at most.
        seconds: The time limit.

    Raises:
        ConfigError: A space, the state or a function is not as it should be.
    """
    limit = environment.max_episode_steps if limit is None else limit
    layout = environment.layout
    checked = _Checked(environment, Episodes(environment, _COUNT, limit, Purpose.EPISODES))
    ours = _Side(checked.episodes, Outputs(layout, _COUNT), PythonExecutor(environment, checked.functions))
    theirs = None
    if compiled is not None:
        other = Episodes(environment, _COUNT, limit, Purpose.EPISODES)
        theirs = _Side(other, Outputs(layout, _COUNT), compiled)
    random = np.random.default_rng(0)
    taken = ended = compared = 0
    problem = difference = None
    until = np.inf
    try:
        for step in range(steps + 1):
            actions = None
            if step:
                drawn = [random_action_indices(layout.actions, mask, random) for mask in ours.outputs.masks]
                actions = np.concatenate(drawn)
            with boundary.inside():
                ended += ours.run(actions, checked)
            taken += 0 if actions is None else _COUNT
            if theirs is not None and difference is None:
                theirs.run(actions, None)
                difference = first_difference(ours, theirs, environment, is_reset=not step)
                compared += 0 if actions is None or difference else _COUNT
            if step < 2:  # the first calls may load compiled code
                until = time.perf_counter() + seconds
            if time.perf_counter() > until:
                break
    except _WrongValue as found:
        problem = str(found)
    return Trial(taken, ended, problem, difference, compared)


class _WrongValue(Exception):  # noqa: N818 - it carries a message, and is always caught here
    """A value is wrong; the text names it."""


@dataclass
class _Side:
    """Episodes, and what executes them."""

    episodes: Episodes
    outputs: Outputs
    executor: Executor

    def run(self, actions: npt.NDArray[np.int64] | None, checked: "_Checked | None") -> int:
        """Take a step, or reset if there are no actions; then observe. Return how many episodes ended.

        Raises:
            _WrongValue: A compiled function raised an exception.
        """
        if checked:
            checked.begin("initial" if actions is None else "transition")
        if actions is None:
            ended = self.executor.reset(self.episodes)
        else:
            ended = self.executor.step(self.episodes, actions, self.outputs)
        if checked:
            checked.begin("observation")
        seen = self.executor.observe(self.episodes, self.outputs)
        if max(ended, seen) >= FAILED:
            raise _WrongValue(
                f"{self.episodes.layout.name}: a function raised an exception in compiled code, and not in Python, in "
                f"the same step"
            )
        return max(ended, 0)


class _Checked:
    """An environment's functions, with checks of what they write.

    Attributes:
        functions: The functions by name.
        episodes: The running episodes.
    """

    def __init__(self, environment: FunctionalEnvironment, episodes: Episodes) -> None:
        layout = environment.layout
        self.episodes = episodes
        self._own = environment.functions
        self._name, self._actions = layout.name, layout.actions
        self._fields = layout.state.names
        self._parameters = episodes.parameters.tobytes()
        self._low, self._high = _bounds(environment.observation_space)
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
                hint = f"; the state has the fields {', '.join(self._fields or ())}, and parameters are in parameters"
            elif isinstance(error, TypeError) and "argument" in str(error) and error.__traceback__.tb_next is None:  # type: ignore[union-attr]
                hint = f"; it is called with {len(arguments)} arguments"
            found = describe(error.with_traceback(_own_lines(error, self._own[name])))
            raise self._wrong(name, f"raised {found}{hint}") from None
        if self.episodes.parameters.tobytes() != self._parameters:
            raise self._wrong(name, "changed parameters; expected them unchanged: what changes belongs into the state")
        return result

    def _wrong(self, function: str, what: str) -> _WrongValue:
        episode, step = self.episodes.counts[self._index].tolist()
        step += function == "transition"
        return _WrongValue(
            f"{self._name}: environment {self._index}, episode {episode}, step {step}: {function} {what}"
        )

    def _initial(self, state: Any, random: Any, parameters: Any) -> None:
        self._call("initial", state, random, parameters)
        self._check_state("initial", state)

    def _transition(self, state: Any, action: Any, random: Any, parameters: Any) -> Any:
        result = self._call("transition", state, action, random, parameters)
        if not isinstance(result, tuple) or len(result) != 2:
            raise self._wrong("transition", f"returned {result!r}; expected a pair: return reward, terminated")
        reward, terminated = result
        # The rewards of a run are float32.
        is_number = isinstance(reward, int | float | np.number | np.bool_) and not isinstance(
            reward, np.complexfloating
        )
        with np.errstate(over="ignore"):
            if not is_number or not np.isfinite(np.float32(reward)):
                raise self._wrong("transition", f"returned the reward {reward!r}; expected a finite number")
        if not isinstance(terminated, bool | np.bool_):
            raise self._wrong("transition", f"returned terminated as {terminated!r}; expected True or False")
        self._check_state("transition", state)
        return result

    def _observation(self, state: Any, out: npt.NDArray[Any], parameters: Any) -> None:
        self._call_reading("observation", state, out, parameters)
        flat = out.reshape(-1)
        if out.dtype.kind == "f" and not np.isfinite(flat).all():
            place = int(np.argmin(np.isfinite(flat)))
            raise self._wrong("observation", f"wrote {_entry('out', place, out)}; expected a finite number")
        slack = _ROUNDING if out.dtype.kind == "f" else 0
        outside = flat < self._low - slack * np.maximum(1, np.abs(self._low))
        outside |= flat > self._high + slack * np.maximum(1, np.abs(self._high))
        if outside.any():
            place = int(np.argmax(outside))
            low, high = (_shown(bound[place], out.dtype) for bound in (self._low, self._high))
            raise self._wrong(
                "observation",
                f"wrote {_entry('out', place, out)}; expected {low} to {high}, the bounds in observation_space",
            )

    def _action_mask(self, state: Any, mask: npt.NDArray[np.bool_], parameters: Any) -> None:
        self._call_reading("action_mask", state, mask, parameters)
        if not self._actions.allows_an_action(mask[None])[0]:
            shown = mask.astype(int).tolist()
            raise self._wrong(
                "action_mask", f"wrote {shown}, which allows no action; expected at least one True for every choice"
            )

    def _call_reading(self, name: str, state: Any, *arguments: Any) -> None:
        before = np.asarray(state).tobytes()
        self._call(name, state, *arguments)
        if np.asarray(state).tobytes() != before:
            raise self._wrong(name, "changed the state; expected that only initial and transition change it")

    def _check_state(self, function: str, state: Any) -> None:
        for field in self._fields or ("",):
            values = np.asarray(state[field] if field else state)
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                place = int(np.argmin(np.isfinite(values.reshape(-1))))
                name = f"state.{field}" if field else "state"
                raise self._wrong(function, f"wrote {_entry(name, place, values)}; expected a finite number")


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
