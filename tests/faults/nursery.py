"""Commands in processes of their own that begin at once: forked from one that has imported everything.

Importing PyTorch takes seconds, and a campaign starts hundreds of processes. What is forked has no threads yet, and
from there on it is the command itself, with its own signals, its own exit and its own workers.
"""

import contextlib
import importlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
_PATIENCE = 120.0  # seconds; of a machine that others use as well


class Process:
    """A command that is running in a folder, in a session of its own."""

    def __init__(self, nursery: "Nursery", pid: int, folder: Path) -> None:
        self._nursery = nursery
        self.pid = pid
        self._folder = folder
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

    def wait(self) -> int:
        """The exit code, or the signal that ended it with a minus before it."""
        if self._code is None:
            wait_until(lambda: self.has_ended, "the process to end", lambda: self.send(signal.SIGKILL))
            self._code = self._nursery.ask({"reap": self.pid})
        return self._code

    def kill(self) -> None:
        """End it as a crash of the machine would, leaving it no word."""
        self.send(signal.SIGKILL)
        self.wait()

    @property
    def out(self) -> str:
        return (self._folder / "out").read_text()

    @property
    def err(self) -> str:
        return (self._folder / "err").read_text()

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
        environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "default"}
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
        """Start a command in a folder.

        Args:
            folder: Where; its output goes to the files ``out`` and ``err`` there.
            arguments: Of the command line.
            how: ``is_stopped``: the process waits for SIGCONT before it begins. ``max_file``: bytes that a file may
                have. ``begin_at``: seconds since 1970 at which it makes its run folder.
        """
        folder.mkdir(parents=True, exist_ok=True)
        return Process(self, self.ask({"folder": str(folder), "arguments": arguments, **how}), folder)

    def run(self, folder: Path, *arguments: str, **how: Any) -> tuple[int, str]:
        """Run a command to its end: its exit code and what it said on standard error."""
        process = self.start(folder, *arguments, **how)
        return process.wait(), process.err

    def ask(self, order: dict[str, Any]) -> int:
        assert self._server.stdin and self._server.stdout
        self._server.stdin.write(json.dumps(order) + "\n")
        return int(self._server.stdout.readline())

    def close(self) -> None:
        self._server.communicate()


def wait_until(is_so: Any, what: str, otherwise: Any = None) -> None:
    """Wait until something is so, asking a thousand times a second."""
    deadline = time.monotonic() + _PATIENCE
    while not is_so():
        if time.monotonic() > deadline:
            if otherwise:
                otherwise()
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
        print(answer, flush=True)


def _become(
    folder: str,
    arguments: list[str],
    is_stopped: bool = False,
    max_file: int | None = None,
    begin_at: float | None = None,
) -> None:
    """Be the command from here on."""
    os.setsid()
    os.chdir(folder)
    for number, path in enumerate((os.devnull, "out", "err")):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, number)
        os.close(descriptor)
    for name, number in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
        setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # The workers' own server imports once what each of them needs.
    multiprocessing.set_forkserver_preload(["actor_critic.environments", "tests.toys"])
    if max_file is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (max_file, resource.RLIM_INFINITY))
    if is_stopped:
        os.kill(os.getpid(), signal.SIGSTOP)
    if begin_at is not None:
        _train_at(begin_at)
        sys.exit(0)
    from actor_critic.cli import main

    sys.argv = ["actor-critic", *arguments]
    main()


def _train_at(moment: float) -> None:
    """Make the run folder at a moment that others wait for as well."""
    from actor_critic import Config, Trainer
    from actor_critic.storage.runs import timestamped_path

    trainer = Trainer(Config(environment="CartPole-v1", preset="none", num_epochs=2, evaluation_episodes=1))
    time.sleep(max(0.0, moment - time.time()))
    print(trainer.keep_in(timestamped_path(Path())), flush=True)
    for _ in trainer:
        pass


def _import_everything() -> None:
    for name in ("actor_critic.cli.train", "actor_critic.cli.resume", "actor_critic.cli.seeds", "tests.toys"):
        importlib.import_module(name)
    from actor_critic import Config, Trainer

    settings: dict[str, Any] = {"environment": "CartPole-v1", "preset": "none", "num_epochs": 1, "clip_coef": 0.2}
    for backend in ("eager", "fused"):  # each loads more with its first step
        for _ in Trainer(Config(**settings, backend=backend)):
            pass


if __name__ == "__main__":
    _import_everything()
    _serve()
