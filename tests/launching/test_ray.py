"""Runs on a Ray cluster."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("ray")

from tests.launching.clusters import RUN, LocalCluster, command, digests, finished, with_torchrun

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Ray does not wait for the processes that it ends
]


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
    with_torchrun(tmp_path / "torchrun")
    assert len(digests(folder)) >= 8
    assert digests(folder) == digests(tmp_path / "torchrun/run")


@pytest.mark.skipif("FAULTS" not in os.environ, reason="takes a minute; make faults runs it")
def test_a_cluster_that_is_too_small_and_a_storage_that_is_none_are_one_line(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    ray = ["--launcher", "ray", "--ray-address", cluster.address, "--run-folder", "run"]
    out = finished(command(tmp_path, "train", *RUN, *ray, "--ranks", "4"), code=2)
    assert "error: --ranks: 4 ranks need 1 CPU(s) each, and the Ray cluster has room for 2 (CPUs of" in out
    out = finished(command(tmp_path, "train", *RUN, *ray, "--ranks", "3"), code=2)
    assert "error: --ranks: 3 ranks cannot divide num_envs=4 environments among them; expected a divisor of 4" in out
    out = finished(command(tmp_path, "train", *RUN, *ray, "--ranks", "2", "--storage", "nowhere://there"), code=2)
    assert "error: --storage: nowhere://there cannot be used" in out
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif("FAULTS" not in os.environ, reason="takes a minute; make faults runs it")
def test_a_setting_that_the_ranks_refuse_is_not_tried_again(cluster: LocalCluster, tmp_path: Path) -> None:
    ray = ["--launcher", "ray", "--ray-address", cluster.address, "--ranks", "2", "--run-folder", "run"]
    words = [word if word != "slow:Slow" else "slow:Missing" for word in RUN]
    out = finished(command(tmp_path, "train", *words, *ray), code=2)
    assert "error: environment: 'slow:Missing' is not registered; slow has the class Slow" in out
