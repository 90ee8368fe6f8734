"""The versions that a checkpoint was written with: recorded, left out of the digest, told where they differ."""

import dataclasses
import json
import logging
from pathlib import Path

import pytest
import torch

from actor_critic import Config, Trainer, __version__
from actor_critic.errors import CheckpointError
from actor_critic.storage import Checkpoint, checkpoints, different_versions
from actor_critic.training import verify
from tests.cli.running import Shell
from tests.faults.forgery import take_apart
from tests.storage.test_golden import GOLDEN


def _example() -> Checkpoint:
    return Checkpoint({"gamma": 0.99}, {}, {"epoch": 1}, {"w": torch.ones(2)})


def _with_versions(path: Path, **versions: str) -> None:
    checkpoint = checkpoints.load(path)
    checkpoints.save(dataclasses.replace(checkpoint, versions=checkpoint.versions | versions), path)


def test_a_checkpoint_records_what_it_was_written_with(tmp_path: Path) -> None:
    checkpoints.save(_example(), tmp_path / "a.safetensors")
    versions = checkpoints.load(tmp_path / "a.safetensors").versions
    assert versions.keys() == {"actor-critic", "python", "torch", "numpy", "gymnasium", "numba", "scipy", "processor"}
    assert (versions["actor-critic"], versions["torch"]) == (__version__, torch.__version__)
    assert different_versions(versions, tmp_path) is None


def test_the_digest_leaves_versions_out(tmp_path: Path) -> None:
    other = dataclasses.replace(_example(), versions={"torch": "2.10.0"})
    assert checkpoints.save(other, tmp_path / "a.safetensors") == _example().digest
    assert checkpoints.load(tmp_path / "a.safetensors").versions == {"torch": "2.10.0"}


def test_versions_that_differ_are_told_with_both_numbers() -> None:
    said = different_versions({"torch": "2.10.0", "numpy": "1.0", "python": "3.11"} | {"unknown": "1"}, Path("a"))
    assert said is not None
    assert f"a was written with python 3.11 (here {_example().versions['python']}), torch 2.10.0 (here 2." in said
    assert "numpy 1.0 (here 2." in said and "unknown" not in said
    assert "install the versions that it was written with" in said


def test_a_checkpoint_from_before_versions_were_recorded_loads_and_says_nothing() -> None:
    checkpoint = checkpoints.load(GOLDEN)
    assert checkpoint.versions == {}
    assert different_versions(checkpoint.versions, GOLDEN) is None


@pytest.mark.parametrize("versions", [None, [], {"torch": 2}, {"torch": "2\n"}, {"to\nrch": "2"}])
def test_versions_of_another_kind_are_refused(versions: object, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    checkpoints.save(_example(), path)
    parts = take_apart(path.read_bytes())
    parts.header["versions"] = versions
    parts.seal()
    path.write_bytes(parts.to_bytes())
    with pytest.raises(CheckpointError, match="is damaged: "):
        checkpoints.load(path)


def test_resume_and_verify_report_a_difference(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = tmp_path / "run"
    for _ in Trainer(Config(num_epochs=3, hidden_dim=4, checkpoint_interval=1), run):
        pass
    caplog.clear()
    with caplog.at_level(logging.WARNING, "actor_critic"):
        verify(run)
        Trainer.resume(run).close()
        assert not caplog.records
        for path in {file.resolve() for file in run.glob("*.safetensors")}:
            _with_versions(path, torch="2.10.0")
        verify(run)
        Trainer.resume(run).close()
    newest = run / "epoch_000003.safetensors"
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == 2 * [
        f"{newest} was written with torch 2.10.0 (here {torch.__version__})"
    ]


def test_inspect_shows_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoints.save(_example(), tmp_path / "a.safetensors")
    outcome = Shell(tmp_path, monkeypatch, capsys)("inspect", "a.safetensors", "--json")
    assert json.loads(outcome.out)["versions"] == _example().versions
