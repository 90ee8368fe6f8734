"""A Ray cluster of several nodes on this machine, and commands that use it."""

import csv
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

SLOW = """
import time

from gymnasium.envs.classic_control import CartPoleEnv


class Slow(CartPoleEnv):
    def reset(self, **how):
        self.steps = 0
        return super().reset(**how)

    def step(self, action):
        time.sleep(0.001)
        self.steps += 1
        state, reward, terminated, _, info = super().step(action)
        return state, reward, terminated, self.steps == 100, info
"""
"""An environment in the folder of the command: other machines know it only if its code is sent there."""

RUN = [
    "--environment",
    "slow:Slow",
    "--num-envs",
    "4",
    "--num-steps",
    "64",
    "--num-epochs",
    "40",
    "--checkpoint-interval",
    "5",
    "--hidden-dim",
    "8",
    "--backend",
    "eager",
    "--vectorization",
    "sync",
    "--no-report",
    "--evaluation-episodes",
    "2",
    "--seed",
    "3",
]


class LocalCluster:
    """A head node without CPUs, where commands run, and nodes with one CPU each."""

    def __init__(self, nodes: int) -> None:
        os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"  # otherwise Ray warns that this will change
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        from ray.cluster_utils import Cluster

        quick = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 4}
        head = {"num_cpus": 0, "include_dashboard": False, "_system_config": quick}
        self._cluster: Any = Cluster(initialize_head=True, head_node_args=head)
        self.nodes = [self._cluster.add_node(num_cpus=1, wait=False) for _ in range(nodes)]
        self._cluster.wait_for_nodes()

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def workers(self, title: str) -> list[tuple[Any, psutil.Process]]:
        """The processes with such a title, each with its node."""
        found = []
        for node in self.nodes:
            for raylet in node.live_processes():
                if raylet[0] == "raylet":
                    below = psutil.Process(raylet[1].pid).children(recursive=True)
                    found += [(node, process) for process in below if title in " ".join(process.cmdline())]
        return found

    def kill(self, node: Any) -> None:
        """Kill all processes of a node."""
        self.nodes.remove(node)
        self._cluster.remove_node(node, allow_graceful=False)

    def close(self) -> None:
        self._cluster.shutdown()


def command(folder: Path, *words: str) -> "subprocess.Popen[str]":
    """Start a command in a folder that holds the environment."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "slow.py").write_text(SLOW)
    return subprocess.Popen(
        [sys.executable, "-m", "actor_critic", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finished(process: "subprocess.Popen[str]", code: int = 0) -> str:
    """Wait for a command, and return what it printed."""
    out, _ = process.communicate(timeout=240)
    assert process.returncode == code, out
    return out


def when(condition: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    """Wait until something is so; the command must still run then."""
    deadline = time.monotonic() + 240
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.1)


def digests(folder: Path) -> dict[str, str]:
    """The digests in the metrics of a run, by epoch."""
    with (folder / "metrics.csv").open() as stream:
        return {row["epoch"]: row["digest"] for row in csv.DictReader(stream) if row["digest"]}


def with_torchrun(folder: Path) -> None:
    """Train the run on two ranks of this machine."""
    folder.mkdir()
    (folder / "slow.py").write_text(SLOW)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "actor_critic"]
    words = [sys.executable, *launcher, "train", *RUN, "--run-folder", "run"]
    subprocess.run(words, cwd=folder, check=True, capture_output=True, timeout=120)
