"""The first difference between the Python functions of an environment and the compiled ones, and its likely reason."""

import contextlib
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from actor_critic.environments.functional.environment import FunctionalEnvironment
from actor_critic.environments.functional.executors import Episodes, Outputs
from actor_critic.environments.functional.random_states import RandomStates
from actor_critic.environments.functional.source import has_power
from actor_critic.spaces import ObservationSpec, describe_path

_OF_STEP, _LAST = ("reward", "terminated", "truncated"), "the last observation"
_TOLERANCES = {"float32": 1e-5, "float64": 1e-9}  # of differences in rounding, relative to the numbers
# In Python, a reward model may calculate in float32, where differences of large numbers lose digits.
_TOLERANCE_OF_REWARD_MODELS = 1e-3
_REASON_OF_REWARD_MODELS = (
    "Python may calculate with state[k] in float32, compiled code in 64 bits: write float(state[k])"
)
_ADDING = ("sum", "mean", "std", "var", "prod", "norm", "cumsum", "nansum", "average")
_OTHER = {"tanh": "np.tanh (use math.tanh)", "hypot": "hypot (use math.sqrt(x * x + y * y))"}


@dataclass(frozen=True)
class Difference:
    """A difference between Python and compiled code.

    Attributes:
        text: Where it is, both values and the likely reason, in one line.
        is_rounding: Whether it is so small that only rounding differs.
    """

    text: str
    is_rounding: bool


class _Run(Protocol):
    episodes: Episodes
    outputs: Outputs


def first_difference(
    python: _Run, compiled: _Run, environment: FunctionalEnvironment, *, is_reset: bool
) -> Difference | None:
    """Compare the states, the random numbers and the outputs of two runs, bit by bit."""
    ended = python.outputs.terminated | python.outputs.truncated
    for name, ours, theirs in _pairs(python, compiled, ended, is_reset):
        if ours.tobytes() == theirs.tobytes():
            continue
        size = ours.dtype.itemsize
        rows = [np.frombuffer(array.tobytes(), np.uint8).reshape(-1, size) for array in (ours, theirs)]
        place = int(np.argmax((rows[0] != rows[1]).any(1)))
        index, *entry = (int(i) for i in np.unravel_index(place, ours.shape))
        left, right = (array.reshape(-1)[place] for array in (ours, theirs))
        shown = name + (str(entry) if entry else "")
        episode, step = python.episodes.counts[index].tolist()
        when = f"episode {episode}, step {step}"
        if ended[index] and name.startswith((*_OF_STEP, _LAST)):  # the next episode has begun
            when = f"episode {episode - 1}, last step"
        tolerance, reason = _TOLERANCES.get(ours.dtype.name), _reason(name, environment)
        if name == "reward" and isinstance(environment, RandomStates):
            tolerance, reason = _TOLERANCE_OF_REWARD_MODELS, _REASON_OF_REWARD_MODELS
        return Difference(
            f"{environment.layout.name}: environment {index}, {when}: {shown} is {left!s} in Python "
            f"and {right!s} in compiled code; {reason}",
            tolerance is not None and bool(abs(left - right) <= tolerance * max(1.0, abs(left), abs(right))),
        )
    return None


def _pairs(
    python: _Run, compiled: _Run, ended: npt.NDArray[np.bool_], is_reset: bool
) -> Iterator[tuple[str, npt.NDArray[Any], npt.NDArray[Any]]]:
    """Yield the arrays to compare with their names, causes before their effects."""
    ours, theirs = python.outputs, compiled.outputs
    one, other = python.episodes, compiled.episodes
    layout = one.layout
    if not is_reset:
        yield from zip(
            _OF_STEP, *((side.rewards, side.terminated, side.truncated) for side in (ours, theirs)), strict=True
        )
        if ended.any():
            yield from _parts(_LAST, layout.observations, ours.finals, theirs.finals)
    for field in layout.state.names or ("",):
        states = [np.asarray(episodes.states) for episodes in (one, other)]
        left, right = [array[field] for array in states] if field else states
        yield f"state.{field}" if field else "state", left, right
    yield "the number of drawn random numbers", one.random[:, 1], other.random[:, 1]
    yield from _parts("observation", layout.observations, ours.observations, theirs.observations)
    yield "features", ours.features, theirs.features
    yield "action_mask", ours.masks, theirs.masks


def _parts(
    name: str, spec: ObservationSpec, ours: npt.NDArray[Any], theirs: npt.NDArray[Any]
) -> Iterator[tuple[str, npt.NDArray[Any], npt.NDArray[Any]]]:
    """Yield the parts of observations with their names."""
    for part, left, right in zip(spec.parts, spec.views(ours), spec.views(theirs), strict=True):
        yield f"{name}{describe_path(part.path)}", left, right


def _reason(name: str, environment: FunctionalEnvironment) -> str:
    """Return the likely reason of a difference, and a remedy."""
    state = environment.layout.state
    fields = {key: state[key].base for key in state.names} if state.names else {"": state}
    small = {key: kind for key, kind in fields.items() if kind.itemsize < 8 and kind.kind != "b"}
    own = name.removeprefix("state.")
    found = [own] if own in small else list(small)
    if found:
        where = ", ".join(f"state{'.' if key else ''}{key}" for key in found)
        kinds = " and ".join(sorted({kind.name for key, kind in small.items() if key in found}))
        return f"Python calculates with {where} in {kinds}, compiled code in 64 bits: use float64 and int64"
    if suspects := _suspects(environment.functions.values()):
        return f"these round in another way in compiled code: {'; '.join(suspects)}"
    return "compiled code calculates in float64 and int64: a calculation in other types may differ"


def _suspects(functions: Any) -> list[str]:
    """Return the operations of functions whose last bits differ in compiled code, with a remedy."""
    used = list(_with_helpers(functions))
    names = {name for function in used for name in function.__code__.co_names}
    found = ["x ** n (write x * x)"] if any(map(has_power, used)) else []
    adding = [name for name in _ADDING if name in names]
    found += [f"{', '.join(adding)} (add in a loop)"] if adding else []
    return found + [text for name, text in _OTHER.items() if name in names]


def _with_helpers(functions: Any) -> Iterator[types.FunctionType]:
    """Yield functions, and the functions that they call."""
    pending, seen = list(functions), set()
    while pending:
        function = pending.pop()
        if isinstance(function, types.FunctionType) and function not in seen:
            seen.add(function)
            yield function
            pending += [function.__globals__.get(name) for name in function.__code__.co_names]
            for cell in function.__closure__ or ():
                with contextlib.suppress(ValueError):  # the cell is empty
                    pending.append(cell.cell_contents)
