"""A run is computed again, and comes out the same or is told of."""

import json
from pathlib import Path
from typing import Any

import pytest

from actor_critic import Config, ConfigError, Trainer, VerificationError, verify
from actor_critic.storage.runs import newest_sound, periodic
from tests.cli.running import Shell
from tests.plain import PLAIN

RUN: dict[str, Any] = {
    **PLAIN, "environment": "CartPole-v1", "num_envs": 4, "num_steps": 16, "num_epochs": 12, "hidden_dim": 8,
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
    with pytest.raises(VerificationError, match="epoch 6, recomputed from epoch 0"):
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


def _run_twice(folder: Path, later: dict[str, Any], **changes: Any) -> None:
    """A run that is stopped after its seventh epoch and taken up again."""
    trainer = Trainer(Config(**RUN | changes), folder)
    for report in trainer:
        if report.epoch == 7:
            trainer.stop("by the test")
    for _ in Trainer.resume(folder, trust_code=True, **later):
        pass


@pytest.mark.parametrize("changes", [{}, {"overlap": True, "clip_coef": 0.2}, {"anneal_lr": True}, {"memory": "gru"}])
def test_a_run_that_was_stopped_and_resumed_is_verified(changes: dict[str, Any], tmp_path: Path) -> None:
    _run_twice(tmp_path / "run", {}, **changes)
    assert verify(tmp_path / "run").last == 12
    assert verify(tmp_path / "run", from_epoch=0).compared == 4


def test_a_run_that_was_made_longer_is_verified_to_its_end(tmp_path: Path) -> None:
    _run_twice(tmp_path / "run", {"num_epochs": 15}, num_epochs=7)
    found = verify(tmp_path / "run", from_epoch=0)
    assert (found.last, found.compared) == (15, 6)


def test_a_target_does_not_end_a_verification(tmp_path: Path) -> None:
    settings = RUN | {"num_epochs": 1000, "target_return": 1.0}
    for report in Trainer(Config(**settings), tmp_path / "run"):
        reached = report.epoch
    for report in Trainer.resume(tmp_path / "run", target_return=1e9, num_epochs=reached + 2):
        last = report.epoch
    assert verify(tmp_path / "run", from_epoch=0).last == last == reached + 2


def test_a_run_that_began_with_the_weights_of_another_is_verified_from_its_beginning(
    folder: Path, tmp_path: Path
) -> None:
    _run_twice(tmp_path / "warm", {}, init_from=str(folder))
    assert json.loads((tmp_path / "warm/settings.json").read_text())["init_from"] == str(newest_sound(folder)[0])
    assert verify(tmp_path / "warm", from_epoch=0).compared == 4


def test_what_new_episodes_were_begun_after_is_not_held_against_a_run(tmp_path: Path) -> None:
    _run_twice(tmp_path / "run", {"new_episodes": True}, keep_checkpoints=9, vectorization="sync")
    found = verify(tmp_path / "run")
    assert (found.first, found.last, found.compared) == (6, 7, 1)
    assert verify(tmp_path / "run", from_epoch=0).compared == 3
    with pytest.raises(ConfigError, match="before new episodes were begun, after epoch 7; there is nothing to compare"):
        verify(tmp_path / "run", from_epoch=9)


def test_a_run_that_kept_nothing_from_before_new_episodes_is_not_accused(tmp_path: Path) -> None:
    kept = {"checkpoint_interval": 2, "keep_checkpoints": 1, "vectorization": "sync"}
    for _ in Trainer(Config(**RUN | kept | {"num_epochs": 4}), tmp_path / "run"):
        pass
    for _ in Trainer.resume(tmp_path / "run", new_episodes=True, num_epochs=8):
        pass
    assert [epoch for epoch, _ in periodic(tmp_path / "run")] == [8]
    for first in (None, 0):
        with pytest.raises(ConfigError, match=r"no checkpoint up to epoch 4, after which .*nothing to compare$"):
            verify(tmp_path / "run", from_epoch=first)


def test_a_damaged_checkpoint_is_not_begun_from(folder: Path) -> None:
    (folder / "epoch_000009.safetensors").write_bytes(b"damaged")
    found = verify(folder)
    assert (found.first, found.compared) == (0, 4)


def test_the_command_says_what_it_compared_and_exits_with_six_where_something_differs(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shell = Shell(folder.parent, monkeypatch, capsys)
    outcome = shell("verify", "run", "--from-epoch", "0")
    assert (outcome.code, outcome.out) == (0, "recomputed from epoch 0 to 12: 4 digests, all the same\n")
    text = (folder / "metrics.csv").read_text()
    digest = json.loads(shell("inspect", "run", "--json").out)["digest"]
    assert text.rstrip().endswith(digest)
    (folder / "metrics.csv").write_text(text.replace(text.splitlines()[3].rsplit(",", 1)[1], "f" * 64))
    outcome = shell("verify", "run", "--from-epoch", "0")
    assert (outcome.code, outcome.err.count("\n")) == (6, 1)
