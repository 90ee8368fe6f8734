"""Trial before a run: can a running episode be rebuilt from its seed and its actions?"""

import contextlib
import logging
import multiprocessing
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from actor_critic.environments.masks.reading import random_action_indices
from actor_critic.environments.vector.same_step import SameStepVectorEnv
from actor_critic.environments.vector.single_environments import Replay
from actor_critic.environments.vector.worker import end_children, leave_signals_to_the_parent, may_have_children
from actor_critic.errors import ConfigError, EnvironmentFault, ReplayFault
from actor_critic.process import Sent, boundary

log = logging.getLogger("actor_critic")

_Step = tuple[npt.NDArray[np.int64], float]
"""Action indices, and the reward for them."""

_SECONDS_TO_START = 120.0  # for the imports of another process
_SECONDS_TO_LEAVE = 5.0
_EPISODES, _FEWEST_STEPS, _STEPS, _STEPS_AFTER = 32, 4, 8, 3
"""A trial plays 32 episodes of 4 to 11 steps, and compares 3 more steps after each replay. An environment with fast
resets is tried in full on any machine."""
_SECONDS = 10.0
"""Time limit of a trial, for slow simulators; a trial that is cut short uses the results so far. The result affects
what is computed and may then depend on the machine, so the log advises to set ``replay``."""


def try_replays(
    make: Callable[[], gym.Env[Any, Any]], separate_processes: bool, timeout: float
) -> tuple[Replay, str, str]:
    """Replay episodes in used instances and in new ones; only one instance exists at a time.

    A trial is no proof. If it misses a difference, the checksums detect it when a run is resumed.

    Args:
        make: Makes one environment.
        separate_processes: Whether the trial runs in another process, so that this process survives a crash.
        timeout: Seconds that the other process may take.

    Returns:
        How running episodes can be rebuilt; why a simpler way fails, or ""; and what was not tried for lack of time,
        or "".

    Raises:
        ConfigError: The environment cannot be made.
    """
    if not separate_processes:
        return _try_all(make)
    context: Any = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
    answers, far_end = context.Pipe(duplex=False)
    process = context.Process(target=_send_result, args=(far_end, Sent(make)))
    with may_have_children():
        process.start()
    far_end.close()
    answer: tuple[Replay, str, str] | ConfigError
    try:
        if answers.poll(timeout + _SECONDS_TO_START):
            answer = answers.recv()
            process.join(_SECONDS_TO_LEAVE)
        else:  # training hangs, too, and reports it
            log.warning('replay: the environment hung in the replay trial; replay "reset" is assumed')
            answer = ("reset", "", "")
    except EOFError:
        log.warning('replay: the environment crashed in the replay trial; replay "reset" is assumed')
        answer = ("reset", "", "")
    finally:
        answers.close()
        process.kill()
        process.join()
    if isinstance(answer, ConfigError):
        raise answer
    return answer


def _send_result(pipe: Connection, make: Callable[[], gym.Env[Any, Any]]) -> None:
    """Run the trial in another process and send its result; end even if nobody receives it."""
    leave_signals_to_the_parent()
    answer: tuple[Replay, str, str] | ConfigError
    try:
        answer = _try_all(make)
    except ConfigError as error:
        answer = ConfigError(str(error))
    finally:
        end_children()
    with contextlib.suppress(OSError):
        pipe.send(answer)


def _try_all(make: Callable[[], gym.Env[Any, Any]]) -> tuple[Replay, str, str]:
    against = untried = ""
    ways: tuple[Replay, ...] = ("reset", "fresh")
    for way in ways:
        try:
            with boundary.watched():
                untried = _try(make, way)
        except ReplayFault as fault:
            against = str(fault)
        except EnvironmentFault:  # training raises and reports it, too
            return way, against, untried
        else:
            return way, against, untried
    return "none", against, untried


def _try(make: Callable[[], gym.Env[Any, Any]], way: Replay) -> str:
    """Play episodes in one instance, replay all of them in a second instance, and the last one in a third, new one.

    Returns:
        What was not tried for lack of time, or "".

    Raises:
        ReplayFault: A replay differs from the original.
        EnvironmentFault: The environment failed.
        ConfigError: The environment cannot be made.
    """
    random = np.random.default_rng(0)

    def act(environment: SameStepVectorEnv, steps: int) -> list[_Step]:
        taken = []
        for _ in range(steps):
            masks = environment.observed().masks
            action_indices = random_action_indices(environment.actions, None if masks is None else masks[0], random)
            taken.append((action_indices, float(environment.step_indices(action_indices).rewards[0])))
        return taken

    with contextlib.closing(SameStepVectorEnv(make, 1, replay=way)) as played:
        played.begin(0)
        started = time.monotonic()  # after the slow imports of the first instance
        tries = []
        for number in range(_EPISODES):
            act(played, _FEWEST_STEPS + number % _STEPS)  # varied, since short episodes might always end at one length
            state = played.save_state()
            tries.append((state, act(played, _STEPS_AFTER), played.proof()))
            if time.monotonic() - started > _SECONDS / 3:
                break
            played.begin_anew()
    tried = 0
    with contextlib.closing(SameStepVectorEnv(make, 1, replay=way)) as used:
        for state, steps, proof in tries:
            used.load_state(state)
            _go_on(used, steps, proof)
            act(used, 3)  # steps that the first instance did not take
            tried += 1
            if time.monotonic() - started > _SECONDS:
                break
    with contextlib.closing(SameStepVectorEnv(make, 1, replay=way)) as new:
        state, steps, proof = tries[-1]
        new.load_state(state)
        _go_on(new, steps, proof)
    if tried == _EPISODES:
        return ""
    return f"{tried} of {_EPISODES} episodes were tried in {time.monotonic() - started:.0f} s"


def _go_on(environment: SameStepVectorEnv, steps: list[_Step], proof: dict[str, Any]) -> None:
    """Repeat recorded steps from the same state; they may lead into the next episode.

    Raises:
        ReplayFault: Observations or rewards differ from the recorded ones.
    """
    rewards = [float(environment.step_indices(action_indices).rewards[0]) for action_indices, _ in steps]
    is_same = np.array_equal(rewards, [reward for _, reward in steps], equal_nan=True)
    if not is_same or any((array != proof[name]).any() for name, array in environment.proof().items()):
        raise ReplayFault(f"{environment.name}: shows other observations or rewards after a replay than it did before")
