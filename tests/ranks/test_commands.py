"""The command ``train`` on two ranks: what it prints, and how it ends."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from actor_critic.training import find_run
from tests.ranks.launch import ROOT, on_ranks

pytestmark = pytest.mark.slow

LONG = ("--environment", "CartPole-v1", "--num-envs", "8", "--batch-size", "512", "--num-epochs", "20000",
        "--checkpoint-interval", "10000", "--no-report", "--run-folder", "run")  # fmt: skip


def begin(folder: Path, *options: str) -> subprocess.Popen[str]:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [*torchrun, "-m", "actor_critic", "train", *LONG], cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def wait_for_epochs(folder: Path, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    metrics = folder / "run/metrics.csv"
    while not (metrics.exists() and metrics.read_text().count("\n") > 5):
        assert time.monotonic() < deadline, "no epoch was trained"
        time.sleep(0.1)


def ranks_of(agent: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return the processes of the ranks, in order."""
    found = {}
    for child in psutil.Process(agent.pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):  # or a zombie
            if "train" in child.cmdline():
                found[child.environ()["RANK"]] = child
    return [found[rank] for rank in sorted(found)]


@pytest.mark.parametrize("whom", ["rank 1", "torchrun"])
def test_a_signal_ends_all_ranks_with_one_checkpoint_and_one_message(whom: str, tmp_path: Path) -> None:
    agent = begin(tmp_path)
    try:
        wait_for_epochs(tmp_path)
        processes = ranks_of(agent)
        assert len(processes) == 2
        os.kill(processes[1].pid if whom == "rank 1" else agent.pid, signal.SIGTERM)
        printed, _ = agent.communicate(timeout=60)
    finally:
        agent.kill()
    found = find_run(tmp_path / "run")
    assert 0 < found.checkpoint.counters["epoch"] < 20000
    assert found.checkpoint.counters["epoch"] == max(
        int(line.split(",")[0]) for line in (tmp_path / "run/metrics.csv").read_text().splitlines()[1:]
    )
    assert printed.count("continue with: ") == 1
    assert printed.count("run folder run") == 1
    assert not [process for process in processes if process.is_running() and process.status() != "zombie"]
    if whom == "rank 1":
        assert printed.count("exitcode  : 143") == 2


def test_a_lost_rank_is_one_error_and_torchrun_continues(tmp_path: Path) -> None:
    agent = begin(tmp_path, "--max-restarts=1")
    try:
        wait_for_epochs(tmp_path)
        first = ranks_of(agent)
        first[1].kill()
        deadline = time.monotonic() + 60
        while [process.pid for process in ranks_of(agent)] == [process.pid for process in first] or (
            len(ranks_of(agent)) < 2
        ):
            assert time.monotonic() < deadline, "the ranks were not started again"
            time.sleep(0.1)
        while not (tmp_path / "run_2").exists():
            assert time.monotonic() < deadline + 60, "the run did not begin again"
            time.sleep(0.1)
        wait_for_epochs(tmp_path)
        os.kill(agent.pid, signal.SIGTERM)
        printed, _ = agent.communicate(timeout=60)
    finally:
        agent.kill()
    lost = f"rank 1, process {first[1].pid}, has ended; the run ends in epoch"
    assert re.search(rf"^error: (rank 0, .+: )?{lost} \d+, before its first checkpoint$", printed, re.MULTILINE)
    assert "run holds a run that ended before its first checkpoint; it is now run_2\n" in printed
    assert find_run(tmp_path / "run").checkpoint.counters["epoch"] > 0


def test_several_seeds_and_environments_that_cannot_be_divided_are_one_error(tmp_path: Path) -> None:
    for words, code, expected in (
        (("--seeds", "1", "2"), 2, "ranks: train --seeds runs several trainings, and this process is rank 0"),
        (
            ("--batch-size", "31"),
            2,
            "batch_size: 31 environments cannot be divided among 2 ranks; set batch_size",
        ),
    ):
        done = on_ranks(2, "actor_critic", "train", "--num-epochs", "2", *words, folder=tmp_path)
        assert f"exitcode  : {code}" in done.stderr
        assert expected in done.stderr
        assert not list(tmp_path.glob("checkpoints_*"))
    assert done.stderr.count("error: ") == 1
