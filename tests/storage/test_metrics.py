"""The sinks."""

import csv
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from actor_critic.storage.metrics import MetricsWriter

COLUMNS = ["epoch", "env_steps", "mean_return", "loss"]
DETAILS = ["epoch", "update_seconds"]


def _rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "metrics.csv", newline="") as stream:
        return list(csv.DictReader(stream))


def _events(folder: Path, name: str) -> list[tuple[int, float]]:
    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    return [(event.step, event.value) for event in accumulator.Scalars(name)]


def _write(folder: Path, epochs: range, after: int, scale: float) -> None:
    writer = MetricsWriter(folder, COLUMNS, DETAILS, after, 10 * after)
    for epoch in epochs:
        writer.write(
            {"epoch": epoch, "env_steps": 10 * epoch, "mean_return": None if epoch == 1 else scale * epoch, "loss": 0.5}
        )
    writer.close()


def test_a_row_and_an_event_per_epoch(tmp_path: Path) -> None:
    _write(tmp_path, range(1, 4), 0, 1.0)
    assert [row["epoch"] for row in _rows(tmp_path)] == ["1", "2", "3"]
    assert _rows(tmp_path)[0]["mean_return"] == ""
    assert _events(tmp_path, "mean_return") == [(20, 2.0), (30, 3.0)]
    assert _events(tmp_path, "epoch") == [(10, 1.0), (20, 2.0), (30, 3.0)]


def test_going_on_neither_loses_nor_doubles_a_row(tmp_path: Path) -> None:
    _write(tmp_path, range(1, 6), 0, 1.0)
    with open(tmp_path / "metrics.csv", "a") as stream:
        stream.write("6,60,1.")  # a row torn by a crash
    _write(tmp_path, range(4, 7), 3, 10.0)
    rows = _rows(tmp_path)
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4", "5", "6"]
    assert [row["mean_return"] for row in rows] == ["", "2.0", "3.0", "40.0", "50.0", "60.0"]
    assert _events(tmp_path, "mean_return") == [(20, 2.0), (30, 3.0), (40, 40.0), (50, 50.0), (60, 60.0)]


def test_what_a_full_disk_refuses_waits_and_is_written_once(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    writer = MetricsWriter(tmp_path, COLUMNS, DETAILS)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for epoch in range(1, 51):
        writer.write({"epoch": epoch, "env_steps": epoch, "mean_return": epoch / 3, "loss": 0.5})
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, limits[1]))  # within a row, and within an event
    try:
        with pytest.raises(OSError, match=r"File too large: .*metrics\.csv"):
            writer.sync()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "metrics.csv").stat().st_size == 200
    writer.close()
    assert [(row["epoch"], float(row["mean_return"])) for row in _rows(tmp_path)] == [
        (str(e), e / 3) for e in range(1, 51)
    ]
    assert [step for step, _ in _events(tmp_path, "mean_return")] == list(range(1, 51))


def test_what_a_power_loss_left_torn_is_passed_over(tmp_path: Path) -> None:
    _write(tmp_path, range(1, 3), 0, 1.0)
    with open(tmp_path / "metrics.csv", "ab") as stream:
        stream.write(b"\0" * 200_000 + b"\xff\xfe\n3,1.0\n4,40,4.0,0.5")
    _write(tmp_path, range(5, 6), 4, 1.0)
    assert [row["epoch"] for row in _rows(tmp_path)] == ["1", "2", "5"]
