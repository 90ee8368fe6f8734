"""The far end of a worker's pipe: a process that steps its share of the environments."""

import contextlib
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from actor_critic.environments.masks import KEY
from actor_critic.environments.vectorized import Replay, SameStepVectorEnv
from actor_critic.errors import ActorCriticError, EnvironmentFault
from actor_critic.spaces import ActionSpec, ObservationSpec

# What goes through a pipe: a step, or that it is done; that an object follows; that it is time to leave.
STEP, CALL, CLOSE = b"s", b"c", b"x"


def shared_layout(observations: ObservationSpec, actions: ActionSpec, count: int) -> np.dtype[Any]:
    """What is shared, as one structured dtype."""
    return np.dtype(
        [
            ("choices", np.int64, (count, actions.num_groups)),
            ("rewards", np.float64, (count,)),
            ("checksums", np.int64, (count,)),
            ("totals", np.float64, (count,)),
            ("replayed", np.int64, (count,)),
            ("observations", observations.dtype, (count, *observations.shape)),
            ("final_observations", observations.dtype, (count, *observations.shape)),
            ("terminated", np.bool_, (count,)),
            ("truncated", np.bool_, (count,)),
            ("has_mask", np.bool_, (count,)),
            ("masks", np.bool_, (count, actions.num_logits)),
        ],
        align=True,
    )


def views(memory: Any, layout: np.dtype[Any]) -> dict[str, npt.NDArray[Any]]:
    """The arrays that lie in shared memory, by name."""
    whole = np.frombuffer(memory, layout)
    assert layout.names is not None
    return {name: whole[name][0] for name in layout.names}


def work(
    pipe: Connection,
    make: Callable[[], gym.Env[Any, Any]],
    share: slice,
    memory: Any,
    layout: np.dtype[Any],
    replay: Replay,
) -> None:
    """A worker's life: make the environments, then do what it is asked until the other end is closed."""
    # Ctrl-C reaches every process of a terminal; when to stop is for the one that trains to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        worker = _Worker(make, share, views(memory, layout), replay)
    except (Exception, SystemExit) as error:
        with contextlib.suppress(OSError):
            pipe.send_bytes(CALL)
            pipe.send(_sendable(error, share))
        return
    with contextlib.suppress(EOFError, OSError):
        pipe.send_bytes(STEP)
        while (message := pipe.recv_bytes()) != CLOSE:
            try:
                if message == STEP:
                    worker.step()
                    pipe.send_bytes(STEP)
                    continue
                what, arguments = pipe.recv()
                answer = getattr(worker, what)(*arguments)
            except (EOFError, OSError):
                raise
            except (Exception, SystemExit) as error:
                answer = _sendable(error, share)
            pipe.send_bytes(CALL)
            pipe.send(answer)
    worker.vector.close()


def _sendable(error: BaseException, share: slice) -> ActorCriticError:
    if isinstance(error, ActorCriticError):
        return type(error)(str(error))
    return EnvironmentFault(f"the worker of environments from {share.start} raised {type(error).__name__}: {error}")


class _Worker:
    """The far end of a :class:`WorkerVectorEnv`: one method for each thing it is asked to do."""

    def __init__(
        self,
        make: Callable[[], gym.Env[Any, Any]],
        share: slice,
        shared: dict[str, npt.NDArray[Any]],
        replay: Replay,
    ) -> None:
        self.vector = SameStepVectorEnv(make, share.stop - share.start, first=share.start, replay=replay)
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

    def save_state(self) -> dict[str, npt.NDArray[Any]]:
        return self.vector.save_state()

    def load_state(self, state: dict[str, npt.NDArray[Any]]) -> None:
        self._show(*self.vector.load_state(state, self._live))

    def _live(self) -> None:
        """Replaying may take as long as all these steps took; each of them is a sign of life."""
        self._mine["replayed"][0] += 1

    def _show(self, observations: npt.NDArray[Any], infos: dict[str, Any]) -> None:
        self._mine["observations"][...] = observations
        for name, values in self.vector.proof().items():
            self._mine[name][...] = values
        if KEY in infos:
            self._mine["has_mask"][...] = True
            self._mine["masks"][...] = infos[KEY]
        else:
            self._mine["masks"][...] = True
