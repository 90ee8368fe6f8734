"""A run is computed again, and comes out the same or is told of."""

import json
from pathlib import Path
from typing import Any

import pytest

from actor_critic import Config, ConfigError, Trainer, VerificationError, verify
from actor_critic.runs import periodic
from tests.cli.running import Shell

RUN: dict[str, Any] = {
    "preset": "none", "environment": "CartPole-v1", "num_envs": 4, "num_steps": 16, "num_epochs": 12, "hidden_dim": 8,
    "seed": 1, "checkpoint_interval": 3, "keep_checkpoints": 2,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for _ in Trainer(Config(**RUN), tmp_path / "run"):
        pass
    return tmp_path / "run"


def test_a_run_that_is_what_its_settings_say_is_verified_and_left_as_it_is(folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert [epoch for epoch, _ in periodic(folder)] == [9, 12]
    found = verify(folder)
    assert (found.first, found.last, found.compared) == (9, 12, 1)
    # From the beginning on, the digests of checkpoints that are gone are compared as well.
    found = verify(folder, from_epoch=0)
    assert (found.first, found.last, found.compared) == (0, 12, 4)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_digest_that_is_not_the_run_s_is_found_with_its_epoch(folder: Path) -> None:
    metrics = folder / "metrics.csv"
    lines = metrics.read_text().splitlines()
    sixth = lines[6].rsplit(",", 1)
    assert len(sixth[1]) == 64 and not lines[5].rsplit(",", 1)[1]
    metrics.write_text("\n".join([*lines[:6], f"{sixth[0]},{'0' * 64}", *lines[7:]]) + "\n")
    assert verify(folder).compared == 1  # which lies behind it
    with pytest.raises(VerificationError, match="epoch 6, computed again from epoch 0"):
        verify(folder, from_epoch=0)


def test_a_run_of_other_settings_is_found(folder: Path, tmp_path: Path) -> None:
    for _ in Trainer(Config(**RUN | {"learning_rate": 2e-4}), tmp_path / "other"):
        pass
    (folder / "epoch_000009.safetensors").write_bytes((tmp_path / "other/epoch_000009.safetensors").read_bytes())
    with pytest.raises(VerificationError, match="epoch 12"):
        verify(folder)


def test_where_to_begin_must_be_a_checkpoint_that_is_kept(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"keeps no checkpoint of epoch 6; expected 0, 9$"):
        verify(folder, from_epoch=6)
    with pytest.raises(ConfigError, match="kept no digest after epoch 12"):
        verify(folder, from_epoch=12)
    (folder / "settings.json").unlink()
    with pytest.raises(ConfigError, match="is not a run folder"):
        verify(folder)


def test_the_command_says_what_it_compared_and_exits_with_six_where_something_differs(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shell = Shell(folder.parent, monkeypatch, capsys)
    outcome = shell("verify", "run", "--from-epoch", "0")
    assert (outcome.code, outcome.out) == (0, "computed again from epoch 0 to 12: 4 digests, all the same\n")
    text = (folder / "metrics.csv").read_text()
    digest = json.loads(shell("inspect", "run", "--json").out)["digest"]
    assert text.rstrip().endswith(digest)
    (folder / "metrics.csv").write_text(text.replace(text.splitlines()[3].rsplit(",", 1)[1], "f" * 64))
    outcome = shell("verify", "run", "--from-epoch", "0")
    assert (outcome.code, outcome.err.count("\n")) == (6, 1)
