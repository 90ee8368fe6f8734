"""Construction of registered environments by name, with one clear error if it fails."""

import copy
import difflib
import functools
import importlib.util
import sys
import traceback
from typing import Any

import gymnasium as gym
from gymnasium.vector.utils import batch_space

from actor_critic.config import Settings
from actor_critic.environments.functional import find_functional_class
from actor_critic.environments.named import check_is_new, find_spec, several_agents
from actor_critic.environments.vector.instances import close_environment
from actor_critic.errors import ActorCriticError, ConfigError, NotMadeError, describe
from actor_critic.imports import make_findable
from actor_critic.process import Interrupted
from actor_critic.spaces import leave_out

# Packages that Gymnasium's own environments need, and how to install them.
_PACKAGES = {
    "box2d": 'pip install "gymnasium[box2d]"',
    "mujoco": 'pip install "gymnasium[mujoco]"',
    "toy_text": 'pip install "gymnasium[toy-text]"',
    "classic_control": 'pip install "gymnasium[classic-control]"',
    "ale_py": "pip install ale-py",
}

# Environments that other packages register: the beginning of their ids, the module to import, the package to install.
_REGISTRARS = {
    "ALE/": ("ale_py", "ale-py"),
    "MiniGrid-": ("minigrid", "minigrid"),
    "BabyAI-": ("minigrid", "minigrid"),
    "MinAtar/": ("minatar.gym", "minatar"),
}


def make_native(settings: Settings, count: int) -> gym.vector.VectorEnv[Any, Any, Any]:
    """Make the environment's own vector form.

    Raises:
        ConfigError: It cannot be made.
    """
    name = settings.environment
    _check_registered(name)
    if settings.code_to_trust:
        make_findable()
    kwargs = copy.deepcopy(settings.environment_kwargs)
    if settings.max_episode_steps is not None:
        kwargs = {"max_episode_steps": settings.max_episode_steps, **kwargs}
    try:
        made: gym.vector.VectorEnv[Any, Any, Any]
        made = gym.make_vec(name, count, vectorization_mode="vector_entry_point", **kwargs)
        space = made.single_observation_space
    except Interrupted:
        raise
    except BaseException as error:  # user code may raise anything
        raise ConfigError(
            f"vectorization: the native vector form of {name!r} cannot be made: {describe(error)}; "
            f'use "sync", "shared" or "workers"'
        ) from error
    try:
        seen = leave_out(name, space, settings.observation_keys)
    except ConfigError:
        close_environment(made)
        raise
    if seen is space:
        return made
    declared = gym.vector.VectorWrapper(made)
    declared.single_observation_space, declared.observation_space = seen, batch_space(seen, count)
    return declared


def _check_registered(name: str) -> None:
    import_registrar(name)
    if ":" not in name and name not in gym.registry:
        # For an id without a version, Gymnasium takes the newest one, so the same settings could mean another problem.
        raise ConfigError(f"environment: {name!r} is not registered{_nearest_environments(name)}")


def make_single(settings: Settings) -> gym.Env[Any, Any]:
    """Make one instance, without wrappers.

    Raises:
        ConfigError: It cannot be made.
    """
    name, limit = settings.environment, settings.max_episode_steps
    _check_registered(name)
    kwargs = copy.deepcopy(settings.environment_kwargs)  # an environment may change its arguments
    try:
        functional, spec = find_functional_class(settings), find_spec(settings)
        made: Any = functional[1] if functional else spec or name
        env: gym.Env[Any, Any] = gym.make(made, max_episode_steps=limit, disable_env_checker=True, **kwargs)
        if spec and not isinstance(spec.entry_point, type):
            check_is_new(name, env)
        if functional and limit is not None:
            env.unwrapped.max_episode_steps = limit  # type: ignore[attr-defined]
    except (gym.error.UnregisteredEnv, gym.error.DeprecatedEnv) as error:
        raise ConfigError(f"environment: {name!r} is not registered{_nearest_environments(name)}") from error
    except (gym.error.DependencyNotInstalled, ModuleNotFoundError) as error:
        raise ConfigError(
            f"environment: {name!r} needs a package that is not installed: {_mend(name, error)}"
        ) from error
    except (ActorCriticError, Interrupted):
        raise
    except BaseException as error:  # user code may raise anything
        # Gymnasium raises the TypeError of a constructor again, with a longer message.
        cause = error.__cause__ if isinstance(error, TypeError) and error.__cause__ else error
        is_refused = isinstance(cause, TypeError) and not _was_entered(cause)
        if is_refused and kwargs:
            raise ConfigError(f"environment_kwargs: {name!r} refuses {settings.environment_kwargs}: {cause}") from error
        mend = (
            "; give it in environment_kwargs"
            if is_refused and "missing" in describe(cause)
            else several_agents(_entry_point(name), cause)
        )
        raise NotMadeError(f"environment: {name!r} cannot be made: {describe(cause)}{mend}") from error
    return env


def _was_entered(error: BaseException) -> bool:
    """Return whether an exception came from an environment's own code, and not from calling it with wrong arguments."""
    last = list(traceback.walk_tb(error.__traceback__))[-1][0]
    return not str(last.f_globals.get("__name__", "")).startswith("gymnasium.envs.registration")


def _entry_point(name: str) -> Any:
    spec = gym.registry.get(name.rpartition(":")[2])
    return spec.entry_point if spec else None


@functools.cache  # called for every instance, and there may be one per episode
def import_registrar(name: str) -> None:
    """Import the well-known package that registers an environment, whether its id names the module or not."""
    named, _, plain = name.rpartition(":")
    for prefix, (module, package) in _REGISTRARS.items():
        if plain.startswith(prefix) and named in ("", module):
            if importlib.util.find_spec(module.partition(".")[0]) is None:
                raise ConfigError(
                    f"environment: {name!r} comes with a package that is not installed: pip install {package}"
                )
            try:
                registered = importlib.import_module(module)
            except Exception as error:  # user code may raise anything
                raise ConfigError(f"environment: {name!r}: {package} cannot be imported: {error}") from error
            is_there = any(known.startswith(prefix) for known in gym.registry)
            if not is_there and hasattr(registered, "register_envs"):
                registered.register_envs()


def _nearest_environments(name: str) -> str:
    module, colon, wanted = name.partition(":")
    if colon and module in sys.modules:
        own = [key for key, value in vars(sys.modules[module]).items() if _is_own_environment(value)]
        if own:
            return f"; {module} has the class {' and '.join(difflib.get_close_matches(wanted, own, 1, 0.0) or own)}"
    known = [*gym.registry, "random-states"]
    base = name.rpartition("-v")[0] or name
    same = [other for other in known if base and other.rpartition("-v")[0] == base]
    near = same or difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if near:
        return f"; did you mean {' or '.join(near)}?"
    return '; an environment of another package is named "module:Id", with the module that registers it'


def _is_own_environment(found: Any) -> bool:
    """Return whether something is an environment class that is neither this package's nor Gymnasium's."""
    is_environment = isinstance(found, type) and issubclass(found, gym.Env)
    return is_environment and not found.__module__.startswith(("gymnasium.", "actor_critic."))


def _mend(name: str, error: Exception) -> str:
    """Return the command that installs the missing package."""
    entry = str(_entry_point(name))
    for package, command in _PACKAGES.items():
        if package in entry:
            return command
    return str(error)
