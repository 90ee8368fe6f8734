"""Whether a running episode can be rebuilt from its seed and its actions: tried before a run begins."""

import contextlib
import logging
import multiprocessing
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import gymnasium as gym
import numpy as np

from actor_critic.environments.masks import KEY, random_choices
from actor_critic.environments.vectorized import Replay, SameStepVectorEnv
from actor_critic.errors import ConfigError, EnvironmentFault, ReplayFault

log = logging.getLogger("actor_critic")

_SECONDS_TO_START = 120.0  # of another process: imports take their time
_EPISODES, _STEPS = 32, 8
"""Of a trial. Numbers and not seconds, since what is found decides what is computed."""


def try_replays(make: Callable[[], gym.Env[Any, Any]], apart: bool, timeout: float) -> tuple[Replay, str]:
    """Replay episodes in instances with other pasts, and in new ones.

    A trial proves nothing: what slips through is met when a run is resumed, by what its episodes then show.

    Args:
        make: Makes one environment.
        apart: Whether to try in another process, which the environment may crash.
        timeout: Seconds that another process may take.

    Returns:
        How running episodes can be rebuilt, and what speaks against a simpler way; "" where nothing does.

    Raises:
        ConfigError: The environment cannot be made.
    """
    if not apart:
        return _try_all(make)
    context: Any = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
    answers, far_end = context.Pipe(duplex=False)
    process = context.Process(target=_tell, args=(far_end, make), daemon=True)
    process.start()
    far_end.close()
    answer: tuple[Replay, str] | ConfigError
    try:
        if answers.poll(timeout + _SECONDS_TO_START):
            answer = answers.recv()
        else:  # it will be met in training, too
            log.warning("replay: the environment hung in a trial of its replays; taken for one that replays")
            answer = ("reset", "")
    except EOFError:
        log.warning("replay: the environment crashed in a trial of its replays; taken for one that replays")
        answer = ("reset", "")
    finally:
        answers.close()
        process.kill()
        process.join()
    if isinstance(answer, ConfigError):
        raise answer
    return answer


def _tell(pipe: Connection, make: Callable[[], gym.Env[Any, Any]]) -> None:
    """The other process: it ends with its answer, also where nobody is left to hear it."""
    answer: tuple[Replay, str] | ConfigError
    try:
        answer = _try_all(make)
    except ConfigError as error:
        answer = ConfigError(str(error))
    with contextlib.suppress(OSError):
        pipe.send(answer)


def _try_all(make: Callable[[], gym.Env[Any, Any]]) -> tuple[Replay, str]:
    against = ""
    ways: tuple[Replay, ...] = ("reset", "fresh")
    for way in ways:
        try:
            _try(make, way)
        except ReplayFault as fault:
            against = str(fault)
        except EnvironmentFault:  # whatever is wrong with it is met, and told, in training
            return way, against
        else:
            return way, against
    return "none", against


def _try(make: Callable[[], gym.Env[Any, Any]], way: Replay) -> None:
    """Raises ReplayFault where a replay shows something else."""
    environments: list[SameStepVectorEnv] = []
    random = np.random.default_rng(0)

    def another() -> SameStepVectorEnv:
        environments.append(SameStepVectorEnv(make, 1, replay=way))
        return environments[-1]

    def act(environment: SameStepVectorEnv, infos: dict[str, Any], steps: int) -> None:
        for _ in range(steps):
            mask = infos[KEY][0] if KEY in infos else None
            *_, infos = environment.step_choices(random_choices(environment.actions, mask, random))

    try:
        played, used = another(), another()
        _, infos = played.reset(seed=0)
        for _ in range(_EPISODES):
            act(played, infos, _STEPS)
            _, infos = used.load_state(played.save_state())
            act(used, infos, 3)  # which the other one has not seen
            _, infos = played.begin_anew()
        act(played, infos, _STEPS)
        another().load_state(played.save_state())
    finally:
        for environment in environments:
            environment.close()
