"""Ranks on several machines, with equal and unequal numbers on each; variables say which machine a rank is on."""

import os
import socket
import subprocess
import sys

import pytest

from tests.ranks.launch import ROOT

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("machines", ["001", "01", "0011"])
def test_every_exchange_gives_all_ranks_the_same(machines: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    common = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(len(machines))}
    common |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.ranks.hosts"], cwd=ROOT, stderr=subprocess.PIPE, text=True,
            env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank), "GROUP_RANK": machine},
        )
        for rank, machine in enumerate(machines)
    ]  # fmt: skip
    try:
        for process in started:
            _, errors = process.communicate(timeout=60)
            assert process.returncode == 0, errors[-2000:]
    finally:
        for process in started:
            process.kill()
