"""The numbers of a run as CSV and as TensorBoard events: metrics of every epoch, episodes, and what the user logs."""

import contextlib
import csv
import io
import math
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from actor_critic.errors import CheckpointError
from actor_critic.files import open_regular, sync_folder, write_durably
from actor_critic.storage.appended import Appended
from actor_critic.storage.events import Events, known_figures, renamed_figures
from actor_critic.storage.loggers import FigureLogger, Loggers

Row = dict[str, float | int | str | None]

SECONDS = ("environment", "policy", "rollout", "update", "records")
"""Where the time of an epoch goes; "rollout" is environment and policy in one compiled call."""

_EPISODES, _LOGGED = ["epoch", "return", "length"], ["epoch", "name", "value"]
_RARE = ("evaluation_greedy_return", "last_evaluation_greedy_return")
_FLUSH_SECONDS = 1.0


class MetricsWriter:
    """Appends one row per epoch to ``metrics.csv`` and one set of scalars to a TensorBoard event file.

    ``episodes.csv`` gets one row per training episode, ``logged.csv`` one per number that the user logs, and
    ``details.csv`` about 200 in a run, with the seconds since the row before. The axis of the scalars is the
    environment step.

    Rows are buffered. They are written about once a second, and at every :meth:`sync`, which precedes every checkpoint.
    If a run is killed, the resumed run computes and writes the missing rows again. If a write fails, the data stays in
    the buffer until the next :meth:`sync`.
    """

    def __init__(
        self,
        folder: Path,
        columns: list[str],
        details: list[str],
        epoch: int = 0,
        env_steps: int = 0,
        settings: dict[str, Any] | None = None,
        loggers: Sequence[FigureLogger] = (),
    ) -> None:
        """Open the files of a run.

        Args:
            folder: The run folder.
            columns: Names of the metrics; the first is the epoch, and "env_steps" is among them.
            details: Names of the columns of ``details.csv``.
            epoch: Continue after this epoch; rows of later epochs are dropped.
            env_steps: Environment steps up to this epoch; later events are dropped.
            settings: For TensorBoard's tab of hyperparameters.
            loggers: Take the same figures; :meth:`close` closes them.

        Raises:
            OSError: The files cannot be written.
        """
        self._columns = columns
        path = folder / "metrics.csv"
        write_durably(path, _rows_until(path, columns, epoch))
        self._rows = Appended(path)
        self._episodes = _continued(folder / "episodes.csv", _EPISODES, epoch)
        self._logged = _continued(folder / "logged.csv", _LOGGED, epoch)
        self._details = _continued(folder / "details.csv", details, epoch)
        self._table = csv.writer(self._rows)
        self._events = Events(folder, epoch, env_steps, settings or {})
        self._loggers = Loggers(loggers)
        self._files = [self._rows, self._episodes, self._logged, self._details, self._events.file]
        sync_folder(folder)
        self._due = time.monotonic() + _FLUSH_SECONDS
        if epoch and self._loggers:
            self._loggers.send_again(_rows_of(folder))

    def write(self, row: Row, returns: Iterable[float] = (), lengths: Iterable[float] = ()) -> None:
        """Record one epoch; None is an empty cell, and only numbers become events.

        Args:
            row: The metrics.
            returns: The return of each training episode that ended in the epoch.
            lengths: Their lengths.

        Raises:
            OSError: A write failed; the row stays in the buffer until :meth:`sync`.
        """
        self._table.writerow([row[name] for name in self._columns])
        epoch = row["epoch"]
        for value, length in zip(returns, lengths, strict=True):
            self._episodes.write(f"{epoch},{value!r},{length:.0f}\n")
        self.write_scalars(row)
        if time.monotonic() >= self._due:
            self._flush()

    def write_scalars(self, row: Row) -> None:
        """Record only events, at ``row["env_steps"]``; they are written with the next rows."""
        numbers = {
            name: value for name, value in row.items() if isinstance(value, (int, float)) and name != "env_steps"
        }
        steps = int(row["env_steps"] or 0)
        self._events.write(steps, numbers | known_figures(row))
        if self._loggers:
            self._loggers.row(steps, renamed_figures(numbers), is_rare=any(name in numbers for name in _RARE))

    def write_details(self, epoch: int, cells: Iterable[float | None]) -> None:
        """Record a row of ``details.csv``; it is written with the next rows."""
        texts = ("" if cell is None else f"{cell:.6g}" for cell in cells)
        self._details.write(f"{epoch},{','.join(texts)}\n")

    def log(self, epoch: int, env_steps: int, name: str, value: float) -> None:
        """Record a number of the user's, after an epoch. It is written at once, since its epoch is over.

        Args:
            epoch: The epoch.
            env_steps: Environment steps done.
            name: Its name, without commas and quotes.
            value: The number.

        Raises:
            OSError: A write failed; the number stays in the buffer until :meth:`sync`.
        """
        self._logged.write(f"{epoch},{name},{value!r}\n")
        self._events.write(env_steps, {name: value})
        self._loggers.add(env_steps, name, value)
        self._logged.flush()
        self._events.file.flush()

    def sync(self) -> None:
        """Write the buffers, and sync the files to disk.

        Raises:
            OSError: A write failed; the data stays in the buffer.
        """
        self._flush()
        for file in self._files:
            file.sync()

    def close(self) -> None:
        """Write the buffers, and close the files.

        Raises:
            OSError: A write failed; its data is lost.
        """
        with contextlib.ExitStack() as stack:
            for file in self._files:
                stack.callback(file.close)
            self._flush()
            self._loggers.close()

    def _flush(self) -> None:
        self._due = math.inf  # after a failed write, do not retry every epoch
        for file in self._files:
            file.flush()
        self._loggers.flush()
        self._due = time.monotonic() + _FLUSH_SECONDS


def _rows_of(folder: Path) -> list[tuple[int, dict[str, float]]]:
    """Return the figures of each epoch and of the user at its environment steps, from the files of a run."""
    columns, logged = read_metrics(folder), read_logged(folder)
    rows = []
    for place, epoch in enumerate(columns["epoch"]):
        row = {name: float(column[place]) for name, column in columns.items() if not np.isnan(column[place])}
        row |= {name: value for each, name, value in logged if each == epoch}
        rows.append((int(row.pop("env_steps")), renamed_figures(row)))
    return rows


def _continued(path: Path, columns: list[str], epoch: int) -> Appended:
    """Return a file with the rows up to an epoch; one that does not exist is made with its first row."""
    if path.exists():
        write_durably(path, _rows_until(path, columns, epoch))
    file = Appended(path)
    if not path.exists():
        file.head = f"{','.join(columns)}\n".encode()
    return file


def is_epoch(cell: str) -> bool:
    """Return whether a cell of ``metrics.csv`` is the number of an epoch."""
    return cell.isdecimal() and len(cell) < 20


def read_metrics(folder: Path) -> dict[str, npt.NDArray[np.float64]]:
    """Read the metrics of a run.

    Returns:
        The columns [epochs] by name, without the digest; NaN where an epoch has no value.

    Raises:
        CheckpointError: The file is missing, damaged or not readable.
    """
    return _columns(folder / "metrics.csv")


def read_episodes(folder: Path) -> dict[str, npt.NDArray[np.float64]]:
    """Read the training episodes of a run: the epoch in which each ended, its return and its length.

    Returns:
        The columns [episodes] by name; empty ones if the run has no such file, as runs of older versions.

    Raises:
        CheckpointError: The file is damaged or not readable.
    """
    path = folder / "episodes.csv"
    found = _columns(path) if path.exists() else {}
    return {name: found.get(name, np.zeros(0)) for name in _EPISODES}


def detail_columns(sizes: Sequence[int]) -> list[str]:
    """Return the columns of ``details.csv``.

    Args:
        sizes: The options of each choice of the action space; empty leaves out the actions.
    """
    names = [f"choice_{number}" for number in range(len(sizes))] if len(sizes) > 1 else ["choice"]
    options = [f"{name}_{option}" for name, size in zip(names, sizes, strict=False) for option in range(size)]
    chosen = ["forced", *options] if options else []
    return ["epoch", *(f"{name}_seconds" for name in SECONDS), *chosen]


def read_details(folder: Path) -> dict[str, npt.NDArray[np.float64]]:
    """Read where the time of a run went, and which actions it took.

    Returns:
        The columns by name; none if the run has no such file, as runs of older versions.

    Raises:
        CheckpointError: The file is damaged or not readable.
    """
    path = folder / "details.csv"
    return _columns(path) if path.exists() else {}


def read_logged(folder: Path) -> list[tuple[int, str, float]]:
    """Read what the user has logged: the epoch, the name and the number of each.

    Raises:
        CheckpointError: The file is damaged or not readable.
    """
    path = folder / "logged.csv"
    if not path.exists():
        return []
    try:
        return [(int(epoch), name, float(value)) for epoch, name, value in _complete_rows(path)[1]]
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged: {error}") from None


def _columns(path: Path) -> dict[str, npt.NDArray[np.float64]]:
    try:
        names, rows = _complete_rows(path)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from None
    try:
        return {
            name: np.array([float(row[place] or "nan") for row in rows])
            for place, name in enumerate(names)
            if name != "digest"
        }
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged: {error}") from None


def _rows_until(path: Path, columns: list[str], epoch: int) -> bytes:
    """Return the header and the rows of a stopped run up to an epoch."""
    kept: list[dict[str, Any]] = [dict(zip(columns, columns, strict=True))]
    if epoch and path.exists():
        names, rows = _complete_rows(path)
        for cells in rows:
            if int(cells[0]) <= epoch:
                row = dict(zip(names, cells, strict=True))
                kept.append({name: row.get(name, "") for name in columns})
    text = io.StringIO()
    csv.DictWriter(text, columns).writerows(kept)
    return text.getvalue().encode()


def _complete_rows(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of a file, without rows that a crash left incomplete.

    Raises:
        OSError: The file cannot be read.
    """
    # No cell is quoted, and a line is complete if it ends with a newline.
    with open_regular(path) as stream:
        header, *lines = stream.read().decode(errors="replace").split("\n")[:-1] or [""]
    names = header.rstrip("\r").split(",")
    rows = [line.rstrip("\r").split(",") for line in lines]
    return names, [cells for cells in rows if len(cells) == len(names) and is_epoch(cells[0])]
