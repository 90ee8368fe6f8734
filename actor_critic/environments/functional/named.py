"""Functional environments by name: a user's class, or the twin of one of Gymnasium's own environments."""

import importlib.util
import logging

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec, load_env_creator

from actor_critic.config import Settings
from actor_critic.environments.functional.environment import FunctionalEnvironment, functional_class
from actor_critic.environments.functional.executors import Executor, PythonExecutor
from actor_critic.environments.functional.vector import FunctionalVectorEnv
from actor_critic.imports import find_object
from actor_critic.seeding import Purpose

log = logging.getLogger("actor_critic")


def find_functional_class(settings: Settings) -> tuple[type[FunctionalEnvironment], EnvSpec] | None:
    """Return the functional environment that settings name, and how Gymnasium makes it; None if it is not functional.

    It is named as "module:Class", or registered with the class as its entry point.
    """
    name = settings.environment
    if ":" in name and (found := functional_class(find_object(name))):
        spec = EnvSpec(name.partition(":")[2], found, max_episode_steps=found.max_episode_steps)
        return found, spec
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
    """Make the functional environment that settings name; None if it is not functional.

    Raises:
        ConfigError: It refuses its keyword arguments.
    """
    if found := find_functional_class(settings):
        kind, spec = found
        return kind(**{**spec.kwargs, **settings.environment_kwargs})
    return None


def make_functional_vector(settings: Settings, count: int, purpose: Purpose) -> FunctionalVectorEnv:
    """Make N functional environments, compiled if Numba is installed.

    Raises:
        ConfigError: The environment has no functional form, or a function cannot be compiled.
    """
    environment = make_functional(settings)
    assert environment is not None, "choose_vectorization comes first"
    limit = settings.max_episode_steps
    return FunctionalVectorEnv(environment, count, make_executor(environment), max_episode_steps=limit, purpose=purpose)


def make_executor(environment: FunctionalEnvironment) -> Executor:
    """Compile the functions of an environment; without Numba, return them in Python, with a warning."""
    if importlib.util.find_spec("numba") is None:
        log.warning(
            "vectorization: compiled needs Numba, which is not installed, so the functions run in Python; "
            "pip install numba"
        )
        return PythonExecutor(environment)
    from actor_critic.environments.functional.compiled import CompiledExecutor  # imported here because it loads Numba

    return CompiledExecutor(environment)
