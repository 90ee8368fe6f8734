"""Pool: the processes of seeds and trials as tasks on any node of a Ray cluster."""

import contextlib
import multiprocessing
import os
import tempfile
import threading
import time
import uuid
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from actor_critic.config import Settings
from actor_critic.errors import RankFault
from actor_critic.launching.cluster import Cluster
from actor_critic.launching.desk import open_desk
from actor_critic.launching.luggage import Luggage, write_files
from actor_critic.process import Sent
from actor_critic.training import SeedProcesses, Started, TrainSeed

_PATIENCE = 0.1  # seconds between two looks at messages
_UPKEEP = 2.0  # seconds between two looks at files


class Pool:
    """Starts processes on the nodes of a cluster, as :func:`start_here` does on this machine.

    A process whose node is lost begins again on another one, from its newest checkpoint.
    """

    def __init__(self, cluster: Cluster, cpus: float, root: Path, max_failures: int) -> None:
        """Start without processes.

        Args:
            cluster: The cluster.
            cpus: The CPUs of each process.
            root: The folder where the command was started.
            max_failures: How often each process may be lost.
        """
        cluster.check_has_room(1, cpus)
        self.at_a_time = cluster.places(cpus)
        self._cpus = cpus
        self._root = root
        self._max_failures = max_failures
        self._desk = open_desk()

    def start(self, train: TrainSeed, settings: Settings, folder: Path, pipes: Sequence[Connection]) -> Started:
        """Start a process on some node; see :data:`Start`. Its run folder is kept up to date on this machine."""
        import ray

        job = uuid.uuid4().hex
        luggage = Luggage.of(settings, self._root)
        task: Any = ray.remote(num_cpus=self._cpus, max_retries=self._max_failures)(_work)
        result = task.remote(self._desk, job, Sent(train), Sent(settings, "seeds"), str(folder), luggage, len(pipes))
        return _Remote(self._desk, job, result, pipes)


class _Remote(threading.Thread):
    """Connects the pipes of a process on another node to its task."""

    exitcode = None

    def __init__(self, desk: Any, job: str, result: Any, pipes: Sequence[Connection]) -> None:
        super().__init__(daemon=True)
        self._desk = desk
        self._job = job
        self._result = result
        self._pipes = list(pipes)
        self.start()

    def run(self) -> None:
        """Pass messages on until the task has ended, then send its outcome."""
        import ray

        is_over = False
        while not is_over:
            waiting = [pipe for pipe in self._pipes if not pipe.closed]
            ready = wait(waiting, _PATIENCE)
            messages = []
            for number, pipe in enumerate(self._pipes):
                if pipe in ready:
                    try:
                        messages.append((number, pipe.recv()))
                    except (EOFError, OSError):
                        pipe.close()
                        messages += [(0, None)] if number == 0 else []  # nobody waits for the outcome
            if any(number == 0 for number, _ in messages):
                ray.get(self._desk.stop.remote(self._job))
                messages = [(number, message) for number, message in messages if number]
            done, _ = ray.wait([self._result], timeout=0)  # before the look, so that no message is missed
            is_over = bool(done)
            for number, message in ray.get(self._desk.look.remote(self._job, messages)):
                self._send(number, message)
        try:
            outcome = ray.get(self._result)
        except Exception as error:  # its node was lost once too often, or a bug
            outcome = RankFault(f"its process was lost on the Ray cluster ({' '.join(str(error).split()):.200})")
        self._send(0, outcome)
        for pipe in self._pipes:
            pipe.close()

    def _send(self, number: int, message: Any) -> None:
        with contextlib.suppress(OSError):  # the other end is closed
            self._pipes[number].send(message)


# --- on the node ---


def _work(desk: Any, job: str, train: TrainSeed, settings: Settings, folder: str, luggage: Luggage, pipes: int) -> Any:
    """Run the process of a seed or trial on this node, and return its outcome; keep its run folder at the desk."""
    import ray

    home, settings = luggage.unpack(settings)
    os.chdir(home)  # where the process looks for code
    with tempfile.TemporaryDirectory(prefix="actor_critic_") as place:
        path = Path(place) / Path(folder).name
        copy = _Copy(desk, path, folder)
        write_files(path, ray.get(desk.begin.remote(job, copy.attempt, folder)))
        ends = [multiprocessing.get_context("spawn").Pipe() for _ in range(pipes - 1)]
        with SeedProcesses(train) as processes:
            processes.start(0, settings, path, *(theirs for _, theirs in ends))
            others = [ours for ours, _ in ends]
            while True:
                wait([*processes.running, *others], _PATIENCE)
                messages = []
                for number, pipe in enumerate(others, start=1):
                    with contextlib.suppress(EOFError, OSError):
                        while not pipe.closed and pipe.poll():
                            messages.append((number, pipe.recv()))
                replies, is_stopped = ray.get(desk.exchange.remote(job, messages))
                for number, message in replies:
                    with contextlib.suppress(OSError):  # the process has just ended
                        others[number - 1].send(message)
                if is_stopped:
                    processes.tell_to_stop()
                copy.bring_up_to_date()
                for _, outcome in processes.ended(0):
                    copy.bring_up_to_date(at_once=True)
                    return outcome


class _Copy:
    """The copy of a folder on the machine of the command.

    Attributes:
        attempt: The name of this attempt.
    """

    def __init__(self, desk: Any, path: Path, folder: str) -> None:
        self.attempt = uuid.uuid4().hex
        self._desk = desk
        self._path = path
        self._folder = folder
        self._known: dict[str, tuple[int, int]] = {}
        self._looked = time.monotonic()

    def bring_up_to_date(self, at_once: bool = False) -> None:
        """Send the files that have changed, at most every few seconds unless it must be at once."""
        import ray

        if not at_once and time.monotonic() - self._looked < _UPKEEP:
            return
        self._looked = time.monotonic()
        # Listed first: a file that changes while it is read is sent again the next time.
        states = {str(path.relative_to(self._path)): _state(path) for path in self._path.rglob("*")}
        found = {name: state for name, state in states.items() if state}
        changed = {}
        for name in found:
            if self._known.get(name) != found[name]:
                with contextlib.suppress(FileNotFoundError):  # just removed
                    changed[name] = (self._path / name).read_bytes()
        if changed or found.keys() != self._known.keys():
            ray.get(self._desk.keep.remote(self._folder, self.attempt, changed, set(found)))
        self._known = found


def _state(path: Path) -> tuple[int, int] | None:
    """Return size and time of change of a file; None for folders, locks and unfinished files."""
    with contextlib.suppress(FileNotFoundError):
        if path.is_file() and not path.name.startswith("."):
            status = path.stat()
            return status.st_size, status.st_mtime_ns
    return None
