"""A worker and a node of a Ray cluster are killed during runs, seeds and a sweep."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("ray")

from tests.launching.clusters import RUN, LocalCluster, command, digests, finished, when, with_torchrun

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.environ.get("FAULTS"), reason="takes minutes; make faults runs it"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Ray does not wait for the processes that it ends
]

NODES = 3


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    cluster = LocalCluster(NODES)
    yield cluster
    cluster.close()


def words(cluster: LocalCluster) -> list[str]:
    return ["--launcher", "ray", "--ray-address", cluster.address]


def test_a_run_ends_with_the_digest_of_the_undisturbed_run(cluster: LocalCluster, tmp_path: Path) -> None:
    train = ["train", *RUN, *words(cluster), "--ranks", "2", "--run-folder"]
    finished(command(tmp_path / "undisturbed", *train, "run"))
    wanted = digests(tmp_path / "undisturbed/run")
    assert len(wanted) >= 8
    for fault in ("worker", "node"):
        storage = tmp_path / f"storage_{fault}"
        process = command(tmp_path / fault, *train, "run", "--storage", str(storage))
        when(lambda storage=storage: len(list(storage.glob("run/checkpoint_*/metrics.csv"))) >= 2, process)
        node, rank = cluster.workers("RayTrainWorker")[-1]
        if fault == "node":
            cluster.kill(node)
        else:
            rank.kill()
        out = finished(process)
        assert "was lost; the run continues after epoch" in out
        assert digests(tmp_path / fault / "run") == wanted
        assert (tmp_path / fault / "run/evaluation.json").exists()


def test_a_run_that_failed_or_was_stopped_continues(cluster: LocalCluster, tmp_path: Path) -> None:
    with_torchrun(tmp_path / "torchrun")
    folder = tmp_path / "ray"
    train = ["train", *RUN, *words(cluster), "--ranks", "2", "--run-folder", "run"]
    process = command(folder, *train, "--max-failures", "0", "--storage", "storage")
    when(lambda: len(list(folder.glob("storage/run/checkpoint_*/metrics.csv"))) >= 2, process)
    cluster.workers("RayTrainWorker")[-1][1].kill()
    out = finished(process, code=8)
    assert "was lost, and --max-failures allows no further restart" in out
    assert "kept in run up to epoch" in out
    process = command(folder, *train, "--storage", "storage")
    when(lambda: len(list(folder.glob("storage/run_*/checkpoint_*/metrics.csv"))) >= 1, process)
    process.send_signal(signal.SIGINT)
    out = finished(process, code=130)
    assert "continuing run after epoch" in out
    assert "continue with: " in out
    finished(command(folder, *train))
    assert digests(folder / "run") == digests(tmp_path / "torchrun/run")


def test_a_command_that_was_killed_is_given_again_and_continues(cluster: LocalCluster, tmp_path: Path) -> None:
    with_torchrun(tmp_path / "torchrun")
    folder = tmp_path / "ray"
    train = ["train", *RUN, *words(cluster), "--ranks", "2", "--run-folder", "run", "--storage"]
    train.append(f"file://{folder}/storage")
    process = command(folder, *train)
    when(lambda: len(list(folder.glob("storage/run/checkpoint_*/metrics.csv"))) >= 2, process)
    process.kill()
    process.wait()
    assert "epoch 2/40" not in finished(command(folder, *train))
    assert digests(folder / "run") == digests(tmp_path / "torchrun/run")


def test_seeds_lose_nothing_with_a_node(cluster: LocalCluster, tmp_path: Path) -> None:
    seeds = [*RUN[:-2], "--seeds", "1", "2", "3"]
    finished(command(tmp_path / "local", "train", *seeds))
    process = command(tmp_path / "ray", "train", *seeds, *words(cluster))
    when(lambda: bool(list((tmp_path / "ray").glob("checkpoints_*/seed_*/epoch_000010.safetensors"))), process)
    cluster.kill(cluster.workers("_work")[-1][0])
    finished(process)
    (local,), (ray,) = ((tmp_path / place).glob("checkpoints_*") for place in ("local", "ray"))
    for seed in (1, 2, 3):
        assert digests(ray / f"seed_{seed}") == digests(local / f"seed_{seed}")
    assert json.loads((ray / "seeds.json").read_text()) == json.loads((local / "seeds.json").read_text())


def test_a_sweep_loses_nothing_with_a_node(cluster: LocalCluster, tmp_path: Path) -> None:
    (tmp_path / "local").mkdir()
    (tmp_path / "ray").mkdir()
    for place in ("local", "ray"):
        (tmp_path / place / "space.json").write_text('{"learning_rate": {"low": 0.0001, "high": 0.01, "log": true}}')
    search = ["sweep", "space.json", *RUN[:-2], "--trials", "3", "--jobs", "3", "--no-prune", "--confirm-seeds", "0"]
    search += ["--folder", "sweep"]
    finished(command(tmp_path / "local", *search))
    process = command(tmp_path / "ray", *search, *words(cluster))
    when(lambda: bool(list((tmp_path / "ray").glob("sweep/trial_*/seed_1/epoch_000010.safetensors"))), process)
    cluster.kill(cluster.workers("_work")[-1][0])
    finished(process)
    records = [json.loads((tmp_path / place / "sweep/sweep.json").read_text())["trials"] for place in ("local", "ray")]
    for here, there in zip(*records, strict=True):
        assert there["state"] == "complete"
        assert there["scores"] == here["scores"]
        folder = f"sweep/trial_{here['number']:04d}/seed_1"
        assert digests(tmp_path / "ray" / folder) == digests(tmp_path / "local" / folder)
