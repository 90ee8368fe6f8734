"""FunctionalEnvironment: an environment written as functions over arrays, run here as an ordinary Gymnasium one."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from actor_critic.environments.functional.layout import Layout, read_layout, read_parameters
from actor_critic.environments.functional.outputs import as_returned, make_outs
from actor_critic.environments.functional.random import WORDS, Random
from actor_critic.errors import ConfigError

FUNCTIONS = ("initial", "transition", "observation", "action_mask")
"""The functions of an environment that are compiled; the last one is optional."""


class FunctionalEnvironment(gym.Env[Any, Any]):
    """An environment whose dynamics are static functions over arrays. Subclass it, and define them.

    As it is, an instance is a Gymnasium environment in plain Python, for a debugger, wrappers and other libraries.
    With ``vectorization: compiled`` the same functions are compiled, and give the same bits
    (docs/functional_environments.md lists the exceptions).

    A subclass defines ``observation_space`` (Box, Discrete, MultiDiscrete, MultiBinary, or a Dict or Tuple of these)
    and ``action_space`` (Discrete, MultiDiscrete or MultiBinary), here or in its constructor, and these functions:

    - ``initial(state, random, parameters)`` writes the first state of an episode. The state is all zeros before.
    - ``transition(state, action, random, parameters)`` changes the state and returns ``(reward, terminated)``.
    - ``observation(state, out, parameters)`` writes the observation of a state into ``out``, an array of zeros of the
      shape and dtype of the space. For a Discrete space it has one entry. For a Dict, ``out`` is a record with a field
      for each part (``out.image[0, 1] = 3``, ``out.speed = 0.5``, ``out.inner.place = 2``); a key that is no Python
      name is written ``out["a key"]``. Parts of a Tuple are ``out[0]``, ``out[1]``; these indices must be constants.
    - ``action_mask(state, mask, parameters)``, optional, sets entries of ``mask`` [A] to False. They are True before;
      A is the number of actions, or of all choices of a MultiDiscrete or MultiBinary action.
    - ``render(state, parameters)``, optional, returns a text or an image [H, W, 3]. It is never compiled.

    ``action`` is an integer, or an array of the action space's shape. ``random`` has the methods of
    :class:`~actor_critic.environments.functional.random.Random`. Functions may call other functions of the module, and
    use its constants and NumPy.

    Attributes:
        state: The memory of one environment: a structured dtype, whose fields are ``state.name``, or a tuple
            ``(shape, dtype)``. Prefer float64 and int64: calculations in smaller types may differ in compiled code.
        max_episode_steps: The step that truncates an episode; None for no limit.
        parameters: Names and default values: bool, int, float, or arrays of int or float. They are arguments of the
            constructor and fields of ``parameters`` in the functions.
    """

    state: ClassVar[Any]
    max_episode_steps: int | None = None
    parameters: Any = MappingProxyType({})
    metadata: dict[str, Any] = {"render_modes": ["ansi", "rgb_array"], "render_fps": 10}  # noqa: RUF012 - as in Gymnasium
    picture: ClassVar[Callable[..., Any] | None] = None

    _keys: Sequence[str] = ()
    _layout: Layout | None = None
    _memory: npt.NDArray[Any] | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Keep the function ``render`` under another name, since Gymnasium has a method of this name."""
        super().__init_subclass__(**kwargs)
        if isinstance(found := vars(cls).get("render"), staticmethod):
            cls.picture = found
            del cls.render

    def __init__(self, render_mode: str | None = None, **parameters: Any) -> None:
        """Set the parameters.

        Args:
            render_mode: "ansi" or "rgb_array", whichever the function ``render`` returns; None renders nothing.
            parameters: Values of parameters; each replaces its default.

        Raises:
            ConfigError: There is no such parameter, or a value has another type than its default.
        """
        self.render_mode = render_mode
        defaults: Mapping[str, Any] = type(self).parameters
        self.parameters = read_parameters(type(self).__name__, defaults, parameters)
        self._layout = None
        self._memory = None

    @property
    def layout(self) -> Layout:
        """The types and shapes of the arrays that the functions receive.

        Raises:
            ConfigError: A space or the state is not as it should be, or a function is missing.
        """
        if not isinstance(self.parameters, np.record):
            name = type(self).__name__
            raise ConfigError(
                f"environment: the constructor of {name} sets no parameters; expected it to call "
                f"super().__init__(render_mode, **parameters)"
            )
        if self._layout is None:
            self._layout = read_layout(self, self._keys)
        return self._layout

    def choose_parts(self, keys: Sequence[str]) -> None:
        """Choose the parts of a Dict or Tuple observation that a vector of these shows; an empty sequence means all.

        ``reset`` and ``step`` return all parts.
        """
        self._keys = tuple(keys)
        self._layout = None  # the constructor may have read it

    @property
    def memory(self) -> Any:
        """The current state, for a debugger or a policy of rules; its fields are attributes."""
        if self._memory is None:
            raise gym.error.ResetNeeded("reset comes before the first look at the state")
        return self._memory[0]

    @property
    def functions(self) -> dict[str, Callable[..., Any]]:
        """The functions that are compiled, by name."""
        found = {name: getattr(type(self), name, None) for name in FUNCTIONS}
        return {name: function for name, function in found.items() if function is not None}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode, as Gymnasium does. The numbers of ``random`` are a function of the seed."""
        super().reset(seed=seed)
        layout = self.layout
        if self._memory is None:
            self._memory = layout.states(1)
            self._random = Random(np.zeros(WORDS, np.uint64))
        self._random.seed(int(self.np_random.integers(2**63)) if seed is None else seed)
        self._memory.view(np.uint8)[:] = 0
        self._steps = 0
        with np.errstate(all="ignore"):
            self.initial(self._memory[0], self._random, self.parameters)
            return self._observed()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take a step, as Gymnasium does."""
        if self._memory is None:
            raise gym.error.ResetNeeded("reset comes before the first step")
        number = int(action) if self.layout.is_discrete else np.asarray(action, np.int64)
        with np.errstate(all="ignore"):
            reward, terminated = self.transition(self._memory[0], number, self._random, self.parameters)
            observation, info = self._observed()
        self._steps += 1
        truncated = self.max_episode_steps is not None and self._steps >= self.max_episode_steps
        return observation, float(reward), bool(terminated), truncated, info

    def render(self) -> Any:
        """Return what the function ``render`` returns for the current state."""
        if self.picture is None or self._memory is None or self.render_mode is None:
            return None
        return self.picture(self._memory[0], self.parameters)

    def has_wrapper_attr(self, name: str) -> bool:
        """Return whether there is a parameter, method or attribute of this name."""
        return name in type(self).parameters or super().has_wrapper_attr(name)

    def get_wrapper_attr(self, name: str) -> Any:
        """Return the value of a parameter, or a method or attribute."""
        return self.parameters[name] if name in type(self).parameters else super().get_wrapper_attr(name)

    def set_wrapper_attr(self, name: str, value: Any, *, force: bool = True) -> bool:
        """Set a parameter, or an attribute.

        Raises:
            ConfigError: The value has another type or shape than that of the parameter.
        """
        if name not in type(self).parameters:
            return super().set_wrapper_attr(name, value, force=force)
        values = {key: self.parameters[key] for key in type(self).parameters} | {name: value}
        changed = read_parameters(type(self).__name__, type(self).parameters, values, "environment")
        if changed.dtype != self.parameters.dtype:
            shape = np.shape(self.parameters[name])
            raise ConfigError(f"environment: {name}={value!r} of {type(self).__name__}; expected the shape {shape}")
        self.parameters = changed
        return True

    def not_compiled(self, error: ConfigError) -> ConfigError:
        """Return the error for functions that cannot be compiled, in the words of the user's setting."""
        return error

    def observed(self, state: Any) -> Any:
        """Return the observation of a state, as ``reset`` and ``step`` return it."""
        layout = self.layout
        out = make_outs(layout.written, 1)[0]
        self.observation(state, out, self.parameters)
        return as_returned(out, layout.written, layout.dtypes)

    def _observed(self) -> tuple[Any, dict[str, Any]]:
        assert self._memory is not None
        layout, info = self.layout, {}
        observation = self.observed(self._memory[0])
        if layout.has_masks:
            info["action_mask"] = np.ones(layout.actions.num_logits, np.bool_)
            self.action_mask(self._memory[0], info["action_mask"], self.parameters)
        return observation, info

    initial: Callable[..., None]
    transition: Callable[..., tuple[float, bool]]
    observation: Callable[..., None]
    action_mask: Callable[..., None]


def functional_class(found: Any) -> type[FunctionalEnvironment] | None:
    """Return the class if it is a functional environment, else None."""
    return found if isinstance(found, type) and issubclass(found, FunctionalEnvironment) else None
