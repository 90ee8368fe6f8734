"""Python in processes of its own that begin at once: forked from one that has imported everything.

Importing PyTorch takes seconds, and the tests start hundreds of processes. What is forked has no threads yet, and from
there on it is the command or the script itself, with its own signals, its own exit and its own workers. A test of
imports, of the hash seed, or of variables that are read at an import starts Python itself.
"""

import contextlib
import importlib
import json
import multiprocessing
import os
import runpy
import select
import signal
import subprocess
import sys
import tempfile
import time
import types
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from tests.plain import PLAIN

ROOT = Path(__file__).parents[1]
WORKERS_IMPORT = ["actor_critic.environments", "tests.toys"]
"""What the server of environment workers imports once, so that each worker begins at once."""

_PATIENCE = 120.0  # seconds; of a machine that others use as well


class Process:
    """A command that is running in a folder, in a session of its own."""

    def __init__(self, nursery: "Nursery", pid: int, output: Path) -> None:
        self._nursery = nursery
        self.pid = pid
        self._output = output
        self._code: int | None = None

    @property
    def has_ended(self) -> bool:
        return self._code is not None or psutil.Process(self.pid).status() == psutil.STATUS_ZOMBIE

    def send(self, number: int, to_all: bool = False) -> None:
        """Send a signal; to all, as a terminal does to every process of the session."""
        if to_all:
            os.killpg(self.pid, number)
        else:
            os.kill(self.pid, number)

    def wait(self, patience: float = _PATIENCE) -> int:
        """The exit code, or the signal that ended it with a minus before it; after ``patience`` seconds, an error."""
        if self._code is None:
            self._code = self._nursery.reap(self.pid, patience)
        return self._code

    def kill(self) -> None:
        """End it as a crash of the machine would, leaving it no word."""
        self.send(signal.SIGKILL)
        self.wait()

    @property
    def out(self) -> str:
        return (self._output / "out").read_text()

    @property
    def err(self) -> str:
        return (self._output / "err").read_text()

    def left_behind(self) -> list[str]:
        """Processes of the session that do not leave within seconds of its end; they are ended now."""
        deadline = time.monotonic() + 20
        while (found := self._session()) and time.monotonic() < deadline:
            time.sleep(0.02)
        told = []
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                told.append(" ".join(process.cmdline()))
                process.kill()
        return told

    def end_all(self) -> None:
        """End what a test that failed has left running."""
        for process in self._session():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.wait()

    def _session(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
                if os.getsid(process.pid) == self.pid and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found


class Nursery:
    """The process that the others are forked from."""

    def __init__(self) -> None:
        self._outputs = tempfile.TemporaryDirectory()
        environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}  # of what it imports
        self._server = subprocess.Popen(
            [sys.executable, "-m", __name__],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def start(self, folder: Path, *arguments: str, **how: Any) -> Process:
        """Start a command, ``actor-critic`` with these arguments, whose output goes to ``out`` and ``err`` there.

        Args:
            folder: Where.
            arguments: Of the command line.
            how: As for :meth:`python`.
        """
        return self.python(folder, "-m", "actor_critic", *arguments, output=folder, **how)

    def python(self, folder: Path, *words: str, output: Path | None = None, **how: Any) -> Process:
        """Start Python in a folder.

        Args:
            folder: Where.
            words: Python's own arguments, without options: ``-m`` and a module, ``-c`` and code, or a file; and what
                the program is given.
            output: The folder that gets the files ``out`` and ``err``; by default it is another one.
            how: ``warn``: what happens to warnings, "default" or "error". ``is_stopped``: the process waits for
                SIGCONT before it begins. ``max_file``: bytes that a file may have.
        """
        folder.mkdir(parents=True, exist_ok=True)
        output = output or Path(tempfile.mkdtemp(dir=self._outputs.name))
        for name in ("out", "err"):
            (output / name).write_bytes(b"")  # so that it can be read at once
        return Process(self, self.ask({"folder": str(folder), "output": str(output), "words": words, **how}), output)

    def run(self, folder: Path, *arguments: str, **how: Any) -> tuple[int, str]:
        """Run a command to its end: its exit code and what it said on standard error."""
        process = self.start(folder, *arguments, **how)
        return process.wait(), process.err

    def ask(self, order: dict[str, Any]) -> int:
        assert self._server.stdin and self._server.stdout
        self._server.stdin.write(json.dumps(order) + "\n")
        return int(self._server.stdout.readline())

    def reap(self, pid: int, patience: float) -> int:
        """Wait for a process to end, and return its exit code; it is ended after ``patience`` seconds."""
        assert self._server.stdin and self._server.stdout
        self._server.stdin.write(json.dumps({"reap": pid}) + "\n")
        is_late = not select.select([self._server.stdout], [], [], patience)[0]
        if is_late:
            os.kill(pid, signal.SIGKILL)
        code = int(self._server.stdout.readline())
        if is_late:
            raise TimeoutError(f"waited {patience:.0f} seconds for the process to end")
        return code

    def close(self) -> None:
        self._server.communicate()
        self._outputs.cleanup()


def wait_until(is_so: Any, what: str) -> None:
    """Wait until something is so, asking a thousand times a second."""
    deadline = time.monotonic() + _PATIENCE
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {_PATIENCE:.0f} seconds for {what}")
        time.sleep(0.001)


def _serve() -> None:
    """Fork a process for every order that is read, in which this returns."""
    for line in sys.stdin:
        order = json.loads(line)
        if "reap" in order:
            answer = os.waitstatus_to_exitcode(os.waitpid(order["reap"], 0)[1])
        elif (answer := os.fork()) == 0:
            _become(**order)
            return
        print(answer, flush=True)
    os._exit(0)  # what was imported has nothing to clean up


def _become(
    folder: str,
    output: str,
    words: list[str],
    warn: str = "default",
    is_stopped: bool = False,
    max_file: int | None = None,
) -> None:
    """Be the program from here on."""
    os.setsid()
    os.chdir(folder)
    multiprocessing.process.ORIGINAL_DIR = folder  # type: ignore[attr-defined]
    for number, path in enumerate((os.devnull, os.path.join(output, "out"), os.path.join(output, "err"))):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = sys.__stdout__ = open(1, "w", closefd=False)  # type: ignore[misc]  # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(2, "w", 1, errors="backslashreplace", closefd=False)  # type: ignore[misc]  # noqa: SIM115
    signal.signal(signal.SIGINT, signal.default_int_handler)
    warnings.resetwarnings()
    warnings.simplefilter(warn)  # type: ignore[arg-type]
    sys.warnoptions[:] = [warn]
    os.environ["PYTHONWARNINGS"] = warn
    np.random.seed()  # Python's own generator seeds itself in a fork
    torch.seed()
    multiprocessing.set_forkserver_preload(WORKERS_IMPORT)
    if max_file is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (max_file, resource.RLIM_INFINITY))
    if is_stopped:
        os.kill(os.getpid(), signal.SIGSTOP)
    _run(*words)


def _run(first: str, *others: str) -> None:
    """Do what Python does with its arguments."""
    if first == "-m":
        module, *others = others
        sys.path[0], sys.argv = os.getcwd(), ["-m", *others]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    elif first == "-c":
        code, *others = others
        sys.path[0], sys.argv = "", ["-c", *others]
        main = sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(code, "<string>", "exec"), main.__dict__)
    else:
        sys.path[0], sys.argv = os.path.dirname(os.path.abspath(first)), [first, *others]
        runpy.run_path(os.path.abspath(first), run_name="__main__")


def _import_everything() -> None:
    for name in ("actor_critic.cli.train", "actor_critic.cli.resume", "actor_critic.cli.seeds", "tests.toys"):
        importlib.import_module(name)
    from actor_critic import Config, Trainer

    settings: dict[str, Any] = {"environment": "CartPole-v1", **PLAIN, "num_epochs": 1, "clip_coef": 0.2}
    for backend in ("eager", "fused"):  # each loads more with its first step
        for _ in Trainer(Config(**settings, backend=backend)):
            pass


if __name__ == "__main__":
    _import_everything()
    _serve()
