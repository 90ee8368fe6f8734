"""What it takes to replace a worker that died or hangs."""

import threading
import time
from array import array
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np
import numpy.typing as npt


class RunningEpisodes:
    """What rebuilds the running episodes of workers that died: it is kept on this side of the pipes.

    Attributes:
        proof: What the episodes have shown; see :meth:`SameStepVectorEnv.proof`.
    """

    def __init__(self, num_envs: int) -> None:
        self._seed = 0
        self._numbers = np.zeros(num_envs, np.int64)
        self._choices = [array("q") for _ in range(num_envs)]
        self.proof: dict[str, npt.NDArray[Any]] = {}

    def begin(self, seed: int, numbers: npt.NDArray[np.int64]) -> None:
        """Every environment begins the episode of a number."""
        self._seed, self._numbers = seed, numbers
        for choices in self._choices:
            del choices[:]

    def extend(self, choices: npt.NDArray[np.int64], ended: npt.NDArray[np.bool_]) -> None:
        """A step was taken; where an episode ended, the next one has begun."""
        for past, chosen, has_ended in zip(self._choices, choices.tolist(), ended.tolist(), strict=True):
            if has_ended:
                del past[:]
            else:
                past.extend(chosen)
        self._numbers += ended

    def load(self, state: dict[str, npt.NDArray[Any]]) -> None:
        """Go on from a state of the environments."""
        self.begin(int(state["seed"][0]), state["episodes"].copy())
        parts = np.split(state["actions"], np.cumsum(state["lengths"])[:-1])
        for past, part in zip(self._choices, parts, strict=True):
            past.extend(part.tolist())

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """What :meth:`SameStepVectorEnv.load_state` takes."""
        return {
            "seed": np.array([self._seed], np.int64),
            "episodes": self._numbers,
            "lengths": np.array([len(past) for past in self._choices], np.int64),
            "actions": np.concatenate([np.array(past, np.int64) for past in self._choices]),
            **self.proof,
        }


class Watch:
    """Kills a worker that does not answer in time, so that waiting for it ends.

    A thread that looks now and then costs a step nothing; waiting with a timeout would cost every one of them.
    """

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self._watched: tuple[BaseProcess, float] | None = None
        self._killed: set[int | None] = set()
        self._is_over = threading.Event()
        threading.Thread(target=self._look, name="watch over workers", daemon=True).start()

    def begin(self, process: BaseProcess, slack: float = 0.0) -> None:
        """A worker is waited for from now on; it may take some seconds more than others."""
        self._watched = process, time.monotonic() + slack

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
        while not self._is_over.wait(min(1.0, self.timeout / 4)):
            watched = self._watched
            if watched and time.monotonic() - watched[1] > self.timeout and self._watched is watched:
                self._killed.add(watched[0].pid)
                watched[0].kill()
                self._watched = None
