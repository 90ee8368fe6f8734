"""Weights & Biases and MLflow for real: a run is written, opened again, and read back; TensorBoard's known tags."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from actor_critic import Config, Run, Trainer
from actor_critic.errors import ConfigError
from actor_critic.storage import loggers
from tests.line import Line
from tests.nursery import ROOT, Nursery

pytestmark = pytest.mark.slow

RUN: dict[str, Any] = {"num_envs": 4, "batch_size": 128, "num_epochs": 6, "seed": 1, "evaluation_episodes": 4}
SCRIPT = f"""
import os, sys, signal
sys.path.insert(0, {str(ROOT)!r})
from actor_critic import Config, Trainer
from actor_critic.storage import loggers
from tests.line import Line
loggers.PAUSE = 0.0  # every epoch
RUN = {RUN!r}
if os.path.exists("run"):
    trainer = Trainer.resume("run", environment=Line)
else:
    trainer = Trainer(Config(**RUN, logger=sys.argv[1].split(","), checkpoint_interval=4, evaluation_interval=2),
                      "run", environment=Line)
for report in trainer:
    if report.epoch == 5 and "kill" in sys.argv:
        os.kill(os.getpid(), signal.SIGKILL)
    trainer.log("mine", 10 * report.epoch)
    print(report.epoch, trainer.digest, flush=True)
"""


def _plain() -> list[str]:
    trainer = Trainer(Config(**RUN, evaluation_interval=2), environment=Line)
    return [f"{report.epoch} {trainer.digest}" for report in trainer]


def _run(nursery: Nursery, folder: Path, names: str) -> list[str]:
    """Train, killed in epoch 5, and resume from the checkpoint of epoch 4."""
    (folder / "script.py").write_text(SCRIPT)
    process = nursery.python(folder, "script.py", names, "kill")
    assert process.wait() != 0
    lines = process.out.splitlines()
    assert len(lines) == 4
    process = nursery.python(folder, "script.py", names)
    assert process.wait() == 0, process.err
    return lines + process.out.splitlines()


@pytest.mark.filterwarnings("ignore")  # of SQLAlchemy about MLflow
def test_mlflow_has_the_run_after_a_kill_and_resume(nursery: Nursery, tmp_path: Path) -> None:
    assert _run(nursery, tmp_path, "mlflow") == _plain()  # logging changes no bit
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("actor-critic")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == ("run", "FINISHED")
    assert run.data.params["num_epochs"] == "6" and run.data.params["environment"] == "tests.line:Line"
    history = Run.open(tmp_path / "run", environment=Line).history()
    for name, column in (("epoch", "epoch"), ("rollout/ep_rew_mean", "mean_return"), ("mine", "mine")):
        found = {metric.step: metric.value for metric in client.get_metric_history(run.info.run_id, name)}
        expected = dict(zip(history["env_steps"], history[column], strict=True))
        assert found == expected


def _records(data: bytes) -> Iterator[bytes]:
    """The records of an offline run: LevelDB's log format after a header of 7 bytes, in blocks of 32 KiB."""
    place, parts = 7, b""
    while place + 7 <= len(data):
        if (left := -place % 32768) and left < 7:  # the rest of a block is padding
            place += left
            continue
        length, kind = struct.unpack_from("<HB", data, place + 4)
        parts += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # a whole record, or its last part
            yield parts
            parts = b""


def test_wandb_has_the_run_after_a_kill_and_resume(nursery: Nursery, tmp_path: Path) -> None:
    assert _run(nursery, tmp_path, "wandb") == _plain()
    from wandb.proto import wandb_internal_pb2

    rows: dict[int, dict[str, Any]] = {}
    files = sorted((tmp_path / "run/wandb").glob("offline-run-*/run-*.wandb"))
    ids = {path.stem.removeprefix("run-") for path in files}
    assert len(files) == 2 and ids == {json.loads((tmp_path / "run/loggers.json").read_text())["wandb"]}
    for path in files:
        for data in _records(path.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            if record.WhichOneof("record_type") == "history":
                items = {item.key or ".".join(item.nested_key): item.value_json for item in record.history.item}
                if "env_steps" in items:
                    found = {name: json.loads(value) for name, value in items.items()}
                    rows.setdefault(int(found["env_steps"]), {}).update(found)
    history = Run.open(tmp_path / "run", environment=Line).history()
    assert sorted(rows) == history["env_steps"].tolist()
    for steps, value in zip(history["env_steps"], history["mean_return"], strict=True):
        assert rows[int(steps)]["rollout/ep_rew_mean"] == value
    assert rows[768]["mine"] == 60


def test_tensorboard_reads_each_known_tag_once_after_a_kill_and_resume(nursery: Nursery, tmp_path: Path) -> None:
    _run(nursery, tmp_path, "mlflow")
    events = EventAccumulator(str(tmp_path / "run")).Reload()
    history = Run.open(tmp_path / "run", environment=Line).history()
    steps = history["env_steps"].tolist()
    for tag, column, factor in (
        ("rollout/ep_rew_mean", "mean_return", 1), ("rollout/ep_len_mean", "mean_length", 1),
        ("train/approx_kl", "approx_kl", 1), ("train/clip_fraction", "clip_fraction", 1),
        ("train/entropy_loss", "entropy", -1), ("train/explained_variance", "explained_variance", 1),
        ("train/policy_gradient_loss", "policy_loss", 1), ("train/value_loss", "value_loss", 2),
        ("time/fps", "steps_per_second", 1), ("mine", "mine", 1),
    ):  # fmt: skip
        found = events.Scalars(tag)
        assert [each.step for each in found] == steps, tag
        assert [each.value for each in found] == pytest.approx(factor * history[column], rel=1e-6), tag
    assert [each.step for each in events.Scalars("eval/mean_reward")] == [256, 512, 768]
    assert "_hparams_/session_start_info" in events.PluginTagToContent(metadata.PLUGIN_NAME)


def test_a_logger_that_is_not_installed_is_one_line_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec = loggers.importlib.util.find_spec
    monkeypatch.setattr(loggers.importlib.util, "find_spec", lambda name: None if name == "wandb" else find_spec(name))
    with pytest.raises(ConfigError, match=r'^logger: wandb is not installed: pip install "actor-critic\[wandb\]"$'):
        Trainer(Config(**RUN, logger=["wandb"]), tmp_path / "run", environment=Line)
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError, match="logger: mlflow needs a run folder"):
        next(iter(Trainer(Config(**RUN, logger=["mlflow"]), environment=Line)))


def test_a_logger_that_fails_is_left_out_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Full:
        id, holds_until = "1", 0

        def log(self, env_steps: int, figures: dict[str, float]) -> None:
            raise OSError(28, "No space left on device")

        def flush(self) -> None:
            pass

    monkeypatch.setattr("actor_critic.training.recorder.make_loggers", lambda *_: [Full()])
    trainer = Trainer(Config(**RUN), tmp_path / "run", environment=Line)
    assert [report.epoch for report in trainer] == [1, 2, 3, 4, 5, 6]
    told = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(told) == 1 and told[0].startswith(
        "logger: Full gets no more figures, because it raised OSError: [Errno 28]"
    )
