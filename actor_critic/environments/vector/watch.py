"""A watch over workers: it kills one that hangs."""

import threading
import time
from dataclasses import dataclass
from multiprocessing.process import BaseProcess

import numpy as np
import numpy.typing as npt


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
        """Begin to wait for a worker.

        Args:
            process: The worker.
            life: [k], whose first number it changes while it does what takes long.
            slack: Seconds that it may take more than others.
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
