"""The types and shapes of a functional environment's arrays, read from its class."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from actor_critic.environments.functional.outputs import check_observations, out_shape, place_in
from actor_critic.errors import ConfigError
from actor_critic.spaces import NUMBERS, ActionSpec, ObservationSpec, leave_out, parts_of, read_spaces

_ACTIONS = (gym.spaces.Discrete, gym.spaces.MultiDiscrete, gym.spaces.MultiBinary)


@dataclass(frozen=True)
class Layout:
    """The types and shapes of the arrays that the functions receive.

    Attributes:
        name: The name of the class, for messages.
        state: The dtype of a state: structured, or that of an array.
        state_shape: The shape of a state; () if it is structured.
        written: The observation space, all of which the functions write.
        dtypes: The dtype of each part of an observation in its space.
        observations: The parts of it that the networks see.
        space: The observation space of these parts.
        actions: The action space.
        action_shape: The shape of an action; () if it is an integer.
        parameters: The dtype of the parameters.
        has_masks: Whether there is a function ``action_mask``.
    """

    name: str
    state: np.dtype[Any]
    state_shape: tuple[int, ...]
    written: ObservationSpec
    dtypes: tuple[np.dtype[Any], ...]
    observations: ObservationSpec
    space: gym.Space[Any] = field(repr=False)  # compiled code is found by the text of a layout; it needs no bounds
    actions: ActionSpec
    action_shape: tuple[int, ...]
    parameters: np.dtype[Any]
    has_masks: bool

    @property
    def is_discrete(self) -> bool:
        """Whether an action is one integer."""
        return self.action_shape == ()

    @property
    def out_shape(self) -> tuple[int, ...]:
        """The shape of the array for an observation; () for a record."""
        return out_shape(self.observations)

    @property
    def out_size(self) -> int:
        """The bytes of an observation."""
        return self.observations.dtype.itemsize * int(np.prod(self.out_shape))

    @property
    def pieces(self) -> tuple[tuple[int, int, int], ...]:
        """The places of the bytes of each part that the networks see.

        For each part: where its bytes begin and end in ``written``, and where they begin in ``observations``. Empty if
        the networks see all parts.
        """
        if not self.is_chosen:
            return ()
        written, seen = self.written.dtype, self.observations.dtype
        paths = [part.path for part in self.observations.parts]
        return tuple((*place_in(written, path), place_in(seen, path)[0]) for path in paths)

    @property
    def is_chosen(self) -> bool:
        """Whether the networks see only some parts of what the functions write."""
        return self.observations != self.written

    @property
    def state_size(self) -> int:
        """The bytes of one state."""
        return self.state.itemsize * int(np.prod(self.state_shape))

    def states(self, count: int) -> npt.NDArray[Any]:
        """Return ``count`` states of zeros; the fields of a structured one are its attributes."""
        made = np.zeros((count, *self.state_shape), self.state)
        return made.view(np.recarray) if self.state.names else made


def read_layout(environment: Any, keys: Sequence[str]) -> Layout:
    """Read the layout of a functional environment.

    Args:
        environment: The environment.
        keys: The parts of its observations that the networks see; an empty sequence means all.

    Raises:
        ConfigError: A space or the state is not as it should be, or a function is missing.
    """
    name = type(environment).__name__
    check_functions(type(environment))
    check_observations(name, getattr(environment, "observation_space", None))
    space = getattr(environment, "action_space", None)
    if not isinstance(space, _ACTIONS):
        expected = ", ".join(kind.__name__ for kind in _ACTIONS)
        raise ConfigError(f"environment: {name}.action_space is {space}; expected {expected}")
    state, shape = _read_state(name, environment)
    written, actions = read_spaces(name, environment.observation_space, space)
    seen = leave_out(name, environment.observation_space, keys)
    return Layout(
        name,
        state,
        shape,
        written,
        tuple(np.dtype(part.dtype) for _, part in parts_of(environment.observation_space)),
        ObservationSpec.from_space(seen),
        seen,
        actions,
        space.shape if not isinstance(space, gym.spaces.Discrete) else (),
        environment.parameters.dtype,
        getattr(type(environment), "action_mask", None) is not None,
    )


_ARGUMENTS = {
    "initial": ("state", "random", "parameters"),
    "transition": ("state", "action", "random", "parameters"),
    "observation": ("state", "out", "parameters"),
    "action_mask": ("state", "mask", "parameters"),
    "picture": ("state", "parameters"),
}


def check_functions(found: type[Any]) -> None:
    """Check that the functions of an environment class are static methods with the right number of arguments.

    Raises:
        ConfigError: They are not, or a function is missing.
    """
    name = found.__name__
    for function, arguments in _ARGUMENTS.items():
        shown = {"picture": "render"}.get(function, function)
        method = inspect.getattr_static(found, function, None)
        expected = f"expected a static method: @staticmethod def {shown}({', '.join(arguments)})"
        if method is None and function in ("action_mask", "picture"):
            continue
        if method is None or not callable(getattr(found, function)):
            raise ConfigError(f"environment: {name} has no function {shown}; {expected}")
        if not isinstance(method, staticmethod):
            raise ConfigError(f"environment: {name}.{shown} is not a static method; {expected}")
        try:
            inspect.signature(method.__func__).bind(*arguments)
        except TypeError:
            given = str(inspect.signature(method.__func__))
            raise ConfigError(f"environment: {name}.{shown} takes the arguments {given}; {expected}") from None
    drawing = vars(found).get("render")
    if inspect.isfunction(drawing) and len(inspect.signature(drawing).parameters) > 1:
        raise ConfigError(
            f"environment: {name}.render is not a static method; expected @staticmethod def render(state, parameters)"
        )
    if inspect.getattr_static(found, "action_mask", None) is None:
        near = [key for key, value in vars(found).items() if isinstance(value, staticmethod) and "mask" in key]
        if near:
            raise ConfigError(f"environment: {name} has no function {near[0]}; expected the name action_mask")


def _read_state(name: str, environment: Any) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Return the dtype and shape of a state."""
    given = getattr(environment, "state", None)
    shape: tuple[int, ...] = ()
    dtype: np.dtype[Any]
    try:
        if isinstance(given, tuple) and len(given) == 2:
            sizes, kind = given
            shape, dtype = tuple(int(size) for size in np.atleast_1d(sizes)), np.dtype(kind)
        else:
            dtype = np.dtype(given)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"environment: {name}.state is {given!r}: {error}; {_EXPECTED}") from None
    if given is None or (dtype.names is None and not isinstance(given, tuple)):
        raise ConfigError(f"environment: {name}.state is {given!r}; {_EXPECTED}")
    if not shape and dtype.names is None:
        shape = (1,)
    if not dtype.itemsize or not all(shape):
        raise ConfigError(f"environment: {name}.state is {given!r}, which is empty; {_EXPECTED}")
    fields: dict[str, Any] = {key: dtype[key] for key in dtype.names} if dtype.names else {"": dtype}  # type: ignore[misc]
    for key, kind in fields.items():
        if kind.base.name not in NUMBERS:
            where = f".{key}" if key else ""
            raise ConfigError(f"environment: {name}.state{where} has the dtype {kind}; {_EXPECTED}")
        if key and kind.shape and kind.base == np.bool_:
            raise ConfigError(
                f"environment: {name}.state.{key} is an array of bool, which compiled code cannot have in a structured "
                f"state; use np.uint8 with 0 and 1"
            )
    return (_aligned(dtype) if dtype.names else dtype), shape


_EXPECTED = (
    "expected a structured dtype such as np.dtype([('position', float), ('steps', int)]), or (shape, dtype), of "
    "bool, integers, float32 and float64"
)


def _aligned(dtype: np.dtype[Any]) -> np.dtype[Any]:
    assert dtype.names is not None
    return np.dtype([(name, dtype[name]) for name in dtype.names], align=True)


def read_parameters(
    name: str, defaults: Mapping[str, Any], given: Mapping[str, Any], setting: str = "environment"
) -> Any:
    """Return the parameters as a record with one field each.

    Args:
        name: The name of their class, for messages.
        defaults: Default values.
        given: Values that replace them.
        setting: The setting that names the class; with "_kwargs" after it, the one that has the values.

    Raises:
        ConfigError: There is no such parameter, or a value has another type than its default.
    """
    for key in given:
        if key not in defaults:
            known = ", ".join(defaults) or "none"
            raise ConfigError(f"{setting}_kwargs: {name} has no parameter {key!r}; its parameters: {known}")
    values: dict[str, npt.NDArray[Any]] = {}
    for key, default in defaults.items():
        usual, value = np.asarray(default), np.asarray(given.get(key, default))
        kind = {"b": np.bool_, "i": np.int64, "u": np.int64, "f": np.float64}.get(usual.dtype.kind)
        if kind is None or (kind is np.bool_ and usual.ndim):
            raise ConfigError(
                f"{setting}: the parameter {key!r} of {name} is {default!r} by default; expected a bool, an int, "
                f"a float, or an array of int or float"
            )
        allowed = {"b": "b", "i": "biu", "u": "biu", "f": "biuf"}[usual.dtype.kind]
        if value.dtype.kind not in allowed or value.ndim != usual.ndim or not value.size:
            expected = f"{np.dtype(kind).name}{f' with {usual.ndim} axes' if usual.ndim else ''}"
            raise ConfigError(f"{setting}_kwargs: {key}={given.get(key)!r} of {name}; expected {expected}")
        if not np.isfinite(value).all():
            raise ConfigError(f"{setting}_kwargs: {key}={given.get(key)!r} of {name}; expected finite numbers")
        values[key] = value.astype(kind)
    fields: list[Any] = [(key, value.dtype, value.shape) for key, value in values.items()]
    dtype = np.dtype(fields or [("none", np.int64)], align=True)
    record = np.zeros(1, dtype).view(np.recarray)
    for key, value in values.items():
        record[key][0] = value
    return record[0]
