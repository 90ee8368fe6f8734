"""The metrics of every epoch, as CSV and as TensorBoard events."""

import contextlib
import csv
import io
import math
import os
import socket
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.record_writer import masked_crc32c

from actor_critic.errors import CheckpointError
from actor_critic.files import open_regular, sync_folder, write_durably

Row = dict[str, float | int | str | None]

_FLUSH_SECONDS = 1.0


class MetricsWriter:
    """Appends one row per epoch to ``metrics.csv`` and one set of scalars to a TensorBoard event file.

    The axis of the scalars is the environment step.

    Rows are buffered. They are written about once a second, and at every :meth:`sync`, which precedes every checkpoint.
    If a run is killed, the resumed run computes and writes the missing rows again. If a write fails, the data stays in
    the buffer until the next :meth:`sync`.
    """

    def __init__(self, folder: Path, columns: list[str], epoch: int = 0, env_steps: int = 0) -> None:
        """Open the files of a run.

        Args:
            folder: The run folder.
            columns: Names of the metrics; the first is the epoch, and "env_steps" is among them.
            epoch: Continue after this epoch; rows of later epochs are dropped.
            env_steps: Environment steps up to this epoch; later events are dropped.

        Raises:
            OSError: The files cannot be written.
        """
        self._columns = columns
        self._event = Event()  # the last event and its tags, reused because making them is slow
        self._tags: list[str] | None = None
        path = folder / "metrics.csv"
        write_durably(path, _rows_until(path, columns, epoch))
        # TensorBoard's form of a name; the epoch distinguishes two files of the same second.
        name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{epoch:09d}"
        with contextlib.ExitStack() as stack:
            self._rows = stack.enter_context(contextlib.closing(_Appended(path)))
            self._events = stack.enter_context(contextlib.closing(_Appended(folder / name)))
            sync_folder(folder)
            self._files = stack.pop_all()
        self._table = csv.writer(self._rows)
        self._events.add(_record(Event(wall_time=time.time(), file_version="brain.Event:2")))
        if epoch:  # readers then drop events of later epochs
            start = SessionLog(status=SessionLog.START)
            self._events.add(_record(Event(wall_time=time.time(), step=env_steps + 1, session_log=start)))
        self._due = time.monotonic() + _FLUSH_SECONDS

    def write(self, row: Row) -> None:
        """Record one epoch; None is an empty cell, and only numbers become events.

        Raises:
            OSError: A write failed; the row stays in the buffer until :meth:`sync`.
        """
        self._table.writerow([row[name] for name in self._columns])
        self.write_scalars(row)
        if time.monotonic() >= self._due:
            self._flush()

    def write_scalars(self, row: Row) -> None:
        """Record only events, at ``row["env_steps"]``; they are written with the next rows."""
        tags = [name for name, figure in row.items() if name != "env_steps" and isinstance(figure, (int, float))]
        if tags != self._tags:
            self._event, self._tags = Event(summary=Summary(value=[Summary.Value(tag=tag) for tag in tags])), tags
        for value, tag in zip(self._event.summary.value, tags, strict=True):
            value.simple_value = row[tag]
        self._event.wall_time, self._event.step = time.time(), row["env_steps"]
        self._events.add(_record(self._event))

    def sync(self) -> None:
        """Write the buffers, and sync both files to disk.

        Raises:
            OSError: A write failed; the data stays in the buffer.
        """
        self._flush()
        self._rows.sync()
        self._events.sync()

    def close(self) -> None:
        """Write the buffers, and close both files.

        Raises:
            OSError: A write failed; its data is lost.
        """
        with self._files:
            self._flush()

    def _flush(self) -> None:
        self._due = math.inf  # after a failed write, do not retry every epoch
        self._rows.flush()
        self._events.flush()
        self._due = time.monotonic() + _FLUSH_SECONDS


class _Appended:
    """A file opened for appending, with a buffer.

    After a partial write, the writers of the standard library and of tensorboardX lose data or write it twice.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115 - lives as long as the run
        self._waiting = bytearray()

    def add(self, data: bytes) -> None:
        self._waiting += data

    def write(self, text: str) -> None:
        """Append a text, like the ``write`` of a file."""
        self._waiting += text.encode()

    def flush(self) -> None:
        """Write the buffer; after a partial write, the next call continues with the rest."""
        try:
            while self._waiting:
                written = self._file.write(self._waiting)
                del self._waiting[:written]
        except OSError as error:
            error.filename = str(self._path)
            raise

    def sync(self) -> None:
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            error.filename = str(self._path)
            raise

    def close(self) -> None:
        self._file.close()


def is_epoch(cell: str) -> bool:
    """Return whether a cell of ``metrics.csv`` is the number of an epoch."""
    return cell.isdecimal() and len(cell) < 20


def _record(event: Event) -> bytes:
    """Return an event as a record of an event file: length, its checksum, the event, its checksum."""
    data = event.SerializeToString()
    length = struct.pack("<Q", len(data))
    return b"".join([length, struct.pack("<I", masked_crc32c(length)), data, struct.pack("<I", masked_crc32c(data))])


def read_metrics(folder: Path) -> dict[str, npt.NDArray[np.float64]]:
    """Read the metrics of a run.

    Returns:
        The columns [epochs] by name, without the digest; NaN where an epoch has no value.

    Raises:
        CheckpointError: The file is missing, damaged or not readable.
    """
    path = folder / "metrics.csv"
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
