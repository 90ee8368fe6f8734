"""One environment that can be seen: the ways in which it renders, and an instance that shows one episode."""

import math
from collections.abc import Iterable
from typing import Any

import gymnasium as gym
import numpy as np

from actor_critic.config import Settings
from actor_critic.environments.functional import FunctionalEnvironment, find_functional_class
from actor_critic.environments.make import EnvironmentMaker
from actor_critic.environments.vector.contract import Observed
from actor_critic.environments.vector.instances import close_environment
from actor_critic.environments.vector.same_step import SameStepVectorEnv
from actor_critic.environments.wrappers.limits import EvaluationLimit
from actor_critic.errors import ConfigError, EnvironmentFault, describe
from actor_critic.process import Interrupted, boundary
from actor_critic.seeding import Purpose
from actor_critic.spaces import ActionSpec

IMAGES, TEXTS, WINDOW = "rgb_array", "ansi", "human"
"""Gymnasium's names of the render modes that are used here."""

_USED = (IMAGES, TEXTS, WINDOW)
_USUAL_FPS = 30.0


def render_modes(settings: Settings) -> tuple[str, ...]:
    """Return the ways in which an environment can render, as its metadata says; () for random states.

    A functional environment can do what its function ``render`` returns, an image or a text. A ``render_mode`` among
    the keyword arguments of the environment is the only way, because wrappers may need it.

    Raises:
        ConfigError: The environment cannot be made.
        EnvironmentFault: The function ``render`` of a functional environment raised an exception.
    """
    if settings.is_random_states:
        return ()
    env = EnvironmentMaker(settings)()
    try:
        if isinstance(env.unwrapped, FunctionalEnvironment):
            return _modes_of_function(settings.environment, env)
        fixed = settings.environment_kwargs.get("render_mode")
        if fixed in _USED:
            return (fixed,)
        declared = env.metadata.get("render_modes") if isinstance(env.metadata, dict) else None
        return tuple(map(str, declared)) if isinstance(declared, Iterable) and not isinstance(declared, str) else ()
    finally:
        close_environment(env)


def _modes_of_function(name: str, env: gym.Env[Any, Any]) -> tuple[str, ...]:
    bare = env.unwrapped
    assert isinstance(bare, FunctionalEnvironment)
    if bare.picture is None:
        return ()
    bare.render_mode = IMAGES
    try:
        with boundary.inside():
            env.reset(seed=0)
            shown = env.render()
    except Interrupted:
        raise
    except BaseException as error:  # user code may raise anything
        raise EnvironmentFault(f"{name}: raised in render {describe(error)}") from error
    return (TEXTS,) if isinstance(shown, str) else (IMAGES,)


class RenderedEnvironment(SameStepVectorEnv):
    """One environment that begins with one episode of an evaluation, and that can be rendered.

    Attributes:
        fps: Frames a second, as its metadata says, or else 30.
    """

    def __init__(
        self,
        settings: Settings,
        place: tuple[int, int],
        *,
        render_mode: str | None,
        max_steps: int | None = None,
        speed: float = 1.0,
    ) -> None:
        """Make the environment.

        Args:
            settings: Which environment.
            place: Index of the environment in an evaluation, and number of the episode in it.
            render_mode: A mode of :func:`render_modes`; None renders nothing.
            max_steps: The step that ends the episode at the latest; None for the usual limits.
            speed: How many times faster than usual a window shows the episode.

        Raises:
            ConfigError: The environment cannot be made.
        """
        self._number = place[1]
        make = _Maker(settings, render_mode, max_steps, speed)
        quotas = np.array([place[1] + 1])  # no other episode begins after this one, so its end stays visible
        super().__init__(make, 1, purpose=Purpose.TEST, quotas=quotas, first=place[0], replay="none")
        self.fps = _fps(self.envs[0])

    def begin(self, seed: int, options: dict[str, Any] | None = None) -> Observed:
        """Begin the episode.

        Raises:
            EnvironmentFault: The environment raised, or returned an invalid value.
        """
        self._running.begin(seed, self._number)
        return self._begin(options)

    def render_frame(self) -> Any:
        """Return what ``render`` of the environment returns.

        Raises:
            EnvironmentFault: It raised an exception.
            ConfigError: It needs a package that is not installed.
        """
        try:
            with boundary.inside():
                return self.envs[0].render()
        except Interrupted:
            raise
        except gym.error.DependencyNotInstalled as error:
            raise ConfigError(
                f"environment: {self.name} needs a package to render that is not installed: {error}"
            ) from error
        except BaseException as error:  # user code may raise anything
            raise self._fault(0, f"raised in render {describe(error)}") from error

    def fault(self, what: str) -> EnvironmentFault:
        """Return an error that names this environment, its episode and its step."""
        return self._fault(0, what)

    def action_names(self) -> tuple[str, ...]:
        """Return a name for each of the A choices of an action: the environment's own, or else its numbers."""
        numbers = tuple(
            str(start + choice)
            for part in self.actions.parts
            for size, start in zip(part.sizes, part.starts, strict=True)
            for choice in range(size)
        )
        return _own_names(self.envs[0], self.actions) or numbers


class _Maker:
    """Makes the environment in a render mode."""

    def __init__(self, settings: Settings, render_mode: str | None, max_steps: int | None, speed: float) -> None:
        self._name, self._mode = settings.environment, render_mode
        self._max_steps, self._speed = max_steps, speed
        self._is_functional = find_functional_class(settings) is not None
        if render_mode is not None and not self._is_functional:
            settings = settings.replace(environment_kwargs={**settings.environment_kwargs, "render_mode": render_mode})
        self._make = EnvironmentMaker(settings, ends=True)

    def __call__(self) -> gym.Env[Any, Any]:
        try:
            env = self._make()
        except ConfigError as error:
            if isinstance(error.__cause__, TypeError) and "'render_mode'" in str(error):
                raise ConfigError(
                    f"environment: {self._name} declares the render mode {self._mode}, but cannot be made with it; "
                    f"let its constructor take render_mode=None and keep it as self.render_mode"
                ) from error
            raise
        bare = env.unwrapped
        if self._is_functional:  # its constructor may take no render mode
            bare.render_mode = self._mode
        if self._mode == WINDOW and self._speed != 1.0:
            bare.metadata = {**bare.metadata, "render_fps": max(1, round(_fps(env) * self._speed))}
        return env if self._max_steps is None else EvaluationLimit(env, self._max_steps)


def _fps(env: gym.Env[Any, Any]) -> float:
    try:
        fps = float(env.metadata.get("render_fps", _USUAL_FPS))
    except (AttributeError, OverflowError, TypeError, ValueError):
        return _USUAL_FPS
    return fps if math.isfinite(fps) and fps > 0 else _USUAL_FPS


def _own_names(env: gym.Env[Any, Any], actions: ActionSpec) -> tuple[str, ...] | None:
    """Return the names that environments of Atari and MiniGrid have for their actions; None for others."""
    bare: Any = env.unwrapped
    try:
        with boundary.inside():
            if callable(meanings := getattr(bare, "get_action_meanings", None)):
                names = [str(name) for name in meanings()]
            else:
                names = [str(action.name) for action in bare.actions]
    except Interrupted:
        raise
    except BaseException:  # user code may raise anything, and numbers are names too
        return None
    return tuple(names) if actions.num_groups == 1 and len(names) == actions.num_logits else None
