"""Construction of environments from settings: single environments with wrappers, and vector environments."""

import copy
import dataclasses
import logging
import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.envs.registration import EnvSpec

from actor_critic.config import Settings, wrapper_and_kwargs
from actor_critic.environments.functional import make_functional_vector
from actor_critic.environments.functional.random_states_vector import RandomStatesVectorEnv
from actor_critic.environments.masks.giving import with_masks_in_info
from actor_critic.environments.registered import import_registrar, make_native, make_single
from actor_critic.environments.vector.contract import VectorEnvironment
from actor_critic.environments.vector.instances import close_environment
from actor_critic.environments.vector.native import NativeVectorEnv
from actor_critic.environments.vector.same_step import SameStepVectorEnv
from actor_critic.environments.vector.single_environments import Replay
from actor_critic.environments.vector.workers import WorkerVectorEnv
from actor_critic.environments.wrappers.limits import EvaluationLimit, has_step_limit
from actor_critic.environments.wrappers.own_rewards import OwnRewards
from actor_critic.environments.wrappers.parts import SeenParts
from actor_critic.environments.wrappers.stacking import FrameStack
from actor_critic.errors import ActorCriticError, ConfigError, NotMadeError, OneAtATimeError, describe
from actor_critic.imports import Objects, make_findable
from actor_critic.process import Interrupted, boundary
from actor_critic.seeding import Purpose
from actor_critic.spaces import leave_out, spaces_of

log = logging.getLogger("actor_critic")

_SIDE_BY_SIDE = 10  # environments that an evaluation steps together; each holds a simulator in memory


def make_vector_environment(
    settings: Settings,
    purpose: Purpose = Purpose.EPISODES,
    num_envs: int | None = None,
    quotas: npt.NDArray[np.int64] | None = None,
    first: int = 0,
) -> VectorEnvironment:
    """Make the environments of a run or of an evaluation.

    Args:
        settings: Which environment, and how many.
        purpose: ``EPISODES`` for training, ``SELECTION`` or ``TEST`` for evaluation.
        num_envs: Number of environments; None uses ``settings.num_envs``.
        quotas: [N], episodes that each environment runs before it rests; None for no limit.
        first: Number of the first environment, if these are a part of more.

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
            objects=settings.objects,
            purpose=purpose,
            first=first,
        )
    if purpose is not Purpose.EPISODES:
        make = EnvironmentMaker(settings, ends=True)
        # Evaluations are never resumed. But if a reset keeps old state, every episode needs a new instance.
        replay: Replay = "fresh" if settings.replay == "fresh" else "none"
        return SameStepVectorEnv(make, count, purpose=purpose, quotas=quotas, replay=replay)
    make = EnvironmentMaker(settings)
    match settings.vectorization:
        case "compiled":
            return make_functional_vector(settings, count, purpose, first)
        case "shared" | "workers":
            assert settings.workers != "auto", "choose_vectorization comes first"
            return WorkerVectorEnv(
                make,
                count,
                settings.workers,
                first=first,
                separate_processes=settings.vectorization == "workers",
                reserved_cores=settings.cores_beside,
                replay=_replay(settings),
                timeout=settings.worker_timeout,
                max_restarts=settings.max_worker_restarts,
            )
        case "native":
            return NativeVectorEnv(make_native(settings, count), first)
        case _:
            return SameStepVectorEnv(make, count, first=first, replay=_replay(settings))


def _replay(settings: Settings) -> Replay:
    assert settings.replay != "auto", "choose_replay comes first"
    return settings.replay


def make_evaluation_environment(
    settings: Settings, purpose: Purpose, episodes: int, most: int | None = None
) -> tuple[VectorEnvironment, npt.NDArray[np.int64]]:
    """Make environments for an evaluation: several side by side, or one if only one instance can exist.

    Args:
        settings: Which environment.
        purpose: ``SELECTION`` or ``TEST``.
        episodes: Total number of episodes.
        most: Maximum number of environments; None for the default.

    Returns:
        The environments, and the number of episodes [N] for each.

    Raises:
        ConfigError: The environment cannot be made.
    """
    usual = episodes if settings.is_random_states else min(episodes, _SIDE_BY_SIDE)
    side_by_side = usual if most is None else most
    quotas = np.array([len(part) for part in np.array_split(np.arange(episodes), side_by_side)])
    try:
        return make_vector_environment(settings, purpose, side_by_side, quotas), quotas
    except OneAtATimeError as error:
        log.info("evaluation: one environment at a time, since %s", error)
        quotas = np.array([episodes])
        return make_vector_environment(settings, purpose, 1, quotas), quotas


class EnvironmentMaker:
    """Makes single, wrapped environments; can be sent to another process."""

    def __init__(self, settings: Settings, ends: bool = False) -> None:
        """Import the wrappers.

        Args:
            settings: Which environment.
            ends: Whether to limit the steps of an episode, so that the evaluation of every policy ends.

        Raises:
            ConfigError: A wrapper cannot be imported.
        """
        # A maker may be sent to another process: without the other objects, and with what this program registered.
        needed = settings.objects.only([settings.environment, *settings.wrapper_names])
        self._settings = settings.replace(objects=needed)
        self._ends = ends
        self._registered = _portable(gym.registry.get(settings.environment))
        self._wrappers = [
            (name, settings.objects.load(name, "wrappers"), kwargs)
            for name, kwargs in map(wrapper_and_kwargs, settings.wrappers)
        ]
        if settings.code_to_trust:
            make_findable()

    def __call__(self) -> gym.Env[Any, Any]:
        """Make one environment.

        Raises:
            ConfigError: It cannot be made.
        """
        with warnings.catch_warnings():  # warning filters of the registering package do not apply to environments
            import_registrar(self._settings.environment)
        with boundary.inside():
            return self._make()

    def _make(self) -> gym.Env[Any, Any]:
        settings = self._settings
        if self._registered and settings.environment not in gym.registry:
            gym.registry[settings.environment] = self._registered
        bare = make_single(settings)
        try:
            return self._wrap(bare)
        except (ActorCriticError, Interrupted):
            close_environment(bare)
            raise
        except BaseException as error:  # user code may raise anything
            close_environment(bare)
            raise NotMadeError(f"environment: {settings.environment!r} cannot be made: {describe(error)}") from error

    def _wrap(self, bare: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
        settings = self._settings
        spaces_of(settings.environment, bare)
        env = self._with_masks(bare, None)
        if self._wrappers:
            env = OwnRewards(env)
        for name, wrapper, kwargs in self._wrappers:
            try:
                env = wrapper(env, **copy.deepcopy(kwargs))
            except Interrupted:
                raise
            except BaseException as error:  # user code may raise anything
                given = f" with {kwargs}" if kwargs else ""
                found = describe(error)
                raise ConfigError(f"wrappers: {name}{given} fails on {settings.environment}: {found}") from error
            if not isinstance(env, gym.Env):
                raise ConfigError(
                    f"wrappers: {name} gives a {type(env).__name__}; expected a gymnasium.Env, such as a Wrapper"
                )
        if self._wrappers:  # wrappers may change masks and spaces
            spaces_of(settings.environment, env)
            env = self._with_masks(env, bare)
        wrapped = f" with {', '.join(settings.wrapper_names)}" if settings.wrappers else ""
        seen = leave_out(f"{settings.environment}{wrapped}", env.observation_space, settings.observation_keys)
        if seen is not env.observation_space:
            env = SeenParts(env, seen)
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


def _portable(spec: EnvSpec | None) -> EnvSpec | None:
    """Return a registration that another process can use, in which ``__main__`` is another module."""
    if spec is not None and str(spec.entry_point).startswith("__main__:"):
        return dataclasses.replace(spec, entry_point=Objects().find(str(spec.entry_point)))
    return spec
