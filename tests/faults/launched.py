"""Ranks that torchrun starts: on this machine, or on two hosts that are network namespaces of it."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from tests.faults.link import ADDRESSES
from tests.nursery import ROOT

_MARK = "ACTOR_CRITIC_TEST"
_PORT = 29500
_PATIENCE = 150.0

Rank = psutil.Process


def why_no_hosts() -> str:
    """Why there can be no two hosts here; empty if there can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "network namespaces need root on Linux"
    if not shutil.which("ip") or not shutil.which("unshare"):
        return "network namespaces need the commands ip (iproute2) and unshare (util-linux)"
    if not os.access("/dev/net/tun", os.W_OK):
        return "the link between the namespaces needs /dev/net/tun"
    tried = subprocess.run(["unshare", "--net", "--uts", "ip", "link", "set", "lo", "up"], capture_output=True)
    return "" if tried.returncode == 0 else "this system does not allow network namespaces"


class Agent:
    """One torchrun, with its ranks."""

    def __init__(self, folder: Path, command: list[str], variables: dict[str, str]) -> None:
        """Start it in a folder.

        Args:
            folder: Where.
            command: All words.
            variables: Of its environment, besides those of this process.
        """
        self._mark = uuid.uuid4().hex
        self._output = [folder / f"{name}_{self._mark[:8]}" for name in ("out", "err")]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("TORCHELASTIC", "PET_"))}
        with open(self._output[0], "wb") as out, open(self._output[1], "wb") as err:
            self._popen = subprocess.Popen(
                command,
                cwd=folder,
                env={**inherited, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **variables, _MARK: self._mark},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    @property
    def has_ended(self) -> bool:
        return self._popen.poll() is not None

    def wait(self, patience: float = _PATIENCE) -> int:
        """Return the exit code."""
        return self._popen.wait(patience)

    @property
    def out(self) -> str:
        return self._output[0].read_text()

    @property
    def err(self) -> str:
        return self._output[1].read_text()

    @property
    def errors(self) -> list[str]:
        """What the ranks say of an error, without what torchrun says."""
        return [line.removeprefix("error: ") for line in self.err.splitlines() if line.startswith("error: ")]

    @property
    def codes(self) -> list[int]:
        """The exit codes of the failed ranks, as torchrun's last words tell them."""
        return [int(code) for code in re.findall(r"^ *exitcode +: (-?\d+) ", self.err, re.MULTILINE)]

    def processes(self) -> list[psutil.Process]:
        """Return the processes that it started and that still run, and itself."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(_MARK) == self._mark:
                    found.append(process)
        return found

    def ranks(self) -> dict[int, psutil.Process]:
        """Return the running ranks by number."""
        found = {}
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                variables = process.environ()
                if "RANK" in variables and "multiprocessing" not in " ".join(process.cmdline()):
                    found[int(variables["RANK"])] = process
        return found

    def kill(self) -> None:
        """End torchrun alone, as a lack of memory would."""
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                if "RANK" not in process.environ():
                    process.kill()

    def send(self, number: int) -> None:
        """Send a signal to torchrun."""
        os.kill(self._popen.pid, number)

    def left_behind(self, patience: float = 20.0) -> list[str]:
        """Return the processes that do not leave within seconds of its end; they are ended now."""
        deadline = time.monotonic() + patience
        while (found := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.05)
        told = []
        for process in found:
            with contextlib.suppress(psutil.Error):
                told.append(" ".join(process.cmdline()))
                process.kill()
        return told

    def end_all(self) -> None:
        """End what a test that failed has left running."""
        self.left_behind(0.0)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(5)


def torchrun(folder: Path, *command: str, ranks: int = 2, options: tuple[str, ...] = (), **variables: str) -> Agent:
    """Start a command of ours on ranks of this machine.

    Args:
        folder: Where.
        command: The command line.
        ranks: How many.
        options: Of torchrun.
        variables: Of the environment.
    """
    folder.mkdir(parents=True, exist_ok=True)
    words = [*_TORCHRUN, "--standalone", f"--nproc-per-node={ranks}", *options, "-m", "actor_critic", *command]
    return Agent(folder, words, variables)


_TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]


class Hosts:
    """Two hosts with names and addresses of their own, a cable between them, and one file system."""

    def __init__(self, folder: Path) -> None:
        """Build them.

        Args:
            folder: Where commands start.
        """
        self.folder = folder
        mark = f"{os.getpid()}-{uuid.uuid4().hex[:4]}"
        self.names = [f"actor-{mark}-{host}" for host in "ab"]
        for own, name in enumerate(self.names):
            subprocess.run(["ip", "netns", "add", name], check=True)
            # As Debian and Ubuntu write it: the own name is an address of the loopback interface.
            own_name, other = f"127.0.1.1 {name}", f"{ADDRESSES[1 - own]} {self.names[1 - own]}"
            # Otherwise torchrun waits a quarter of an hour behind a cut link, as docs/several_machines.md says.
            sysctl = ["sysctl", "-qw", "net.ipv4.tcp_retries2=6"]
            subprocess.run(["ip", "netns", "exec", name, *sysctl], check=True)
            settings = Path("/etc/netns") / name
            settings.mkdir(parents=True)
            (settings / "hosts").write_text(f"127.0.0.1 localhost\n{own_name}\n{other}\n")
        self._link = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.link", *self.names],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._link.stdout
        assert self._link.stdout.readline() == "up\n"

    def set(self, **how: Any) -> None:
        """Set delay, rate, loss or ``is_cut`` of the cable; see ``tests.faults.link``."""
        assert self._link.stdin and self._link.stdout
        self._link.stdin.write(json.dumps(how) + "\n")
        self._link.stdin.flush()
        assert self._link.stdout.readline() == "set\n"

    def pull(self, host: int) -> None:
        """Take an interface down, as an administrator does."""
        subprocess.run(["ip", "-n", self.names[host], "link", "set", "cable", "down"], check=True)

    def plug(self, host: int) -> None:
        """Take it up again."""
        subprocess.run(["ip", "-n", self.names[host], "link", "set", "cable", "up"], check=True)

    def torchrun(
        self, *command: str, ranks: int = 1, options: tuple[str, ...] = (), endpoint: str = "", **variables: str
    ) -> list[Agent]:
        """Start a command of ours on both hosts.

        Args:
            command: The command line.
            ranks: How many on each host.
            options: Of torchrun.
            endpoint: Where the agents meet; the name of the first host by default.
            variables: Of the environment.
        """
        meet = f"--rdzv-endpoint={endpoint or self.names[0]}:{_PORT}"
        words = [*_TORCHRUN, "--nnodes=2", f"--nproc-per-node={ranks}", "--rdzv-backend=c10d", meet, "--rdzv-id=test"]
        words += [*options, "-m", "actor_critic", *command]
        return [Agent(self.folder, [*self._enter(name), *words], variables) for name in self.names]

    def _enter(self, name: str) -> list[str]:
        return ["ip", "netns", "exec", name, "unshare", "--uts", "sh", "-c", f'hostname {name} && exec "$@"', "sh"]

    def close(self) -> None:
        """Remove them."""
        assert self._link.stdin and self._link.stdout
        self._link.stdin.close()
        self._link.stdout.close()
        self._link.wait(10)
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], check=True)
            shutil.rmtree(Path("/etc/netns") / name)


@contextlib.contextmanager
def two_hosts(folder: Path) -> Iterator[Hosts]:
    """Two hosts while the block runs."""
    folder.mkdir(parents=True, exist_ok=True)
    hosts = Hosts(folder)
    try:
        yield hosts
    finally:
        hosts.close()
