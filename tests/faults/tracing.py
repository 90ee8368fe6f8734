"""The system calls of a command, as strace sees them: read, failed, or made its last, from outside of the product."""

import os
import re
import shutil
import signal
import subprocess
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.nursery import Nursery, Process, wait_until

CALLS = ("openat", "write", "fsync", "rename", "link", "linkat", "unlink", "mkdir")
"""Those by which a run writes."""

_LINE = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+)")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_FILE = re.compile(r"^(?:\d+|AT_FDCWD)<((?:\\x[0-9a-f]{2})+)>")


@dataclass(frozen=True)
class Call:
    """One system call.

    Attributes:
        name: Of the call.
        number: Which of the calls of this name by this thread, from 1.
        path: The file that it is about, or that is renamed or linked.
        target: The new name.
        data: What is written.
        is_new: Whether a file may be made by it.
        has_failed: Whether it did.
        is_main: Whether the thread that trains made it.
    """

    name: str
    number: int
    path: str
    target: str
    data: bytes
    is_new: bool
    has_failed: bool
    is_main: bool


@cache
def why_not() -> str:
    """Why no process can be traced here; empty if one can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    command = ["strace", "-f", "-e", "inject=fsync:error=EIO:when=1", "true"]
    result = subprocess.run(command, capture_output=True, text=True)
    return "" if result.returncode == 0 else f"strace does not work here: {result.stderr.strip()}"


@dataclass(frozen=True)
class Traced:
    """A command, and the strace that looks at it."""

    process: Process
    strace: subprocess.Popen[bytes]

    def wait(self) -> int:
        """The exit code, once all that was seen is written down."""
        code = self.process.wait()
        self.strace.wait()
        return code

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def err(self) -> str:
        return self.process.err


def start(nursery: Nursery, folder: Path, command: list[str], *options: str, **how: Any) -> Traced:
    """Start a command that strace looks at from its first call on; what it sees goes to the file ``trace`` there."""
    process = nursery.start(folder, *command, is_stopped=True, **how)
    wait_until(lambda: _status(process.pid)["State"].startswith(("T", "t")), "the process to stop")
    watched = f"trace={','.join(CALLS)}"
    strace = subprocess.Popen(
        ["strace", "-f", "-y", "-xx", "-s", "100000000", "-o", str(folder / "trace"), "-e", watched]
        + [word for option in options for word in ("-e", option)]
        + ["-p", str(process.pid)],
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: _status(process.pid)["TracerPid"] != "0", "strace")
    os.kill(process.pid, signal.SIGCONT)
    return Traced(process, strace)


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def read(folder: Path, pid: int) -> list[Call]:
    """The calls that :func:`start` saw, in their order."""
    calls = []
    counts: Counter[tuple[str, str]] = Counter()
    for line in (folder / "trace").read_text().splitlines():
        match = _LINE.match(line)
        if not match:
            continue
        thread, name, arguments, result = match.groups()
        counts[thread, name] += 1
        file = _FILE.match(arguments)
        texts = [_bytes(text) for text in _TEXT.findall(arguments)]
        if name in ("write", "fsync"):
            paths = [os.fsdecode(_bytes(file[1])) if file else ""]
        else:
            paths = [os.path.join(folder, os.fsdecode(text)) for text in texts]
        calls.append(
            Call(
                name,
                counts[thread, name],
                paths[0],
                paths[-1],
                texts[0][: int(result)] if name == "write" and int(result) >= 0 else b"",
                "O_CREAT" in arguments,
                int(result) < 0,
                thread == str(pid),
            )
        )
    return calls


def _bytes(escaped: str) -> bytes:
    return bytes.fromhex(escaped.replace("\\x", ""))
