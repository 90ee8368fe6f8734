"""What ranks refuse: one error that names the cause, with its exit code, on every rank that knows of it."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from actor_critic.storage import checkpoints
from tests.ranks.launch import ROOT, on_ranks

pytestmark = pytest.mark.slow

TRAIN = (
    "train", "--environment=CartPole-v1", "--num-envs=4", "--num-steps=8", "--num-epochs=4",
    "--checkpoint-interval=2", "--evaluation-episodes=1", "--seed=3",
)  # fmt: skip


def _errors(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("error: ")]


def test_ranks_that_do_not_fit_together_are_refused_and_can_go_on(tmp_path: Path) -> None:
    done = on_ranks(2, "tests.ranks.refusals", str(tmp_path), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    first, second = (json.loads((tmp_path / f"told_{rank}.json").read_text()) for rank in (0, 1))
    expected = {
        "indivisible": "num_envs: 5 environments cannot be divided among 2 ranks; set num_envs to 4 or 6",
        "indivisible batch": "batch_size: 7 environments cannot be divided among 2 ranks; set batch_size to 6 or 8",
        "settings": "ranks: gamma is 0.91 on rank 1",
        "code": "ranks: environment is ",
        "version": "ranks: the version of ",
    }
    if not torch.cuda.is_available():
        expected["device"] = 'device: "cuda:0" is not there'
    for name, text in expected.items():
        for told in (first, second):
            assert text in told[name]["text"], (name, told)
            assert told[name]["code"] == 2
            assert told[name]["is_shared"]
    assert first["epochs"] == second["epochs"] == 2


def test_a_wrong_word_on_one_rank_is_one_error(tmp_path: Path) -> None:
    done = on_ranks(2, "tests.ranks.elsewhere", *TRAIN, "--config=only_{rank}.json", folder=tmp_path)
    assert done.returncode == 1
    assert len(_errors(done.stderr)) == 1, done.stderr
    assert "only_" in _errors(done.stderr)[0]
    assert set(re.findall(r"exitcode\s*: (\d+)", done.stderr)) == {"2"}
    assert not list(tmp_path.iterdir())


def test_storage_that_is_not_shared_is_one_error_and_the_run_is_intact(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    assert on_ranks(2, "actor_critic", *TRAIN, "--run-folder=run", folder=here).returncode == 0
    for path in here.glob("run/epoch_000004.safetensors"):  # as if it had been stopped
        path.unlink()
    shutil.copy(here / "run/epoch_000002.safetensors", here / "run/last.safetensors.new")
    os.replace(here / "run/last.safetensors.new", here / "run/last.safetensors")
    before = {path.name: path.read_bytes() for path in here.glob("run/*.safetensors")}
    os.environ["RANK_1_IN"] = str(there)
    try:
        again = on_ranks(2, "tests.ranks.elsewhere", *TRAIN, "--run-folder=run", folder=here)
        resumed = on_ranks(2, "tests.ranks.elsewhere", "resume", "run", folder=here)
    finally:
        del os.environ["RANK_1_IN"]
    (error,) = _errors(again.stderr)
    assert "the checkpoint to continue from is None on rank 1" in error
    assert "run folders that all of them see" in error
    (error,) = _errors(resumed.stderr)
    assert error.startswith("error: rank 1: ")
    assert "run does not exist" in error
    for done in (again, resumed):
        assert set(re.findall(r"exitcode\s*: (\d+)", done.stderr)) == {"2"}
    assert {path.name: path.read_bytes() for path in here.glob("run/*.safetensors")} == before
    assert checkpoints.load(here / "run/last.safetensors").counters["epoch"] == 2
    assert not list(there.glob("run*"))


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        variables = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        done = subprocess.run(
            [sys.executable, "-m", "actor_critic", *TRAIN, "--rank-timeout=20"],
            cwd=tmp_path, env={**os.environ, **variables, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    (error,) = _errors(done.stderr)
    assert f"rank 0 cannot join at 127.0.0.1:{port}: another program uses this port" in error
    assert list(tmp_path.iterdir()) == []
