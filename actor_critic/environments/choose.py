"""Choice of the settings that are "auto": replay, vectoriser, and number of processes."""

import logging
from typing import Any

import gymnasium as gym

from actor_critic.config import Settings
from actor_critic.environments.functional import (
    FunctionalEnvironment,
    difference_from_original,
    find_functional_class,
    has_numba,
    make_twin,
)
from actor_critic.environments.make import EnvironmentMaker
from actor_critic.environments.registered import make_native
from actor_critic.environments.trials.difference import difference
from actor_critic.environments.trials.measure import measure_workers
from actor_critic.environments.trials.replay import try_replays
from actor_critic.environments.vector.instances import close_environment
from actor_critic.errors import ConfigError

log = logging.getLogger("actor_critic")


def choose_replay(settings: Settings) -> Settings:
    """Resolve replay "auto" by a trial, in a separate process if the environments run in separate processes.

    Raises:
        ConfigError: The environment cannot be made.
    """
    if settings.replay != "auto":
        return settings
    if settings.is_saved_whole:
        return settings.replace(replay="reset")
    if settings.vectorization == "native":
        return settings.replace(replay="none")
    log.info(
        "replay: testing for a few seconds whether %s replays its episodes; --replay skips this test",
        settings.environment,
    )
    maker, separate_processes = EnvironmentMaker(settings), settings.vectorization == "workers"
    way, against, untried = try_replays(maker, separate_processes, settings.worker_timeout)
    if untried:
        log.info("replay: %s; the choice is based on these and may differ next time; set replay to fix it", untried)
    if way == "fresh" and settings.wrappers:  # a wrapper may need state of earlier episodes, as normalizers do
        way, against = "none", f"{against}; replay fresh makes environment and wrappers anew for every episode"
    if way == "fresh":
        log.info(
            "replay: every episode runs in a new instance, because %s; replay none keeps one instance, whose state "
            "carries over to the next episode",
            against,
        )
    elif way == "none":
        log.warning("resume not exact: %s; a run that is stopped and resumed begins new episodes", against)
    return settings.replace(replay=way)


def choose_vectorization(settings: Settings) -> Settings:
    """Resolve vectorization "auto": the native vector form if it behaves as single environments do, else ours.

    This choice depends on the settings, not on the machine. The number of workers changes no result, so it may be
    measured.

    Raises:
        ConfigError: The environment cannot be made.
    """
    if settings.is_random_states:
        return settings.replace(workers=1)
    if settings.vectorization == "compiled":
        if reason := _why_not_compiled(settings):
            raise ConfigError(f'vectorization: "compiled" is not possible: {reason}; use "auto"')
        return settings.replace(workers=1)
    if settings.vectorization in ("shared", "workers") or settings.workers not in (1, "auto"):
        return _choose_workers(settings)
    if settings.vectorization != "auto":
        return settings
    if settings.max_worker_restarts:
        return _choose_workers(settings)
    if (reason := _why_not_compiled(settings)) is None:
        log.info("vectorization: compiled%s", _described(settings))
        return settings.replace(vectorization="compiled", workers=1)
    log.debug("vectorization: not compiled, because %s", reason)
    spec = gym.registry.get(settings.environment)
    needs_single = settings.wrappers or settings.frame_stack > 1 or settings.replay in ("reset", "fresh")
    if spec is None or spec.vector_entry_point is None or needs_single:
        return _choose_workers(settings)
    reason = difference(lambda: make_native(settings, 2), EnvironmentMaker(settings))
    if reason is None:
        log.info("vectorization: native, the same in a trial; a run that is stopped and resumed begins new episodes")
    else:
        log.debug("vectorization: not native, because the native vector form of %s %s", settings.environment, reason)
    return settings.replace(vectorization="native", workers=1) if reason is None else _choose_workers(settings)


def _why_not_compiled(settings: Settings) -> str | None:
    """Return why the environment cannot be compiled, or None if it can."""
    for name, none in (("wrappers", []), ("frame_stack", 1)):
        if (value := getattr(settings, name)) != none:
            return f"{name} {value} is for single environments"
    if settings.replay in ("fresh", "none"):
        return f"replay {settings.replay} is for single environments"
    if found := find_functional_class(settings):
        kind, spec = found
        for method in ("reset", "step"):
            if getattr(kind, method) is not getattr(FunctionalEnvironment, method):
                return f"{settings.environment} overrides {method}, which runs only in Python"
        if spec.additional_wrappers:
            return f"{settings.environment} is registered with wrappers, which are for single environments"
        return None
    twin = make_twin(settings.environment, settings.environment_kwargs)
    if twin is None or settings.environment not in gym.registry:
        return f"{settings.environment} with {settings.environment_kwargs} has no functional form"
    if settings.vectorization == "auto" and not has_numba():
        return "Numba is not installed; pip install numba"
    usual = settings.replace(max_episode_steps=None, observation_keys=[])
    if reason := difference_from_original(twin, EnvironmentMaker(usual)):
        log.info("vectorization: not compiled, because the installed %s differs: %s", settings.environment, reason)
        return f"the installed {settings.environment} differs from the tested one: {reason}"
    return None


def _described(settings: Settings) -> str:
    """Return what is compiled, for the log: the user's own functions, or a twin."""
    if find_functional_class(settings) is not None:
        return ""
    return (
        f", on a twin of {settings.environment} that gave the same transitions in a trial; evaluations use Gymnasium's "
        f"own; vectorization sync trains on that too"
    )


def _choose_workers(settings: Settings) -> Settings:
    """Choose the number of processes; measure it if it is "auto". Transitions do not depend on it."""
    workers = settings.workers
    # Only a worker can be replaced, not this process.
    separate_processes = settings.vectorization == "workers" or settings.max_worker_restarts > 0
    if workers == "auto":
        workers, found = measure_workers(
            EnvironmentMaker(settings),
            settings.num_envs,
            seed=settings.seed,
            separate_processes=separate_processes,
            reserved_cores=settings.cores_beside,
            timeout=settings.worker_timeout,
        )
        log.info("workers: %d, because %s made %s", workers, settings.environment, found)
    if workers == 1 and not separate_processes:
        return settings.replace(vectorization="sync", workers=1)
    return settings.replace(vectorization="workers" if separate_processes else "shared", workers=workers)


def check_same_spaces(settings: Settings, observation_space: gym.Space[Any], action_space: gym.Space[Any]) -> None:
    """Check that single environments, which evaluations use, have the spaces of the native vector form.

    Raises:
        ConfigError: A single environment cannot be made, or has other spaces.
    """
    env = EnvironmentMaker(settings)()
    single = env.observation_space, env.action_space
    close_environment(env)
    if single != (observation_space, action_space):
        raise ConfigError(
            f"vectorization: the native vector form of {settings.environment} has the spaces {observation_space} and "
            f"{action_space}, but single environments, which evaluations use, have {single[0]} and {single[1]}; use "
            f"sync, shared or workers"
        )
