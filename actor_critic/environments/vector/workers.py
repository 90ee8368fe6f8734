"""Environments in several processes. An environment depends only on its seed and actions, not on its process."""

import contextlib
import ctypes
import logging
import multiprocessing
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.util import Finalize
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from actor_critic.environments.vector.contract import GymnasiumInterface, Observed, State, Step
from actor_critic.environments.vector.instances import close_environment, environment_name
from actor_critic.environments.vector.parts import part_of, whole_of
from actor_critic.environments.vector.running_episodes import RunningEpisodes
from actor_critic.environments.vector.single_environments import Replay
from actor_critic.environments.vector.watch import Watch
from actor_critic.environments.vector.worker import (
    CALL,
    CLOSE,
    STEP,
    Line,
    WorkerShard,
    may_have_children,
    shared_layout,
    views,
    work,
)
from actor_critic.environments.wrappers.lives import lives_of
from actor_critic.environments.wrappers.own_rewards import own_rewards_of
from actor_critic.errors import ActorCriticError, ConfigError, EnvironmentFault, describe
from actor_critic.process import Interrupted, Sent, cores
from actor_critic.spaces import read_spaces

log = logging.getLogger("actor_critic")

_Request = tuple[str, Callable[[slice], tuple[Any, ...]]]
"""A method of a :class:`WorkerShard`, and its arguments for the environments of a slice."""

_SECONDS_TO_LEAVE = 5.0
_SECONDS_TO_START = 120.0  # added to the timeout, for imports


class WorkerVectorEnv(
    GymnasiumInterface, gym.vector.VectorEnv[npt.NDArray[Any], npt.NDArray[np.int64], npt.NDArray[Any]]
):
    """N environments spread over W processes, each a :class:`SameStepVectorEnv` over its share of them.

    This process is one of them, unless all environments run in separate processes, which protect it from crashes.

    Actions and transitions pass through shared memory; the pipes carry only signals. Seeds depend on the number of the
    environment, not of the worker. So transitions and saved states are the same as in one process.
    """

    def __init__(
        self,
        make: Callable[[], gym.Env[Any, Any]],
        num_envs: int,
        workers: int,
        *,
        first: int = 0,
        separate_processes: bool = True,
        reserved_cores: int = 0,
        replay: Replay = "reset",
        timeout: float | None = None,
        max_restarts: int = 0,
    ) -> None:
        """Start the workers and make the environments in them.

        Args:
            make: Makes one environment; it is sent to the workers.
            num_envs: N.
            workers: W, at most N.
            first: Number of the first environment, if these are a part of more.
            separate_processes: Whether no environment runs in this process.
            reserved_cores: Cores that other work needs while environments are stepped. If enough cores are left, a
                waiting process spins before it blocks.
            replay: How a running episode can be rebuilt; see :class:`SameStepVectorEnv`.
            timeout: Seconds after which a worker that does not reply is killed, unless it replays steps; None waits
                for ever.
            max_restarts: Total number of dead workers that may be replaced; their episodes are replayed. Needs
                separate processes.

        Raises:
            ConfigError: An environment cannot be made, or its spaces are not supported.
            EnvironmentFault: A worker does not start.
        """
        assert separate_processes or not max_restarts, "this process cannot be replaced"
        parts = np.array_split(np.arange(num_envs), workers)
        shares = [slice(int(part[0]), int(part[-1]) + 1) for part in parts]
        self._shares = shares if separate_processes else shares[1:]  # of the workers
        self._stays_awake = workers + separate_processes + reserved_cores <= cores.available()
        self._processes: list[BaseProcess] = []
        self._pipes: list[Any] = []  # of Connections
        self._lines: list[Line] = []  # through them
        self._own: WorkerShard | None = None  # of this process
        self._is_waiting = False
        self._has_begun = False
        self._changes: list[dict[str, Any]] = []
        self._make, self._replay, self._first = make, replay, first
        self._restarts_left = max_restarts
        self._request: _Request | None = None  # the request in progress; None is a step
        self.num_envs = num_envs
        self._set_up()
        self._share_memory()
        self._life = [self._shared["replayed"][share] for share in self._shares]
        self._episodes = RunningEpisodes(num_envs, self.actions) if max_restarts and replay != "none" else None
        self._watch = Watch(timeout) if timeout is not None else None
        try:
            self._start_all(None if separate_processes else shares[0])
        except BaseException:
            self.close()
            raise
        self._has_begun = True

    def _share_memory(self) -> None:
        # Not forked: the copy of a process with threads (of PyTorch or a writer) may hang in a lock.
        self._context: Any = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
        self._memory = self._context.RawArray(ctypes.c_byte, self._layout.itemsize)
        self._shared = shared = views(self._memory, self._layout)
        self._step = Step(
            shared["observations"],
            shared["rewards"],
            shared["terminated"],
            shared["truncated"],
            own_rewards=shared["own_rewards"] if self._has_own_rewards else None,
        )

    def _start_all(self, shard: slice | None) -> None:
        """Start every worker; then make the environments of this process, if any, while the workers make theirs."""
        for index in range(len(self._shares)):
            process, pipe = self._start(index)
            self._processes.append(process)
            self._pipes.append(pipe)
            self._lines.append(Line(pipe, self._stays_awake))
        # Runs before the interpreter waits for workers at exit: a worker exits when its pipe is closed. Workers are no
        # daemons, since daemons may not start processes, and environments may.
        self._at_exit = Finalize(self, _end_all, args=(self._pipes, self._processes), exitpriority=10)
        if shard is not None:  # while the workers make theirs
            self._own = WorkerShard(self._make, shard, self._first, self._shared, self._replay, share_checksums=False)
        self._gather()

    def _start(self, index: int) -> tuple[BaseProcess, Connection]:
        share = self._shares[index]
        pipe, far_end = self._context.Pipe()
        process = self._context.Process(
            target=work,
            args=(
                far_end,
                Sent(self._make),
                share,
                self._first,
                self._memory,
                self._layout,
                self._replay,
                self._episodes is not None,
                self._stays_awake,
            ),
            name=f"environments {self._first + share.start}",
        )
        with may_have_children():
            process.start()
        far_end.close()
        return process, pipe

    def _set_up(self) -> None:
        first = self._make()
        try:
            self._read(first)
        except (ActorCriticError, Interrupted):
            raise
        except BaseException as error:  # user code may raise anything
            name = type(first.unwrapped).__name__
            raise ConfigError(f"environment: {name} cannot be used: {describe(error)}") from error
        finally:
            close_environment(first)

    def _read(self, first: gym.Env[Any, Any]) -> None:
        self.spec = first.spec
        self._has_own_rewards = own_rewards_of(first) is not None
        self._has_lives = lives_of(first) is not None
        self.render_mode = None
        self.metadata = {**first.metadata, "autoreset_mode": AutoresetMode.SAME_STEP}
        self.single_observation_space = first.observation_space
        self.single_action_space = first.action_space
        self.observation_space = batch_space(first.observation_space, self.num_envs)
        self.action_space = batch_space(first.action_space, self.num_envs)
        name = environment_name(first)
        observations, self.actions = read_spaces(name, first.observation_space, first.action_space)
        self._layout = shared_layout(observations, self.actions, self.num_envs)

    def begin(self, seed: int, options: dict[str, Any] | None = None) -> Observed:
        """Begin episode 0 of every environment; as :meth:`SameStepVectorEnv.begin`."""
        self._ask("begin", lambda _: (seed, options))
        if self._episodes:
            self._episodes.begin(seed, 0)
        return self._observed()

    def step_indices(self, action_indices: npt.NDArray[np.int64]) -> Step:
        """Step every environment; as :meth:`SameStepVectorEnv.step_indices`.

        Raises:
            EnvironmentFault: An environment failed, or a worker died.
        """
        self._shared["action_indices"][...] = action_indices
        self._tell(None)
        self._gather(self._own.step if self._own else None)
        shown = self._step
        ended = shown.terminated | shown.truncated
        if self._episodes:
            self._episodes.extend(action_indices, ended)
        shown.masks = self._observed().masks
        if self._has_lives:
            lost = self._shared["lives_lost"]
            shown.lives_lost = lost if lost.any() else None
        shown.final_observations = self._shared["final_observations"] if ended.any() else None
        return shown

    def change(self, changes: list[dict[str, Any]]) -> None:
        """Change every environment where its next episode begins; as :meth:`SameStepVectorEnv.change`."""
        self._changes = changes
        self._ask("change", lambda _: (changes,))
        if self._episodes:
            self._episodes.changes = len(changes)

    @property
    def is_exact(self) -> bool:
        """Return whether :meth:`load_state` rebuilds the running episodes; otherwise it begins new ones."""
        return self._replay != "none"

    def save_state(self) -> State:
        """Return the running episodes, as :meth:`SameStepVectorEnv.save_state` of all environments does."""
        return whole_of(self._ask("save_state", lambda _: ()))

    def load_state(self, state: State) -> Observed:
        """Rebuild the running episodes; as :meth:`SameStepVectorEnv.load_state`."""
        self._ask("load_state", lambda share: (part_of(state, share),))
        if self._episodes:
            self._episodes.load(state)
        return self._observed()

    def close_extras(self, **kwargs: Any) -> None:
        """Ask every worker to exit, then end those that do not."""
        for line in self._lines:
            with contextlib.suppress(OSError):
                line.send(CLOSE)
        for pipe in self._pipes:
            pipe.close()
        if self._own:
            self._own.close()
        if self._watch:
            self._watch.end()
        _end_all(self._pipes, self._processes)

    def _observed(self) -> Observed:
        if self._episodes:
            self._episodes.show(self._shared["checksums"], self._shared["totals"])
        has_mask = b"\x01" in self._shared["has_mask"].tobytes()  # faster than NumPy's any
        return Observed(self._shared["observations"], self._shared["masks"] if has_mask else None)

    def _ask(self, what: str, arguments: Callable[[slice], tuple[Any, ...]]) -> list[Any]:
        """Call a method of every shard, each with its own arguments, and wait for all replies."""
        self._tell((what, arguments))
        own = self._own
        return self._gather((lambda: getattr(own, what)(*arguments(own.numbers))) if own else None)

    def _tell(self, request: _Request | None) -> None:
        """Send a request to every worker."""
        if self._is_waiting:
            raise EnvironmentFault("an earlier step of the workers was interrupted; make a new vector environment")
        self._request = request
        self._is_waiting = True  # until all have replied; a late reply would be read as the next one
        for index in range(len(self._pipes)):
            with contextlib.suppress(OSError):  # a dead worker is detected when its reply is read
                self._send(index)

    def _send(self, index: int) -> None:
        if self._request is None:
            self._lines[index].send(STEP)
        else:
            what, arguments = self._request
            self._lines[index].send(CALL)
            self._pipes[index].send((what, arguments(self._shares[index])))

    def _gather(self, own: Callable[[], Any] | None = None) -> list[Any]:
        """Run this process's shard, then collect one reply per worker; a finished step replies without an object."""
        answers = [own()] if own else []  # this process has the first environments, so its fault comes first
        answers += [self._answer(index) for index in range(len(self._pipes))]
        self._is_waiting = False
        for answer in answers:  # the first environment's fault, as in one process
            if isinstance(answer, ActorCriticError):
                raise answer
        return answers

    def _answer(self, index: int) -> Any:
        """Return the reply of a worker; replace a worker that died, if that is allowed."""
        while True:
            try:
                return self._receive(index, is_starting=not self._has_begun)
            except (EOFError, OSError):
                fault = self._death(index)
            if not (self._has_begun and self._restarts_left and self.is_exact):
                raise fault
            self._restarts_left -= 1
            log.warning("%s; it is replaced, and its episodes are replayed", fault)
            try:
                self._replace(index)
            except (EOFError, OSError):
                continue  # the new one died as well

    def _receive(self, index: int, is_starting: bool = False) -> Any:
        if self._watch:
            slack = _SECONDS_TO_START if is_starting else 0.0
            self._watch.begin(self._processes[index], self._life[index], slack)
        try:
            return None if self._lines[index].receive() == STEP else self._pipes[index].recv()
        finally:
            if self._watch:
                self._watch.pause()

    def _replace(self, index: int) -> None:
        """Start a new worker, rebuild its running episodes, and repeat the request."""
        assert self._episodes is not None
        self._pipes[index].close()
        self._processes[index], self._pipes[index] = self._start(index)
        self._lines[index] = Line(self._pipes[index], self._stays_awake)
        answer = self._receive(index, is_starting=True)
        if self._changes and answer is None:
            self._lines[index].send(CALL)
            self._pipes[index].send(("change", (self._changes,)))
            answer = self._receive(index)
        is_begun = self._request is None or self._request[0] in ("save_state", "change")
        if is_begun and answer is None:
            self._lines[index].send(CALL)
            self._pipes[index].send(("load_state", (part_of(self._episodes.state(), self._shares[index]),)))
            answer = self._receive(index)
        if isinstance(answer, ActorCriticError):
            raise answer
        self._send(index)

    def _death(self, index: int) -> EnvironmentFault:
        process, share = self._processes[index], self._shares[index]
        numbers = f"{self._first + share.start} to {self._first + share.stop - 1}"
        if self._watch and self._watch.has_killed(process):
            return EnvironmentFault(
                f"the worker of environments {numbers} did not answer for worker_timeout="
                f"{self._watch.timeout:g} s, and was killed; an environment hangs, or needs a longer worker_timeout"
            )
        process.join(_SECONDS_TO_LEAVE)
        what = f"the worker of environments {numbers} died (exit code {process.exitcode})"
        if not self._has_begun:
            return EnvironmentFault(
                f'{what} before it began: a script that trains with workers needs `if __name__ == "__main__":` around '
                f"its code, since every worker imports the script"
            )
        return EnvironmentFault(f"{what}; an environment crashed its process, or there was no memory left")


def _end_all(pipes: list[Any], processes: list[BaseProcess]) -> None:
    """Close the pipes, wait for the workers, and kill those that do not exit."""
    for pipe in pipes:
        pipe.close()
    deadline = time.monotonic() + _SECONDS_TO_LEAVE
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()
