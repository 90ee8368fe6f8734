"""Environments from settings: found, wrapped, limited, or one clear error."""

import copy
import difflib
import functools
import importlib.util
import logging
import traceback
import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from actor_critic.config import Settings
from actor_critic.environments.limits import EvaluationLimit, has_step_limit
from actor_critic.environments.masks import with_masks_in_info
from actor_critic.environments.measure import measure_workers
from actor_critic.environments.native import NativeVectorEnv, difference
from actor_critic.environments.own_rewards import OwnRewards
from actor_critic.environments.random_states import RandomStatesVectorEnv
from actor_critic.environments.replay import try_replays
from actor_critic.environments.stacking import FrameStack
from actor_critic.environments.vector_environment import VectorEnvironment
from actor_critic.environments.vectorized import Replay, SameStepVectorEnv, close_environment
from actor_critic.environments.workers import WorkerVectorEnv
from actor_critic.errors import ActorCriticError, ConfigError, NotMadeError, describe
from actor_critic.imports import load_class, make_findable
from actor_critic.process import Interrupted, boundary
from actor_critic.seeding import Purpose
from actor_critic.spaces import spaces_of

log = logging.getLogger("actor_critic")

# Packages that Gymnasium's own environments need, and how to get them.
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


def make_vector_environment(
    settings: Settings,
    purpose: Purpose = Purpose.EPISODES,
    num_envs: int | None = None,
    quotas: npt.NDArray[np.int64] | None = None,
) -> VectorEnvironment:
    """Make the environments of a run, or those of an evaluation.

    Args:
        settings: Which environment, and how many.
        purpose: ``EPISODES`` for training, ``SELECTION`` or ``TEST`` for evaluation.
        num_envs: How many instead of ``settings.num_envs``.
        quotas: [N], episodes that each runs before it rests; None is no limit.

    Raises:
        ConfigError: The environment cannot be made.
    """
    count = num_envs or settings.num_envs
    if settings.is_random_states:
        assert settings.input_dim is not None and settings.output_dim is not None
        return RandomStatesVectorEnv(
            count,
            input_dim=settings.input_dim,
            output_dim=settings.output_dim,
            reward_model=settings.reward_model,
            reward_model_kwargs=settings.reward_model_kwargs,
            purpose=purpose,
        )
    if purpose is not Purpose.EPISODES:
        make = EnvironmentMaker(settings, ends=True)
        # Nothing is resumed here; but an instance that a reset does not make new is not used twice.
        replay: Replay = "fresh" if settings.replay == "fresh" else "none"
        return SameStepVectorEnv(make, count, purpose=purpose, quotas=quotas, replay=replay)
    make = EnvironmentMaker(settings)
    match settings.vectorization:
        case "shared" | "workers":
            assert settings.workers != "auto", "choose_vectorization comes first"
            return WorkerVectorEnv(
                make,
                count,
                settings.workers,
                apart=settings.vectorization == "workers",
                busy=settings.cores_beside,
                replay=_replay(settings),
                timeout=settings.worker_timeout,
                max_restarts=settings.max_worker_restarts,
            )
        case "native":
            return NativeVectorEnv(_make_native(settings, count))
        case _:
            return SameStepVectorEnv(make, count, replay=_replay(settings))


def choose_replay(settings: Settings) -> Settings:
    """Decide what replay "auto" means, by a trial in a process of its own where the environments have theirs.

    Raises:
        ConfigError: The environment cannot be made.
    """
    if settings.replay != "auto":
        return settings
    if settings.is_random_states or settings.vectorization == "native":
        return settings.replace(replay="reset" if settings.is_random_states else "none")
    log.info(
        "replay: trying for some seconds at most whether %s replays its episodes; --replay skips this",
        settings.environment,
    )
    maker, apart = EnvironmentMaker(settings), settings.vectorization == "workers"
    way, against, untried = try_replays(maker, apart, settings.worker_timeout)
    if untried:
        log.info("replay: %s; what they showed counts, and replay in the settings makes sure of it", untried)
    if way == "fresh":
        log.log(
            logging.WARNING if settings.wrappers else logging.INFO,
            "replay: every episode has an instance made for it%s, because %s",
            ", wrappers with all that they remember too" if settings.wrappers else "",
            against,
        )
    elif way == "none":
        log.warning("resume not exact: %s; a run that is stopped and resumed begins new episodes", against)
    return settings.replace(replay=way)


def choose_vectorization(settings: Settings) -> Settings:
    """Decide what "auto" means: a vector form of the environment's own where it is the same, else our own vectoriser.

    That is a matter of the settings alone. How many workers step it, which changes no bit, may be measured.

    Raises:
        ConfigError: The environment cannot be made.
    """
    if settings.is_random_states:
        return settings.replace(workers=1)
    if settings.vectorization in ("shared", "workers") or settings.workers not in (1, "auto"):
        return _choose_workers(settings)
    if settings.vectorization != "auto":
        return settings
    if settings.max_worker_restarts:
        return _choose_workers(settings)
    spec = gym.registry.get(settings.environment)
    needs_single = settings.wrappers or settings.frame_stack > 1 or settings.replay in ("reset", "fresh")
    if spec is None or spec.vector_entry_point is None or needs_single:
        return _choose_workers(settings)
    reason = difference(lambda: _make_native(settings, 2), EnvironmentMaker(settings))
    if reason is None:
        log.info("vectorization: native, the same in a trial; a run that is stopped and resumed begins new episodes")
    else:
        log.debug("vectorization: not native, because the native vector form of %s %s", settings.environment, reason)
    return settings.replace(vectorization="native", workers=1) if reason is None else _choose_workers(settings)


def _choose_workers(settings: Settings) -> Settings:
    """Measure how many processes are fastest, where that was asked for; the transitions are the same with any."""
    workers = settings.workers
    apart = settings.vectorization == "workers" or settings.max_worker_restarts > 0  # this process cannot be replaced
    if workers == "auto":
        workers, found = measure_workers(
            EnvironmentMaker(settings),
            settings.num_envs,
            seed=settings.seed,
            apart=apart,
            busy=settings.cores_beside,
            timeout=settings.worker_timeout,
        )
        log.info("workers: %d, because %s made %s", workers, settings.environment, found)
    if workers == 1 and not apart:
        return settings.replace(vectorization="sync", workers=1)
    return settings.replace(vectorization="workers" if apart else "shared", workers=workers)


def check_same_spaces(settings: Settings, observation_space: gym.Space[Any], action_space: gym.Space[Any]) -> None:
    """Make sure that what evaluations make one by one is what a native vector form showed.

    Raises:
        ConfigError: It cannot be made, or has other spaces.
    """
    env = EnvironmentMaker(settings)()
    single = env.observation_space, env.action_space
    close_environment(env)
    if single != (observation_space, action_space):
        raise ConfigError(
            f"vectorization: the native vector form of {settings.environment} has the spaces {observation_space} and "
            f"{action_space}, and a single one, as evaluations use, {single[0]} and {single[1]}; use sync, shared or "
            f"workers"
        )


def _replay(settings: Settings) -> Replay:
    assert settings.replay != "auto", "choose_replay comes first"
    return settings.replay


class EnvironmentMaker:
    """Makes single, wrapped environments; can be sent to another process."""

    def __init__(self, settings: Settings, ends: bool = False) -> None:
        """Import the wrappers.

        Args:
            settings: Which environment.
            ends: Whether to make sure that every episode ends: a policy that goes round in circles must not be
                evaluated for ever.

        Raises:
            ConfigError: A wrapper cannot be imported.
        """
        self._settings = settings
        self._ends = ends
        # Where it is sent to another process, whether its environment was registered in the one that it came from.
        self._is_registered = settings.environment in gym.registry
        self._wrappers = [load_class(name, "wrappers") for name in settings.wrappers]
        if settings.code_to_trust:
            make_findable()

    def __call__(self) -> gym.Env[Any, Any]:
        """Make one environment.

        Raises:
            ConfigError: It cannot be made.
        """
        with warnings.catch_warnings():  # filters of whoever registers it are for no environment
            _import_registrar(self._settings.environment)
        with boundary.inside():
            return self._make()

    def _make(self) -> gym.Env[Any, Any]:
        settings = self._settings
        if self._is_registered and settings.environment not in gym.registry:
            _import_registrar(settings.environment)
            if settings.environment not in gym.registry:
                raise ConfigError(
                    f"environment: {settings.environment!r} is registered in this program and not in its worker "
                    f"processes; put it into a module and name that too, as in my_module:{settings.environment}, or "
                    f"step it in this process (workers 1, vectorization sync)"
                )
        bare = _make_one(settings)
        try:
            return self._wrap(bare)
        except (ActorCriticError, Interrupted):
            close_environment(bare)
            raise
        except BaseException as error:  # whatever somebody's property raises
            close_environment(bare)
            raise NotMadeError(f"environment: {settings.environment!r} cannot be made: {describe(error)}") from error

    def _wrap(self, bare: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
        settings = self._settings
        spaces_of(settings.environment, bare)
        env = self._with_masks(bare, None)
        if self._wrappers:
            env = OwnRewards(env)
        for wrapper, name in zip(self._wrappers, settings.wrappers, strict=True):
            try:
                env = wrapper(env)
            except Interrupted:
                raise
            except BaseException as error:  # whatever somebody's wrapper raises
                found = describe(error)
                raise ConfigError(f"wrappers: {name} fails on {settings.environment}: {found}") from error
            if not isinstance(env, gym.Env):
                raise ConfigError(
                    f"wrappers: {name} gives a {type(env).__name__}; expected a gymnasium.Env, such as a Wrapper"
                )
        if self._wrappers:  # which may give masks, and spaces, of their own
            spaces_of(settings.environment, env)
            env = self._with_masks(env, bare)
        if settings.frame_stack > 1:
            env = FrameStack(env, settings.frame_stack)
        if self._ends and not has_step_limit(env):
            env = EvaluationLimit(env, settings.evaluation_max_steps)
        return env

    def _with_masks(self, env: gym.Env[Any, Any], bare: gym.Env[Any, Any] | None) -> gym.Env[Any, Any]:
        try:
            return with_masks_in_info(env, bare)
        except ConfigError as error:
            raise ConfigError(f"environment: {self._settings.environment}: {error}") from None


def _make_native(settings: Settings, count: int) -> gym.vector.VectorEnv[Any, Any, Any]:
    """The environment's own vector form."""
    name = settings.environment
    _check_registered(name)
    if settings.code_to_trust:
        make_findable()
    kwargs = copy.deepcopy(settings.environment_kwargs)
    if settings.max_episode_steps is not None:
        kwargs = {"max_episode_steps": settings.max_episode_steps, **kwargs}
    try:
        return gym.make_vec(name, count, vectorization_mode="vector_entry_point", **kwargs)
    except Interrupted:
        raise
    except BaseException as error:  # whatever somebody's environment does while it is made
        raise ConfigError(
            f"vectorization: the native vector form of {name!r} cannot be made: {describe(error)}; "
            f'use "sync", "shared" or "workers"'
        ) from error


def _check_registered(name: str) -> None:
    _import_registrar(name)
    if ":" not in name and name not in gym.registry:
        # Gymnasium would take the newest version of an id without one: the same settings would mean another problem.
        raise ConfigError(f"environment: {name!r} is not registered{_nearest_environments(name)}")


def _make_one(settings: Settings) -> gym.Env[Any, Any]:
    name = settings.environment
    _check_registered(name)
    kwargs = copy.deepcopy(settings.environment_kwargs)  # what one environment does to a list of its own is its own
    try:
        env: gym.Env[Any, Any] = gym.make(
            name, max_episode_steps=settings.max_episode_steps, disable_env_checker=True, **kwargs
        )
    except (gym.error.UnregisteredEnv, gym.error.DeprecatedEnv) as error:
        raise ConfigError(f"environment: {name!r} is not registered{_nearest_environments(name)}") from error
    except (gym.error.DependencyNotInstalled, ModuleNotFoundError) as error:
        raise ConfigError(
            f"environment: {name!r} needs a package that is not installed: {_mend(name, error)}"
        ) from error
    except (ActorCriticError, Interrupted):
        raise
    except BaseException as error:  # whatever somebody's environment does while it is made
        # Gymnasium raises a TypeError of a constructor anew, with more words.
        cause = error.__cause__ if isinstance(error, TypeError) and error.__cause__ else error
        is_refused = isinstance(cause, TypeError) and not _was_entered(cause)
        if is_refused and kwargs:
            raise ConfigError(f"environment_kwargs: {name!r} refuses {settings.environment_kwargs}: {cause}") from error
        mend = (
            "; give it in environment_kwargs"
            if is_refused and "missing" in describe(cause)
            else _several_agents(name, cause)
        )
        raise NotMadeError(f"environment: {name!r} cannot be made: {describe(cause)}{mend}") from error
    return env


def _was_entered(error: BaseException) -> bool:
    """Whether an exception was raised by an environment's own code, and not by calling it with arguments."""
    last = list(traceback.walk_tb(error.__traceback__))[-1][0]
    return not str(last.f_globals.get("__name__", "")).startswith("gymnasium.envs.registration")


def _several_agents(name: str, error: BaseException) -> str:
    """What to do with an environment of several agents, which is no Gymnasium environment."""
    spec = gym.registry.get(name.rpartition(":")[2])
    made = spec.entry_point if spec else None
    marks = ("agent_iter", "possible_agents", "observation_spaces")
    if "pettingzoo" in describe(error) or any(hasattr(made, mark) for mark in marks):
        return (
            "; it is one of several agents, as PettingZoo's are: wrap it as a gymnasium.Env in which one agent acts "
            "and the others' policies are part of the environment"
        )
    return ""


@functools.cache  # it is asked for every instance, and there may be one an episode
def _import_registrar(name: str) -> None:
    """Import the well-known package that registers an environment, so that its plain id works."""
    for prefix, (module, package) in _REGISTRARS.items():
        if name.startswith(prefix):
            if importlib.util.find_spec(module.partition(".")[0]) is None:
                raise ConfigError(
                    f"environment: {name!r} comes with a package that is not installed: pip install {package}"
                )
            try:
                registered = importlib.import_module(module)
            except Exception as error:  # whatever somebody's package does while it is imported
                raise ConfigError(f"environment: {name!r}: {package} cannot be imported: {error}") from error
            is_there = any(known.startswith(prefix) for known in gym.registry)
            if not is_there and hasattr(registered, "register_envs"):
                registered.register_envs()


def _nearest_environments(name: str) -> str:
    known = [*gym.registry, "random-states"]
    base = name.rpartition("-v")[0] or name
    same = [other for other in known if base and other.rpartition("-v")[0] == base]
    near = same or difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if near:
        return f"; did you mean {' or '.join(near)}?"
    return '; an environment of another package is named "module:Id", with the module that registers it'


def _mend(name: str, error: Exception) -> str:
    """How to install what is missing."""
    spec = gym.registry.get(name)
    entry = str(spec.entry_point) if spec else ""
    for package, command in _PACKAGES.items():
        if package in entry:
            return command
    return str(error)
