"""Functional environments by name: a user's class, or the twin of one of Gymnasium's own environments."""

import copy
import importlib.util
import logging
from dataclasses import replace

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec, load_env_creator

from actor_critic.config import Settings
from actor_critic.environments.functional.environment import FunctionalEnvironment, functional_class
from actor_critic.environments.functional.executors import Executor, PythonExecutor
from actor_critic.environments.functional.random_states import own_random_states
from actor_critic.environments.functional.trial import try_functions
from actor_critic.environments.functional.twins import make_twin
from actor_critic.environments.functional.vector import FunctionalVectorEnv
from actor_critic.environments.named import find_spec
from actor_critic.errors import ActorCriticError, ConfigError, EnvironmentFault, NotMadeError, describe
from actor_critic.process import Interrupted, boundary
from actor_critic.seeding import Purpose

log = logging.getLogger("actor_critic")

_FIRST_STEPS, _STEPS, _SECONDS = 3, 300, 0.2  # of the trial before a new run


def find_functional_class(settings: Settings) -> tuple[type[FunctionalEnvironment], EnvSpec] | None:
    """Return the functional environment that settings name, and how Gymnasium makes it; None if it is not functional.

    It is passed, named as "module:Class", or registered with the class as its entry point.
    """
    name = settings.environment
    if (spec := find_spec(settings)) is not None:
        kind = functional_class(spec.entry_point)
        return (kind, replace(spec, max_episode_steps=kind.max_episode_steps)) if kind else None
    registered = gym.registry.get(name.rpartition(":")[2])
    entry = registered.entry_point if registered else None
    if registered is None or entry is None or str(entry).startswith("gymnasium."):
        return None
    try:
        found = functional_class(load_env_creator(entry) if isinstance(entry, str) else entry)
    except Exception:  # user code may raise anything; making the environment reports it
        return None
    return (found, registered) if found else None


def make_functional(settings: Settings) -> FunctionalEnvironment | None:
    """Make the functional environment that settings name, or the twin of one of Gymnasium's own; None if there is none.

    Raises:
        ConfigError: It cannot be made, or refuses its keyword arguments.
    """
    found = find_functional_class(settings)
    if found is None:
        twin = make_twin(settings.environment, settings.environment_kwargs)
        if twin is not None:
            twin.choose_parts(settings.observation_keys)
        return twin
    kind, spec = found
    try:
        with boundary.inside():
            made = kind(**{**spec.kwargs, **copy.deepcopy(settings.environment_kwargs)})
    except (ActorCriticError, Interrupted):
        raise
    except BaseException as error:  # user code may raise anything
        raise NotMadeError(f"environment: {settings.environment!r} cannot be made: {describe(error)}") from error
    made.choose_parts(settings.observation_keys)
    limits = [limit for limit in (made.max_episode_steps, spec.max_episode_steps) if limit is not None]
    made.max_episode_steps = min(limits, default=None)
    return made


def make_functional_vector(settings: Settings, count: int, purpose: Purpose, first: int) -> FunctionalVectorEnv:
    """Make N functional environments, compiled if Numba is installed; ``first`` is the number of the first one.

    Raises:
        ConfigError: The environment has no functional form, or a function cannot be compiled.
    """
    environment = make_functional(settings)
    assert environment is not None, "choose_vectorization comes first"
    limit = settings.max_episode_steps
    executor = make_executor(environment)
    return FunctionalVectorEnv(environment, count, executor, max_episode_steps=limit, purpose=purpose, first=first)


def functions_to_try(settings: Settings) -> FunctionalEnvironment | None:
    """Return the user's own functional environment, or random states with the user's own function as their reward.

    Raises:
        ConfigError: It cannot be made.
    """
    if settings.is_random_states:
        return own_random_states(settings)
    environment = make_functional(settings)
    return environment if environment is not None and is_own(type(environment)) else None


def try_new_environment(settings: Settings) -> None:
    """Try the functions that :func:`functions_to_try` finds before a new run, for a fraction of a second.

    Raises:
        ConfigError: They cannot be made, or a function cannot be compiled.
        EnvironmentFault: A function writes a wrong value, or the compiled functions differ from those in Python.
    """
    environment = functions_to_try(settings)
    if environment is None:
        return
    limit = settings.max_episode_steps
    # A mistake that Python finds has the better message, so a few steps in Python come first.
    found = try_functions(environment, None, limit=limit, steps=_FIRST_STEPS, seconds=_SECONDS)
    if found.problem:
        raise EnvironmentFault(found.problem)
    compiled = make_executor(environment) if has_numba() else None
    found = try_functions(environment, compiled, limit=limit, steps=_STEPS, seconds=_SECONDS)
    if found.problem:
        raise EnvironmentFault(found.problem)
    if found.difference and not found.difference.is_rounding:
        raise EnvironmentFault(found.difference.text)
    if found.difference:
        log.warning("Python and compiled functions differ in the last bits: %s", found.difference.text)


def is_own(kind: type[FunctionalEnvironment]) -> bool:
    """Return whether a functional environment is the user's own, rather than one of this package."""
    return not kind.__module__.startswith(f"{__name__.partition('.')[0]}.")


def make_executor(environment: FunctionalEnvironment) -> Executor:
    """Compile the functions of an environment; without Numba, return them in Python, with a warning.

    Raises:
        ConfigError: A function cannot be compiled.
    """
    if not has_numba():
        log.warning(
            "vectorization: compiled needs Numba, which is not installed, so the functions run in Python; "
            "pip install numba"
        )
        return PythonExecutor(environment)
    from actor_critic.environments.functional.compiled import CompiledExecutor  # imported here because it loads Numba

    try:
        return CompiledExecutor(environment)
    except ConfigError as error:
        raise environment.not_compiled(error) from None


def has_numba() -> bool:
    """Return whether Numba is installed."""
    return importlib.util.find_spec("numba") is not None
