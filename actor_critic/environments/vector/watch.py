"""A watchdog that kills workers that hang."""

import threading
import time
from dataclasses import dataclass
from multiprocessing.process import BaseProcess

import numpy as np
import numpy.typing as npt


@dataclass
class _Watched:
    """A worker whose reply is pending: since when, and its heartbeat at that time."""

    process: BaseProcess
    life: npt.NDArray[np.int64]
    since: float
    seen: int


class Watch:
    """Kills a worker that neither replies nor changes its heartbeat in time, so that the wait for it ends.

    A thread checks from time to time, at no cost per step. A wait with a timeout would slow down every step.
    """

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self._watched: _Watched | None = None
        self._killed: set[int | None] = set()
        self._is_over = threading.Event()
        threading.Thread(target=self._look, name="watch over workers", daemon=True).start()

    def begin(self, process: BaseProcess, life: npt.NDArray[np.int64], slack: float = 0.0) -> None:
        """Begin to wait for a worker.

        Args:
            process: The worker.
            life: [k]; the first number is the heartbeat, which the worker changes during long work.
            slack: Seconds added to the timeout for this worker.
        """
        self._watched = _Watched(process, life, time.monotonic() + slack, int(life[0]))

    def pause(self) -> None:
        """Stop waiting: the worker has replied."""
        self._watched = None

    def end(self) -> None:
        """End the watch."""
        self._is_over.set()

    def has_killed(self, process: BaseProcess) -> bool:
        """Return whether the watch killed the worker."""
        return process.pid in self._killed

    def _look(self) -> None:
        period, looked = min(1.0, self.timeout / 4), time.monotonic()
        while not self._is_over.wait(period):
            now, watched = time.monotonic(), self._watched
            stood_still, looked = (
                now - looked > 2 * period,
                now,
            )  # this process was suspended: Ctrl-Z, or a sleeping laptop
            if watched is None:
                continue
            if stood_still or watched.life[0] != watched.seen:
                watched.since, watched.seen = max(watched.since, now), int(watched.life[0])
            elif now - watched.since > self.timeout and self._watched is watched:
                self._killed.add(watched.process.pid)
                watched.process.kill()
                self._watched = None
