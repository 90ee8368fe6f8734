"""Environments in processes of their own: what each does is a function of its seed and actions, wherever it runs."""

import contextlib
import ctypes
import multiprocessing
import signal
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

from actor_critic.environments.masks import KEY
from actor_critic.environments.vectorized import SameStepVectorEnv, environment_name
from actor_critic.errors import ActorCriticError, EnvironmentFault
from actor_critic.spaces import ActionSpec, ObservationSpec, read_spaces

_SECONDS_TO_LEAVE = 5.0

# What goes through a pipe: a step, or that it is done; that an object follows; that it is time to leave.
_STEP, _CALL, _CLOSE = b"s", b"c", b"x"


class WorkerVectorEnv(gym.vector.VectorEnv[npt.NDArray[Any], npt.NDArray[np.int64], npt.NDArray[Any]]):
    """N environments spread over W processes, each a :class:`SameStepVectorEnv` over its share of them.

    Actions go out and transitions come back through shared memory; the pipes carry only signals. Every environment has
    its number for a seed, not its worker's, so the transitions, and what rebuilds them, are those of one process.
    """

    def __init__(self, make: Callable[[], gym.Env[Any, Any]], num_envs: int, workers: int) -> None:
        """Start the workers and make the environments in them.

        Args:
            make: Makes one environment; it is sent to the workers.
            num_envs: N.
            workers: W, at most N.

        Raises:
            ConfigError: An environment cannot be made, or its spaces are not supported.
            EnvironmentFault: A worker does not start.
        """
        shares = np.array_split(np.arange(num_envs), workers)
        self._shares = [slice(int(share[0]), int(share[-1]) + 1) for share in shares]
        self._processes: list[BaseProcess] = []
        self._pipes: list[Any] = []  # of Connections
        self._is_waiting = False
        self._has_begun = False
        self.num_envs = num_envs
        first = make()
        try:
            self._set_up(first)
        finally:
            first.close()
        # Not forked: a copy of a process with threads (PyTorch's, a writer's) may hang in a lock.
        context: Any = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
        memory = context.RawArray(ctypes.c_byte, self._layout.itemsize)
        self._shared = _views(memory, self._layout)
        try:
            for share in self._shares:
                pipe, far_end = context.Pipe()
                process = context.Process(
                    target=_work, args=(far_end, make, share, memory, self._layout), name=f"environments {share.start}"
                )
                process.daemon = True
                process.start()
                far_end.close()
                self._processes.append(process)
                self._pipes.append(pipe)
            # Before the interpreter waits for its daemons at exit: a worker leaves when its pipe is closed.
            self._at_exit = Finalize(self, _close_all, args=(self._pipes,), exitpriority=10)
            self._gather()
        except BaseException:
            self.close()
            raise

    def _set_up(self, first: gym.Env[Any, Any]) -> None:
        self.spec = first.spec
        self.render_mode = None
        self.metadata = {**first.metadata, "autoreset_mode": AutoresetMode.SAME_STEP}
        self.single_observation_space = first.observation_space
        self.single_action_space = first.action_space
        self.observation_space = batch_space(first.observation_space, self.num_envs)
        self.action_space = batch_space(first.action_space, self.num_envs)
        name = environment_name(first)
        observations, self._actions = read_spaces(name, first.observation_space, first.action_space)
        self._layout = _shared_layout(observations, self._actions, self.num_envs)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[Any], dict[str, Any]]:
        """Begin episode 0 of every environment; as :meth:`SameStepVectorEnv.reset`."""
        self._ask("reset", *[(seed, options)] * len(self._shares))
        return self._observed()

    def step(
        self, actions: Any
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[np.bool_], npt.NDArray[np.bool_], dict[str, Any]]:
        """Step every environment; as :meth:`SameStepVectorEnv.step`.

        Raises:
            EnvironmentFault: An environment failed, or a worker died.
        """
        return self.step_choices(self._actions.to_choices(actions))

    def step_choices(
        self, choices: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[np.bool_], npt.NDArray[np.bool_], dict[str, Any]]:
        """The same with choices [N, G], each counted from 0."""
        self._shared["choices"][...] = choices
        self._check_idle()
        for index, pipe in enumerate(self._pipes):
            try:
                pipe.send_bytes(_STEP)
            except OSError:
                raise self._death(index) from None
        self._gather()
        observations, infos = self._observed()
        terminated, truncated = self._shared["terminated"], self._shared["truncated"]
        ended = terminated | truncated
        if ended.any():
            infos |= {"final_obs": self._shared["final_observations"], "_final_obs": ended}
        return observations, self._shared["rewards"], terminated, truncated, infos

    def save_state(self) -> dict[str, npt.NDArray[np.int64]]:
        """The running episodes; as :meth:`SameStepVectorEnv.save_state` of all environments in one process."""
        states = self._ask("save_state", *[()] * len(self._shares))
        joined = {name: np.concatenate([state[name] for state in states]) for name in states[0]}
        return joined | {"seed": states[0]["seed"]}

    def load_state(self, state: dict[str, npt.NDArray[np.int64]]) -> tuple[npt.NDArray[Any], dict[str, Any]]:
        """Rebuild the running episodes; as :meth:`SameStepVectorEnv.load_state`."""
        borders = np.concatenate([[0], np.cumsum(state["lengths"])])
        parts = [
            {
                "seed": state["seed"],
                "episodes": state["episodes"][share],
                "lengths": state["lengths"][share],
                "actions": state["actions"][borders[share.start] : borders[share.stop]],
            }
            for share in self._shares
        ]
        self._ask("load_state", *[(part,) for part in parts])
        return self._observed()

    def close_extras(self, **kwargs: Any) -> None:
        """Send every worker home."""
        for pipe in self._pipes:
            with contextlib.suppress(OSError):
                pipe.send_bytes(_CLOSE)
        _close_all(self._pipes)
        deadline = time.monotonic() + _SECONDS_TO_LEAVE
        for process in self._processes:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()

    def _observed(self) -> tuple[npt.NDArray[Any], dict[str, Any]]:
        infos: dict[str, Any] = {}
        if self._shared["has_mask"].any():
            infos = {KEY: self._shared["masks"], f"_{KEY}": np.ones(self.num_envs, np.bool_)}
        return self._shared["observations"], infos

    def _ask(self, what: str, *arguments: tuple[Any, ...]) -> list[Any]:
        """Have every worker do something, each with its own arguments, and wait for all answers."""
        self._check_idle()
        for index, (pipe, given) in enumerate(zip(self._pipes, arguments, strict=True)):
            try:
                pipe.send_bytes(_CALL)
                pipe.send((what, given))
            except OSError:
                raise self._death(index) from None
        return self._gather()

    def _check_idle(self) -> None:
        if self._is_waiting:
            raise EnvironmentFault("the workers were left in the middle of a step; make new ones")

    def _gather(self) -> list[Any]:
        """One answer of every worker; that a step is done needs no object."""
        answers: list[Any] = []
        self._is_waiting = True  # until all have answered: what comes later would be taken for another answer
        for index, pipe in enumerate(self._pipes):
            try:
                answers.append(None if pipe.recv_bytes() == _STEP else pipe.recv())
            except (EOFError, OSError):
                raise self._death(index) from None
        self._is_waiting = False
        self._has_begun = True
        for answer in answers:  # the first environment's fault, as in one process
            if isinstance(answer, ActorCriticError):
                raise answer
        return answers

    def _death(self, index: int) -> EnvironmentFault:
        process, share = self._processes[index], self._shares[index]
        process.join(_SECONDS_TO_LEAVE)
        what = f"the worker of environments {share.start} to {share.stop - 1} died (exit code {process.exitcode})"
        if not self._has_begun:
            return EnvironmentFault(
                f'{what} before it began: a script that trains with workers needs `if __name__ == "__main__":` around '
                f"what it does, since every worker imports it"
            )
        return EnvironmentFault(f"{what}; an environment crashed its process, or there was no memory left")


def _close_all(pipes: list[Any]) -> None:
    for pipe in pipes:
        pipe.close()


def _shared_layout(observations: ObservationSpec, actions: ActionSpec, count: int) -> np.dtype[Any]:
    """What is shared, as one structured dtype."""
    return np.dtype(
        [
            ("choices", np.int64, (count, actions.num_groups)),
            ("rewards", np.float64, (count,)),
            ("observations", observations.dtype, (count, *observations.shape)),
            ("final_observations", observations.dtype, (count, *observations.shape)),
            ("terminated", np.bool_, (count,)),
            ("truncated", np.bool_, (count,)),
            ("has_mask", np.bool_, (count,)),
            ("masks", np.bool_, (count, actions.num_logits)),
        ],
        align=True,
    )


def _views(memory: Any, layout: np.dtype[Any]) -> dict[str, npt.NDArray[Any]]:
    """The arrays that lie in shared memory, by name."""
    whole = np.frombuffer(memory, layout)
    assert layout.names is not None
    return {name: whole[name][0] for name in layout.names}


def _work(
    pipe: Connection, make: Callable[[], gym.Env[Any, Any]], share: slice, memory: Any, layout: np.dtype[Any]
) -> None:
    """A worker's life: make the environments, then do what it is asked until the other end is closed."""
    # Ctrl-C reaches every process of a terminal; when to stop is for the one that trains to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        worker = _Worker(make, share, _views(memory, layout))
    except Exception as error:
        pipe.send_bytes(_CALL)
        pipe.send(_sendable(error, share))
        return
    pipe.send_bytes(_STEP)
    with contextlib.suppress(EOFError, OSError):
        while (message := pipe.recv_bytes()) != _CLOSE:
            try:
                if message == _STEP:
                    worker.step()
                    pipe.send_bytes(_STEP)
                    continue
                what, arguments = pipe.recv()
                answer = getattr(worker, what)(*arguments)
            except (EOFError, OSError):
                raise
            except Exception as error:
                answer = _sendable(error, share)
            pipe.send_bytes(_CALL)
            pipe.send(answer)
    worker.vector.close()


def _sendable(error: Exception, share: slice) -> ActorCriticError:
    if isinstance(error, ActorCriticError):
        return type(error)(str(error))
    return EnvironmentFault(f"the worker of environments from {share.start} raised {type(error).__name__}: {error}")


class _Worker:
    """The far end of a :class:`WorkerVectorEnv`: one method for each thing it is asked to do."""

    def __init__(
        self, make: Callable[[], gym.Env[Any, Any]], share: slice, shared: dict[str, npt.NDArray[Any]]
    ) -> None:
        self.vector = SameStepVectorEnv(make, share.stop - share.start, first=share.start)
        self._mine = {name: array[share] for name, array in shared.items()}

    def reset(self, seed: Any, options: dict[str, Any] | None) -> None:
        self._show(*self.vector.reset(seed=seed, options=options))

    def step(self) -> None:
        observations, rewards, terminated, truncated, infos = self.vector.step_choices(self._mine["choices"])
        self._show(observations, infos)
        self._mine["rewards"][...] = rewards
        self._mine["terminated"][...] = terminated
        self._mine["truncated"][...] = truncated
        if "final_obs" in infos:
            self._mine["final_observations"][...] = infos["final_obs"]

    def save_state(self) -> dict[str, npt.NDArray[np.int64]]:
        return self.vector.save_state()

    def load_state(self, state: dict[str, npt.NDArray[np.int64]]) -> None:
        self._show(*self.vector.load_state(state))

    def _show(self, observations: npt.NDArray[Any], infos: dict[str, Any]) -> None:
        self._mine["observations"][...] = observations
        if KEY in infos:
            self._mine["has_mask"][...] = True
            self._mine["masks"][...] = infos[KEY]
        else:
            self._mine["masks"][...] = True
