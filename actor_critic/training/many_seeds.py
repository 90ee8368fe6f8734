"""Several seeds of one run, each in its own process: of this machine, or of another one."""

import contextlib
import logging
import multiprocessing
import multiprocessing.connection
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol, Self

from actor_critic.config import Settings
from actor_critic.errors import ActorCriticError
from actor_critic.process import Interrupted, Sent, ending_signals, here_alone
from actor_critic.training.resume import FoundRun, find_run, names_no_other_code
from actor_critic.training.stopping import INTERRUPTED
from actor_critic.training.trainer import Trainer

log = logging.getLogger("actor_critic")

_SIGNALS = ending_signals()

TrainSeed = Callable[..., None]
"""Trains one seed in its process, and sends its evaluation, its error, or None (if it was stopped) to the parent.

Its arguments are the settings, the run folder, the pipe to the parent, and further pipes.
"""


class Started(Protocol):
    """A process that was started."""

    @property
    def exitcode(self) -> int | None:
        """Its exit code; None before its end."""

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end."""


Start = Callable[[TrainSeed, Settings, Path, Sequence[Connection]], Started]
"""Starts a process that trains a seed in a run folder, with its ends of the pipes."""


def start_here(train: TrainSeed, settings: Settings, folder: Path, pipes: Sequence[Connection]) -> Started:
    """Start a process of this machine that trains a seed."""
    # Spawned, not forked: a fork would copy the thread pools of a process that has already computed something.
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=train, args=(Sent(settings, "seeds"), folder, *pipes))
    # The new process also blocks signals until it has handlers: importing PyTorch takes seconds.
    with _held_back_signals():
        process.start()
    for pipe in pipes:
        pipe.close()  # otherwise the pipe would stay open after the process ends
    return process


class SeedProcesses:
    """A process and a pipe for each running seed: the pipe carries a stop request in and the outcome out.

    At its end, a ``with`` block asks all processes to stop and waits for them.

    Attributes:
        running: The seed and the process of each pipe.
        are_told: Whether the processes have been asked to stop.
    """

    def __init__(self, train: TrainSeed, start: Start = start_here) -> None:
        """Start without processes.

        Args:
            train: The function that each process runs; it is defined at the top level of a module.
            start: Starts a process, here or on another machine.
        """
        self.running: dict[Connection, tuple[int, Started]] = {}
        self.are_told = False
        self._train = train
        self._start = start

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.tell_to_stop()
        while self.running:
            for _seed, _outcome in self.ended(None):
                pass

    def start(self, seed: int, settings: Settings, folder: Path, *others: Connection) -> None:
        """Start the process of a seed.

        Args:
            seed: The seed.
            settings: The settings of its run.
            folder: Its run folder.
            others: The process's ends of further pipes; they are closed here.
        """
        ours, theirs = multiprocessing.get_context("spawn").Pipe()
        self.running[ours] = seed, self._start(self._train, settings, folder, [theirs, *others])

    def tell_to_stop(self) -> None:
        """Ask all running processes to stop after their epoch; a second call does nothing."""
        if not self.are_told:
            self.are_told = True
            for connection in self.running:
                with contextlib.suppress(OSError):  # it has just ended
                    connection.send(None)

    def ended(self, timeout: float | None) -> Iterator[tuple[int, dict[str, Any] | Exception | None]]:
        """Wait for processes to end; yield each seed with its evaluation, its error, or None if it was stopped."""
        ready = multiprocessing.connection.wait(list(self.running), timeout)
        for connection in [each for each in self.running if each in ready]:
            seed, process = self.running.pop(connection)
            try:
                outcome = connection.recv()
            except (EOFError, OSError):
                process.join()
                outcome = ActorCriticError(f"its process ended without a result (exit code {process.exitcode})")
            process.join()
            connection.close()
            yield seed, outcome


def train_seed(
    settings: Settings,
    folder: Path,
    parent: Connection,
    recording: Callable[[Path], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext,
) -> None:
    """Train a seed in its process, and send its evaluation, its error, or None (if it was stopped) to the parent.

    Args:
        settings: The settings of the seed's run.
        folder: Its run folder.
        parent: The pipe to the parent.
        recording: Called with the run folder when it exists; its block surrounds the training.
    """

    def run(stop: StopRequest) -> dict[str, Any] | None:
        if stop.is_asked:
            return None
        trainer = begun_or_continued(settings, folder)
        with recording(folder), stop.ends(trainer):
            for _ in trainer:
                pass
        return trainer.evaluation.to_document() if trainer.evaluation else None

    send_outcome(parent, run)


def begun_or_continued(settings: Settings, folder: Path, found: FoundRun | None = None) -> Trainer:
    """Return a new run in a folder, or continue the run that the folder holds.

    Runs of objects that a program passed begin anew, in a folder beside it.

    Args:
        settings: The settings of a new run.
        folder: The folder.
        found: The run that the folder holds, if it has been read before.
    """
    if settings.objects.is_empty and any(folder.glob("*.safetensors")):
        found = found or find_run(folder)
        return Trainer.resume(found, trust_code=names_no_other_code(found, settings))
    return Trainer(settings, folder)


def send_outcome(parent: Connection, run: "Callable[[StopRequest], dict[str, Any] | None]") -> None:
    """Run something in a process of its own, and send its result or its error to the parent.

    Args:
        parent: The pipe to the parent.
        run: Returns the result; None if it was stopped.
    """
    outcome: dict[str, Any] | Exception | None
    try:
        outcome = run(StopRequest(parent))
    except ActorCriticError as error:
        outcome = error
    except Exception:  # a bug: sent as text, because not every exception can be pickled
        outcome = RuntimeError(traceback.format_exc())
    with contextlib.suppress(OSError):  # the parent may have ended
        parent.send(outcome)


class StopRequest:
    """Ends the run in a seed's process after its epoch: on SIGTERM, SIGHUP, or the parent's request or death.

    Ctrl-C is ignored here. The parent receives it too, and passes it on as a request.

    Attributes:
        is_asked: Whether a stop was requested.
    """

    def __init__(self, parent: Connection) -> None:
        """Install the handlers, and listen to the parent."""
        self.is_asked = parent.poll()  # checked now, because the thread below may start late
        self._trainer: Trainer | None = None
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for number in _SIGNALS:
            if number != signal.SIGINT:
                signal.signal(number, here_alone(self._on_signal))
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        threading.Thread(target=self._listen, args=(parent,), daemon=True).start()

    @contextlib.contextmanager
    def ends(self, trainer: Trainer) -> Iterator[None]:
        """Stop this run if a stop is requested before or during the block; then close it."""
        self._trainer = trainer
        try:
            if self.is_asked:
                trainer.stop(INTERRUPTED)
            yield
        except Interrupted:
            log.info("interrupted in the evaluation of the last weights")
        finally:
            self._trainer = None
            trainer.close()

    def _listen(self, parent: Connection) -> None:
        with contextlib.suppress(EOFError, OSError):  # the parent is dead
            parent.recv()
        signal.raise_signal(signal.SIGTERM)  # the handler runs in the main thread, so never twice at a time

    def _on_signal(self, *_: object) -> None:
        if self.is_asked:
            return
        self.is_asked = True
        if self._trainer is not None:
            self._trainer.interrupt()


@contextlib.contextmanager
def _held_back_signals() -> Iterator[None]:
    """Block signals in this block; a process started in it keeps them blocked until it unblocks them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # its start would unblock the signals, so it must not happen in the block
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
