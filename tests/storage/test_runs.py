"""The run folder."""

import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from actor_critic.config import Config, Layer, resolve
from actor_critic.errors import CheckpointError, ConfigError
from actor_critic.storage import runs
from actor_critic.storage.checkpoints import Checkpoint
from actor_critic.storage.runs import RunFolder
from tests.nursery import Nursery, wait_until

SETTINGS = resolve(Layer("test", Config())).settings


def _checkpoint(number: int) -> Checkpoint:
    return Checkpoint({}, {}, {"epoch": number}, {"w": torch.tensor([float(number)])})


def test_runs_begun_in_the_same_second_get_folders_of_their_own(tmp_path: Path) -> None:
    wanted = runs.timestamped_path(tmp_path)
    assert re.fullmatch(r"checkpoints_\d{8}_\d{6}", wanted.name)
    with ThreadPoolExecutor(16) as pool:
        folders = list(pool.map(lambda _: RunFolder.create(wanted, SETTINGS), range(32)))
    assert len({folder.path for folder in folders}) == 32
    assert wanted in {folder.path for folder in folders}
    for folder in folders:
        assert json.loads((folder.path / "settings.json").read_text())["learning_rate"] == 1e-4


def test_only_the_newest_checkpoints_stay_and_last_and_best_are_found_by_name(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", SETTINGS)
    for epoch in range(1, 6):
        folder.save(_checkpoint(epoch), epoch, is_best=epoch == 2, keep=2)
    names = sorted(entry.name for entry in folder.path.glob("*.safetensors"))
    assert names == ["best.safetensors", "epoch_000004.safetensors", "epoch_000005.safetensors", "last.safetensors"]
    assert runs.checkpoints.load(folder.last).counters["epoch"] == 5
    assert runs.checkpoints.load(folder.best).counters["epoch"] == 2
    assert not list(folder.path.glob(".*.tmp"))


def test_a_checkpoint_past_a_million_epochs_is_still_the_newest(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", SETTINGS)
    for epoch in (999_999, 1_000_000):
        folder.save(_checkpoint(epoch), epoch, is_best=False, keep=5)
    assert runs.newest_sound(folder.path)[1].counters["epoch"] == 1_000_000


def test_a_damaged_checkpoint_is_passed_over_and_named(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", SETTINGS)
    for epoch in (1, 2):
        folder.save(_checkpoint(epoch), epoch, is_best=False, keep=5)
    newest = folder.path / "epoch_000002.safetensors"
    newest.write_bytes(newest.read_bytes()[:-1])
    path, checkpoint, passed_over = runs.newest_sound(folder.path)
    assert path.name == "epoch_000001.safetensors"
    assert checkpoint.counters["epoch"] == 1
    assert len(passed_over) == 1
    assert str(newest) in passed_over[0]


@pytest.mark.parametrize("keep", [1, 2])
def test_a_run_taken_up_before_a_damaged_checkpoint_keeps_what_it_writes_and_sets_the_damaged_one_aside(
    keep: int, tmp_path: Path
) -> None:
    folder = RunFolder.create(tmp_path / "run", SETTINGS)
    for epoch in (20, 25):
        folder.save(_checkpoint(epoch), epoch, is_best=False, keep=2)
    damaged = folder.path / "epoch_000025.safetensors"
    damaged.write_bytes(b"damaged")
    assert folder.save(_checkpoint(21), 21, is_best=False, keep=keep).exists()
    assert [epoch for epoch, _ in folder.periodic()] == [20, 21][-keep:]
    assert (folder.path / "epoch_000025.safetensors.passed_over").read_bytes() == b"damaged"
    path, checkpoint, passed_over = runs.newest_sound(folder.path)
    assert (path.name, checkpoint.counters["epoch"], passed_over) == ("epoch_000021.safetensors", 21, [])
    folder.save(_checkpoint(25), 25, is_best=False, keep=keep)
    assert runs.newest_sound(folder.path)[1].counters["epoch"] == 25


def test_a_damaged_checkpoint_stays_where_it_is_until_the_one_that_takes_its_place_is_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder.create(tmp_path / "run", SETTINGS)
    for epoch in (20, 25):
        folder.save(_checkpoint(epoch), epoch, is_best=False, keep=2)

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = sorted(path.name for path in folder.path.iterdir())
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(CheckpointError, match="No space left"):
        folder.save(_checkpoint(21), 21, is_best=False, keep=1)
    assert sorted(path.name for path in folder.path.iterdir()) == before


def test_the_last_checkpoint_is_tried_after_the_periodic_ones_and_before_the_best(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", SETTINGS)
    for epoch in (1, 2):
        folder.save(_checkpoint(epoch), epoch, is_best=epoch == 1, keep=1)
    periodic = folder.path / "epoch_000002.safetensors"
    content = periodic.read_bytes()
    periodic.write_bytes(b"damaged")  # and last.safetensors, its second name: it is named once
    path, _, passed_over = runs.newest_sound(folder.path)
    assert (path, len(passed_over)) == (folder.best, 1)
    folder.last.unlink()
    folder.last.write_bytes(content)
    path, checkpoint, passed_over = runs.newest_sound(folder.path)
    assert (path, checkpoint.counters["epoch"], len(passed_over)) == (folder.last, 2, 1)


def test_a_run_without_a_sound_checkpoint_is_an_error(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", SETTINGS)
    with pytest.raises(CheckpointError, match="no valid checkpoint"):
        runs.newest_sound(folder.path)


def test_a_second_process_is_kept_out_and_a_dead_one_is_forgotten(nursery: Nursery, tmp_path: Path) -> None:
    path = RunFolder.create(tmp_path / "run", SETTINGS).path
    hold = (
        "import sys, time; from pathlib import Path; from actor_critic.storage.runs import RunFolder; "
        f"held = RunFolder(Path({str(path)!r})); print('held', flush=True); time.sleep(60)"
    )
    # The folder made above was let go of when it was collected.
    process = nursery.python(tmp_path, "-c", hold)
    wait_until(lambda: process.out == "held\n", "the other process")
    with pytest.raises(ConfigError, match="in use by another trainer"):
        RunFolder(path)
    process.kill()
    RunFolder(path).close()


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no settings\.json"):
        RunFolder(tmp_path)


def test_a_folder_that_cannot_be_made_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be made"):
        RunFolder.create(tmp_path / "file" / "run", SETTINGS)


def test_what_a_killed_process_left_half_written_is_cleared_away_by_the_next_that_has_the_folder(
    tmp_path: Path,
) -> None:
    path = RunFolder.create(tmp_path / "run", SETTINGS).path
    for name in (".epoch_000001.safetensors.123.tmp", ".settings.json.4567.tmp"):
        (path / name).write_bytes(b"half")
    held = RunFolder(path)
    assert sorted(entry.name for entry in path.iterdir()) == [".lock", "settings.json"]
    (path / ".last.safetensors.1.tmp").write_bytes(b"being written")
    with pytest.raises(ConfigError, match="in use"):
        RunFolder(path)
    assert (path / ".last.safetensors.1.tmp").exists()
    held.close()


def test_a_run_folder_that_its_disk_refuses_leaves_nothing(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(ConfigError, match="run cannot be written: File too large"):
            RunFolder.create(tmp_path / "run", SETTINGS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())


def test_the_best_checkpoint_is_written_before_one_that_knows_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder.create(tmp_path / "run", SETTINGS)
    order: list[str] = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda source, target: (order.append(target.name), replace(source, target)))
    folder.save(_checkpoint(1), 1, is_best=True, keep=2)
    assert order == ["best.safetensors", "epoch_000001.safetensors", "last.safetensors"]


def test_what_is_no_run_folder_is_told_what_it_is(tmp_path: Path) -> None:
    for name in ("seed_1", "seed_2"):
        RunFolder.create(tmp_path / "seeds" / name, SETTINGS).close()
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"a run for each of several seeds; expected one of .*seed_1, .*seed_2$"):
        runs.check_is_run(tmp_path / "seeds")
    with pytest.raises(ConfigError, match="file is a file; expected the folder of a run, such as"):
        runs.check_is_run(tmp_path / "file")
    with pytest.raises(ConfigError, match="expected the name of a new folder"):
        runs.new_folder(Path())


def test_a_folder_that_nobody_may_read_is_told_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: object, **__: object) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", refuse)
    for look in (runs.check_is_run, RunFolder):
        with pytest.raises(CheckpointError, match=f"^{tmp_path} cannot be read: Permission denied$"):
            look(tmp_path)


def test_a_checkpoint_that_is_a_link_to_nothing_is_passed_over(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", SETTINGS)
    folder.save(_checkpoint(1), 1, False, 5)
    (folder.path / "epoch_000009.safetensors").symlink_to(tmp_path / "nowhere")
    path, _, passed_over = runs.newest_sound(folder.path)
    assert path.name == "epoch_000001.safetensors"
    assert len(passed_over) == 1
    assert "epoch_000009" in passed_over[0]
