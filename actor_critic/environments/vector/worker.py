"""A shard of the environments, and the worker process that steps it at the other end of a pipe."""

import contextlib
import multiprocessing
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from actor_critic.environments.vector.same_step import SameStepVectorEnv
from actor_critic.environments.vector.single_environments import Replay
from actor_critic.errors import ActorCriticError, EnvironmentFault, describe
from actor_critic.process import ALL_ENDING_SIGNALS
from actor_critic.spaces import ActionSpec, ObservationSpec

# Signals: take a step, or a step is done; an object follows; the worker must exit.
STEP, CALL, CLOSE = b"s", b"c", b"x"

_SECONDS_AWAKE = 1e-3
_IS_POSIX = os.name == "posix"  # a pipe is a file there, and a process can yield its core


def shared_layout(observations: ObservationSpec, actions: ActionSpec, count: int) -> np.dtype[Any]:
    """Return the layout of the shared memory as one structured dtype."""
    return np.dtype(
        [
            ("action_indices", np.int64, (count, actions.num_groups)),
            ("rewards", np.float64, (count,)),
            ("own_rewards", np.float64, (count,)),
            ("checksums", np.int64, (count,)),
            ("totals", np.float64, (count,)),
            ("replayed", np.int64, (count,)),
            ("observations", observations.dtype, (count, *observations.shape)),
            ("final_observations", observations.dtype, (count, *observations.shape)),
            ("terminated", np.bool_, (count,)),
            ("truncated", np.bool_, (count,)),
            ("lives_lost", np.bool_, (count,)),
            ("has_mask", np.bool_, (count,)),
            ("masks", np.bool_, (count, actions.num_logits)),
        ],
        align=True,
    )


def views(memory: Any, layout: np.dtype[Any]) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of the shared memory by name."""
    whole = np.frombuffer(memory, layout)
    assert layout.names is not None
    return {name: whole[name][0] for name in layout.names}


class Line:
    """Sends and receives signals of one byte through a pipe, on POSIX twice as fast as the pipe's own messages.

    A waiting process spins for 1 ms before it blocks, if a core is free: waking a blocked process is slow.
    """

    def __init__(self, pipe: Connection, stays_awake: bool) -> None:
        """Hold one end of a pipe.

        Args:
            pipe: The end of the pipe. It also carries objects: ``send`` after the signal :data:`CALL`, and ``recv``.
            stays_awake: Whether a core is free, so that a waiting process may spin.
        """
        self._pipe = pipe
        self._poll: Any = None
        if stays_awake and _IS_POSIX:
            poller = select.poll()
            poller.register(pipe.fileno(), select.POLLIN)
            self._poll = poller.poll

    def send(self, signal: bytes) -> None:
        """Send a signal.

        Raises:
            OSError: One of the ends was closed.
        """
        if _IS_POSIX:
            os.write(self._pipe.fileno(), signal)
        else:
            self._pipe.send_bytes(signal)

    def receive(self) -> bytes:
        """Wait for a signal.

        Raises:
            EOFError: The other end was closed.
            OSError: This end was closed.
        """
        if self._poll:
            until = time.perf_counter() + _SECONDS_AWAKE
            while not self._poll(0) and time.perf_counter() < until:
                os.sched_yield()  # to other processes on this core
        received = os.read(self._pipe.fileno(), 1) if _IS_POSIX else self._pipe.recv_bytes()
        if not received:
            raise EOFError
        return received


def work(
    pipe: Connection,
    make: Callable[[], gym.Env[Any, Any]],
    share: slice,
    first: int,
    memory: Any,
    layout: np.dtype[Any],
    replay: Replay,
    share_checksums: bool,
    stays_awake: bool,
) -> None:
    """Run a worker: make its environments, then serve requests until the other end of the pipe is closed."""
    leave_signals_to_the_parent()
    line = Line(pipe, stays_awake)
    try:
        try:
            mine = WorkerShard(make, share, first, views(memory, layout), replay, share_checksums)
        except BaseException as error:  # user code may raise anything
            with contextlib.suppress(OSError):
                line.send(CALL)
                pipe.send(_sendable(error, first + share.start))
        else:
            _serve(line, pipe, mine, first + share.start)
    finally:
        end_children()


def _serve(line: Line, pipe: Connection, mine: "WorkerShard", first: int) -> None:
    """Answer requests until the other end of the pipe is closed."""
    with contextlib.suppress(EOFError, OSError):
        line.send(STEP)
        while (received := line.receive()) != CLOSE:
            try:
                if received == STEP:
                    mine.step()
                    line.send(STEP)
                    continue
                what, arguments = pipe.recv()
                answer = getattr(mine, what)(*arguments)
            except (EOFError, OSError):
                raise
            except BaseException as error:  # user code may raise anything
                answer = _sendable(error, first)
            line.send(CALL)
            pipe.send(answer)
    mine.close()


def leave_signals_to_the_parent() -> None:
    """Ignore signals that reach every process of a terminal: the training process decides when to stop."""
    for number in ALL_ENDING_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def end_children() -> None:
    """End processes that environments started and left running; otherwise this process waits for them for ever."""
    for child in multiprocessing.active_children():
        child.kill()
        child.join()


@contextlib.contextmanager
def may_have_children() -> Iterator[None]:
    """Allow this process to start others while the block runs, even if it is a daemon, such as a pool worker."""
    process = multiprocessing.current_process()
    is_daemon = process.daemon
    if is_daemon:
        process.daemon = False
    try:
        yield
    finally:
        if is_daemon:
            process.daemon = True


def _sendable(error: BaseException, first: int) -> ActorCriticError:
    if isinstance(error, ActorCriticError):
        return type(error)(str(error))
    return EnvironmentFault(f"the worker of environments from {first} raised {describe(error)}")


class WorkerShard:
    """Some of the environments of a :class:`WorkerVectorEnv`: one method for each request.

    Results are written into shared memory.

    Attributes:
        numbers: The slice of all environments that belongs to this shard.
    """

    def __init__(
        self,
        make: Callable[[], gym.Env[Any, Any]],
        numbers: slice,
        first: int,
        shared: dict[str, npt.NDArray[Any]],
        replay: Replay,
        share_checksums: bool,
    ) -> None:
        """Make the environments.

        Args:
            make: Makes one environment.
            numbers: The slice of the environments of all workers that belongs to this shard.
            first: Number of the first environment of all workers.
            shared: The shared arrays of all environments, from :func:`views`.
            replay: As in :class:`SameStepVectorEnv`.
            share_checksums: Whether every step writes checksums and reward sums of the running episodes into shared
                memory.

        Raises:
            ConfigError: An environment cannot be made, or its spaces are not supported.
        """
        self.numbers = numbers
        self._share_checksums = share_checksums
        self._mine = {name: array[numbers] for name, array in shared.items()}
        self._mine["masks"][...] = True
        count = numbers.stop - numbers.start
        self._vector = SameStepVectorEnv(make, count, first=first + numbers.start, replay=replay)

    def begin(self, seed: int, options: dict[str, Any] | None) -> None:
        """Begin episode 0 of every environment; see :meth:`SameStepVectorEnv.begin`."""
        self._show(*self._vector.begin(seed, options))

    def step(self) -> None:
        """Step the environments with the shared action indices."""
        step = self._vector.step_indices(self._mine["action_indices"])
        self._show(step.observations, step.masks)
        self._mine["rewards"][...] = step.rewards
        if step.own_rewards is not None:
            self._mine["own_rewards"][...] = step.own_rewards
        self._mine["terminated"][...] = step.terminated
        self._mine["truncated"][...] = step.truncated
        self._mine["lives_lost"][...] = False if step.lives_lost is None else step.lives_lost
        if step.final_observations is not None:
            self._mine["final_observations"][...] = step.final_observations

    def change(self, changes: list[dict[str, Any]]) -> None:
        """Change the environments; see :meth:`SameStepVectorEnv.change`."""
        self._vector.change(changes)

    def save_state(self) -> dict[str, npt.NDArray[Any]]:
        """Return the running episodes; see :meth:`SameStepVectorEnv.save_state`."""
        return self._vector.save_state()

    def load_state(self, state: dict[str, npt.NDArray[Any]]) -> None:
        """Rebuild the running episodes; see :meth:`SameStepVectorEnv.load_state`."""
        self._show(*self._vector.load_state(state, self._count_replayed))

    def close(self) -> None:
        """Close every environment."""
        self._vector.close()

    def _count_replayed(self) -> None:
        """Count a replayed step as a heartbeat, since a replay may take longer than the timeout."""
        self._mine["replayed"][0] += 1

    def _show(self, observations: npt.NDArray[Any], masks: npt.NDArray[np.bool_] | None) -> None:
        # All at once after the steps: processes that write to neighbouring memory slow each other down.
        self._mine["observations"][...] = observations
        if self._share_checksums:
            for name, values in self._vector.proof().items():
                self._mine[name][...] = values
        if masks is not None:
            self._mine["has_mask"][...] = True
            self._mine["masks"][...] = masks
