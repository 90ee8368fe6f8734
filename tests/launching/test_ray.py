"""Runs on a Ray cluster."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("ray")

from tests.launching.clusters import RUN, LocalCluster, command, digests, finished

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # Ray does not wait for the processes that it ends


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    cluster = LocalCluster(2)
    yield cluster
    cluster.close()


def test_a_run_on_two_nodes_is_the_run_of_torchrun(cluster: LocalCluster, tmp_path: Path) -> None:
    ray = ["--launcher", "ray", "--ray-address", cluster.address]
    out = finished(command(tmp_path / "ray", "train", *RUN, *ray, "--ranks", "2", "--run-folder", "run"))
    assert "epoch 40/40" in out
    assert "kept in run" in out
    folder = tmp_path / "ray/run"
    names = {path.name for path in folder.iterdir()}
    assert {"settings.json", "metrics.csv", "evaluation.json", "best.safetensors", "last.safetensors"} <= names
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "actor_critic"]
    (tmp_path / "torchrun").mkdir()
    (tmp_path / "torchrun/slow.py").write_text((tmp_path / "ray/slow.py").read_text())
    subprocess.run(
        [sys.executable, *launcher, "train", *RUN, "--run-folder", "run"],
        cwd=tmp_path / "torchrun",
        check=True,
        capture_output=True,
        timeout=120,
    )
    assert len(digests(folder)) >= 8
    assert digests(folder) == digests(tmp_path / "torchrun/run")
