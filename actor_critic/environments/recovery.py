"""What it takes to replace a worker that died or hangs."""

import threading
import time
from array import array
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np
import numpy.typing as npt

from actor_critic.environments.snapshots import Snapshot, pack, unpack


class RunningEpisodes:
    """What rebuilds the running episodes of workers that died: it is kept on this side of the pipes.

    Attributes:
        proof: What the episodes have shown; see :meth:`SameStepVectorEnv.proof`.
    """

    def __init__(self, num_envs: int, typecode: str) -> None:
        self._seed = 0
        self._numbers = np.zeros(num_envs, np.int64)
        self._choices = [array(typecode) for _ in range(num_envs)]
        self._bases: list[Snapshot | None] = [None] * num_envs  # that the choices come after
        self.proof: dict[str, npt.NDArray[Any]] = {}

    def begin(self, seed: int, numbers: npt.NDArray[np.int64]) -> None:
        """Every environment begins the episode of a number."""
        self._seed, self._numbers = seed, numbers
        self._bases = [None] * len(numbers)
        for choices in self._choices:
            del choices[:]

    def extend(self, choices: npt.NDArray[np.int64], ended: npt.NDArray[np.bool_]) -> None:
        """A step was taken; where an episode ended, the next one has begun."""
        rows = zip(self._choices, choices.tolist(), ended.tolist(), strict=True)
        for index, (past, chosen, has_ended) in enumerate(rows):
            if has_ended:
                del past[:]
                self._bases[index] = None
            else:
                past.extend(chosen)
        self._numbers += ended

    def load(self, state: dict[str, npt.NDArray[Any]]) -> None:
        """Go on from a state of the environments."""
        self.begin(int(state["seed"][0]), state["episodes"].copy())
        parts = np.split(state["actions"], np.cumsum(state["lengths"])[:-1])
        for past, part in zip(self._choices, parts, strict=True):
            past.extend(part.tolist())
        self._bases = unpack(state, len(self._choices))

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """What :meth:`SameStepVectorEnv.load_state` takes."""
        return {
            "seed": np.array([self._seed], np.int64),
            "episodes": self._numbers,
            "lengths": np.array([len(past) for past in self._choices], np.int64),
            "actions": np.concatenate([np.array(past, past.typecode) for past in self._choices]),
            **self.proof,
            **(pack(self._bases) if any(self._bases) else {}),
        }


@dataclass
class _Watched:
    """A worker that is waited for: since when, and what its sign of life said then."""

    process: BaseProcess
    life: npt.NDArray[np.int64]
    since: float
    seen: int


class Watch:
    """Kills a worker that neither answers nor shows a sign of life in time, so that waiting for it ends.

    A thread that looks now and then costs a step nothing; waiting with a timeout would cost every one of them.
    """

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self._watched: _Watched | None = None
        self._killed: set[int | None] = set()
        self._is_over = threading.Event()
        threading.Thread(target=self._look, name="watch over workers", daemon=True).start()

    def begin(self, process: BaseProcess, life: npt.NDArray[np.int64], slack: float = 0.0) -> None:
        """A worker is waited for from now on.

        Args:
            process: The worker.
            life: [k], whose first number it changes while it does what takes long.
            slack: Seconds that it may take more than others.
        """
        self._watched = _Watched(process, life, time.monotonic() + slack, int(life[0]))

    def pause(self) -> None:
        """It has answered."""
        self._watched = None

    def end(self) -> None:
        """No worker is left."""
        self._is_over.set()

    def has_killed(self, process: BaseProcess) -> bool:
        """Whether it was this that ended the worker."""
        return process.pid in self._killed

    def _look(self) -> None:
        period, looked = min(1.0, self.timeout / 4), time.monotonic()
        while not self._is_over.wait(period):
            now, watched = time.monotonic(), self._watched
            stood_still, looked = now - looked > 2 * period, now  # this process itself: Ctrl-Z, or a laptop asleep
            if watched is None:
                continue
            if stood_still or watched.life[0] != watched.seen:
                watched.since, watched.seen = max(watched.since, now), int(watched.life[0])
            elif now - watched.since > self.timeout and self._watched is watched:
                self._killed.add(watched.process.pid)
                watched.process.kill()
                self._watched = None
