"""Start programs on several ranks of this machine."""

import os
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def without_torchrun(machines: str, *words: str, folder: Path, seconds: float = 120.0) -> list[tuple[int, str]]:
    """Run ``python -m WORDS`` on ranks that variables alone tell of each other.

    Args:
        machines: The machine that each rank counts as on, one character for each.
        words: A module and its arguments.
        folder: Where.
        seconds: The time limit.

    Returns:
        The exit code of each rank, and what it printed on standard error.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    common = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(len(machines))}
    common |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", *words], cwd=folder, stderr=subprocess.PIPE, text=True,
            env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank), "GROUP_RANK": machine},
        )
        for rank, machine in enumerate(machines)
    ]  # fmt: skip
    try:
        return [(process.returncode, text) for process in started for _, text in [process.communicate(timeout=seconds)]]
    finally:
        for process in started:
            process.kill()


def on_ranks(
    size: int, *words: str, folder: Path, options: tuple[str, ...] = (), seconds: float = 240.0
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m WORDS`` on several ranks in a folder, and return what torchrun returned and printed."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={size}", *options]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    return subprocess.run(
        [*torchrun, "-m", *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=seconds,
        check=False,
    )  # fmt: skip
