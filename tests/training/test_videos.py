"""Recordings of a run: the right epochs, the same bits, refused at once, and the error policy of other records."""

import csv
import errno
import importlib.util
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from PIL import Image

from actor_critic import CheckpointError, Config, ConfigError, EnvironmentFault, Trainer, record_episode, verify
from actor_critic.storage import runs
from tests import screens
from tests.plain import PLAIN

RUN: dict[str, Any] = {
    **PLAIN, "environment": "Screen-v0", "num_envs": 2, "num_steps": 8, "num_epochs": 5, "hidden_dim": 8,
    "evaluation_episodes": 2, "checkpoint_interval": 1, "keep_checkpoints": 9,
}  # fmt: skip


def _train(folder: Path, environment: Any = None, **changes: Any) -> Trainer:
    trainer = Trainer(Config(**(RUN | changes)), folder, environment=environment)
    for _ in trainer:
        pass
    return trainer


def _digests(folder: Path) -> list[str]:
    with (folder / "metrics.csv").open() as stream:
        return [row["digest"] for row in csv.DictReader(stream)]


def _videos(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.glob("videos/*"))


class Moody(screens.Screen):
    """Draws from the global generator all the time, also while it is looked at."""

    def step(self, action: int) -> Any:
        observation, reward, *rest = super().step(action)
        return observation, reward + np.random.random(), *rest

    def render(self) -> Any:
        np.random.random(7)
        return super().render()


class Only(screens.Screen):
    """Can exist only once at a time."""

    open = 0

    def __init__(self, **kwargs: Any) -> None:
        if Only.open:
            raise OSError("address in use")
        Only.open += 1
        super().__init__(**kwargs)

    def close(self) -> None:
        Only.open -= 1


gym.register("OnlyScreen-v0", Only)


@pytest.mark.parametrize("environment", [None, Moody])
def test_every_so_many_epochs_and_the_end_are_recorded_and_no_bit_changes(environment: Any, tmp_path: Path) -> None:
    plain = _train(tmp_path / "plain", environment)
    recorded = _train(tmp_path / "recorded", environment, video_interval=2)
    assert _videos(tmp_path / "plain") == []
    assert _videos(tmp_path / "recorded") == [f"epoch_{epoch:06d}.gif" for epoch in (2, 4, 5)]
    assert _digests(tmp_path / "plain") == _digests(tmp_path / "recorded")
    assert plain.evaluation == recorded.evaluation
    with Image.open(tmp_path / "recorded/videos/epoch_000005.gif") as image:
        assert (image.size, getattr(image, "n_frames", 1)) == ((37 * 7, 41 * 7), 4)


def test_what_renders_texts_is_recorded_as_text(tmp_path: Path) -> None:
    trainer = _train(tmp_path / "run", screens.TextCounter, video_interval=5)
    assert _videos(tmp_path / "run") == ["epoch_000005.txt"]
    text = (tmp_path / "run/videos/epoch_000005.txt").read_text()
    assert text.startswith("count 0\nstep 0: action ")
    assert text.endswith(record_episode(trainer.agent).describe() + "\n")


def test_a_resumed_run_goes_on_recording(tmp_path: Path) -> None:
    whole = _train(tmp_path / "whole", video_interval=2)
    with_a_stop = Trainer(Config(**RUN, video_interval=2), tmp_path / "run")
    for report in with_a_stop:
        if report.epoch == 3:
            break
    with_a_stop.close()
    assert _videos(tmp_path / "run") == ["epoch_000002.gif"]
    resumed = Trainer.resume(tmp_path / "run")
    for _ in resumed:
        pass
    assert _videos(tmp_path / "run") == _videos(tmp_path / "whole")
    for name in _videos(tmp_path / "run"):
        assert (tmp_path / "run/videos" / name).read_bytes() == (tmp_path / "whole/videos" / name).read_bytes()
    assert resumed.digest == whole.digest


def test_a_run_that_stops_early_records_its_end(tmp_path: Path) -> None:
    trainer = Trainer(Config(**RUN, video_interval=100), tmp_path / "run")
    for report in trainer:
        if report.epoch == 2:
            trainer.stop("enough")
    assert _videos(tmp_path / "run") == ["epoch_000002.gif"]


def test_an_environment_that_can_exist_only_once_is_recorded(tmp_path: Path) -> None:
    changes = {"environment": "OnlyScreen-v0", "num_envs": 1}
    _train(tmp_path / "run", **changes, video_interval=2)
    assert _videos(tmp_path / "run") == [f"epoch_{epoch:06d}.gif" for epoch in (2, 4, 5)]
    assert Only.open == 0
    _train(tmp_path / "plain", **changes)
    assert _digests(tmp_path / "plain") == _digests(tmp_path / "run")


def test_a_verification_records_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _train(tmp_path / "run", video_interval=1)
    monkeypatch.setattr(screens.Screen, "render", lambda self: 1 / 0)
    verify(tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        (
            {"environment": "Countdown-v0"},
            ConfigError,
            r"^video_interval: 2 is not possible: environment: Countdown-v",
        ),
        ({"environment_kwargs": {"shows": "None"}}, EnvironmentFault, r"^Screen-v0, .*: render returned None; "),
    ],
)
def test_what_cannot_be_recorded_is_refused_before_training(
    changes: dict[str, Any], kind: type[Exception], words: str, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=words):
        Trainer(Config(**(RUN | {"video_interval": 2} | changes)), tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_refused_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "PIL" else find(name, *rest))
    with pytest.raises(ConfigError, match=r'^video_interval: 2 is .*Pillow, .*: pip install "actor-critic\[video\]"$'):
        Trainer(Config(**RUN, video_interval=2), tmp_path / "run")
    assert not list(tmp_path.iterdir())
    _train(tmp_path / "text", screens.TextCounter, video_interval=5)  # texts need no package


@pytest.mark.parametrize("policy", ["stop", "continue"])
def test_a_full_disk_follows_the_policy_of_other_records(
    policy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write = runs.write_durably

    def refuse(path: Path, data: bytes) -> None:
        if path.suffix == ".gif":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write(path, data)

    monkeypatch.setattr(runs, "write_durably", refuse)
    words = "epoch_000002.gif cannot be written: No space left on device; "
    if policy == "stop":
        with pytest.raises(CheckpointError, match=rf"{words}make room on the disk .*, then continue with: "):
            _train(tmp_path / "run", video_interval=2, on_checkpoint_error=policy)
        assert len(_digests(tmp_path / "run")) == 2  # the epoch itself is recorded
    else:
        _train(tmp_path / "run", video_interval=2, on_checkpoint_error=policy)
        assert len(_digests(tmp_path / "run")) == 5
        assert words in caplog.text
    assert _videos(tmp_path / "run") == []


def test_temporary_files_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    trainer = _train(tmp_path / "run", video_interval=5)
    left = tmp_path / "run/videos/.epoch_000002.gif.123.tmp"
    left.write_bytes(b"half")
    trainer.close()
    Trainer.resume(tmp_path / "run", num_epochs=6).close()
    assert not left.exists()
