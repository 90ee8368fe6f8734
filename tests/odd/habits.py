"""Side effects of an environment on its process. None of them changes the result of a run."""

import contextlib
import gc
import io
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch


class Habit:
    """A side effect that repeats in each call of one kind; closing the environment ends it."""

    def act(self) -> None:
        """Cause the side effect."""

    def end(self) -> None:
        """Clean up."""


class _Does(Habit):
    def __init__(self, what: Callable[[], object]) -> None:
        self.act = what  # type: ignore[method-assign, assignment]


class _Thread(Habit):
    def __init__(self) -> None:
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def act(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._over.wait, daemon=True)
            self._thread.start()

    def end(self) -> None:
        if self._thread is not None:
            self._over.set()
            self._thread.join()


class _Child(Habit):
    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None

    def act(self) -> None:
        if self._child is None:
            self._child = subprocess.Popen(["sleep", "600"], stdin=subprocess.DEVNULL)

    def end(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.wait()


class _OpenFile(Habit):
    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115

    def act(self) -> None:
        self._file.write(b"step\n")

    def end(self) -> None:
        self._file.close()


class _Forked(Habit):
    """Forks a child that ends by os._exit, without closing files of this package."""

    def act(self) -> None:
        if (pid := os.fork()) == 0:
            os._exit(0)
        os.waitpid(pid, 0)


def _elsewhere() -> None:
    os.chdir(tempfile.gettempdir())


def _print() -> None:
    print("step " * 3)


def _print_error() -> None:
    print("libGL error", file=sys.stderr)


def _write_out() -> None:
    os.write(1, b"[simulator] step\n")


def _write_error() -> None:
    os.write(2, b"[simulator] step\n")


def _replace_output() -> None:
    sys.stdout = sys.stderr = io.StringIO()


def _log() -> None:
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr, force=True)
    logging.getLogger("simulator").debug("step")


def _warn() -> None:
    warnings.warn("odd: this simulator is old", UserWarning, stacklevel=1)


def _handle_signals() -> None:
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, frame: None)


def _keep_file() -> None:
    with contextlib.suppress(FileExistsError), Path("simulator.log").open("x") as file:
        file.write("step\n")


def _seed() -> None:
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


def _forget_environment() -> None:
    for name in ("HOME", "PATH", "TMPDIR", "OMP_NUM_THREADS"):
        os.environ.pop(name, None)
    os.environ["CUDA_VISIBLE_DEVICES"] = "7"


def _habit(what: Callable[[], object]) -> Callable[[], Habit]:
    return lambda: _Does(what)


HABITS: dict[str, Callable[[], Habit]] = {
    "prints": _habit(_print),
    "prints to standard error": _habit(_print_error),
    "writes to standard output below Python": _habit(_write_out),
    "writes to standard error below Python": _habit(_write_error),
    "replaces sys.stdout and sys.stderr": _habit(_replace_output),
    "sets up logging": _habit(_log),
    "switches logging off": _habit(lambda: logging.disable(logging.CRITICAL)),
    "warns": _habit(_warn),
    "makes warnings errors": _habit(lambda: warnings.simplefilter("error")),
    "changes the working directory": _habit(_elsewhere),
    "changes environment variables": _habit(_forget_environment),
    "seeds the global generators": _habit(_seed),
    "draws from the global generators": _habit(lambda: (random.random(), np.random.rand(), torch.rand(1))),
    "sets torch's default dtype": _habit(lambda: torch.set_default_dtype(torch.float64)),
    "switches torch's gradients off": _habit(lambda: torch.set_grad_enabled(False)),
    "sets torch's threads": _habit(lambda: torch.set_num_threads(2)),
    "makes NumPy raise": _habit(lambda: np.seterr(all="raise")),
    "starts a thread": _Thread,
    "starts a child process": _Child,
    "forks": _Forked,
    "opens a file": _OpenFile,
    "writes a file": _habit(_keep_file),
    "handles SIGINT and SIGTERM": _habit(_handle_signals),
    "switches garbage collection off": _habit(gc.disable),
    "changes the recursion limit": _habit(lambda: sys.setrecursionlimit(2000)),
    "changes how NumPy prints": _habit(lambda: np.set_printoptions(precision=1, threshold=3)),
}
"""Side effects, each with a function that makes the habit."""
