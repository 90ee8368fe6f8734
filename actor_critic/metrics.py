"""Sinks: where the figures of every epoch are kept, as CSV and as TensorBoard events."""

import contextlib
import csv
import io
import time
from pathlib import Path

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary

from actor_critic.files import write_durably

Row = dict[str, float | int | None]


_FLUSH_SECONDS = 1.0


class MetricsWriter:
    """Appends one row per epoch to ``metrics.csv`` and one set of scalars to a TensorBoard event file.

    Rows are written together: with the first one after a second, and whenever :meth:`flush` is called, as it is before
    every checkpoint. What a killed run had not written yet is written by the run that is resumed at its checkpoint.
    """

    def __init__(self, folder: Path, columns: list[str], epoch: int = 0) -> None:
        """Open the files of a run.

        Args:
            folder: The run folder.
            columns: Names of the figures; the first is the epoch.
            epoch: Continue after this epoch: rows that a stopped run wrote beyond it are dropped.

        Raises:
            OSError: The files cannot be written.
        """
        self._columns = columns
        path = folder / "metrics.csv"
        write_durably(path, _rows_until(path, columns, epoch))
        self._file = open(path, "a", newline="", encoding="utf-8")  # noqa: SIM115 - lives as long as the run
        self._csv = csv.DictWriter(self._file, columns)
        # The name of an event file holds the second it was opened in: the suffix keeps two from being one.
        self._events = EventsWriter(str(folder / "events"), filename_suffix=f".{epoch:09d}")
        if epoch:  # tells readers to drop what a stopped run wrote from the next epoch on
            self._events.write_event(Event(wall_time=time.time(), step=epoch + 1, file_version="brain.Event:2"))
            start = SessionLog(status=SessionLog.START)
            self._events.write_event(Event(wall_time=time.time(), step=epoch + 1, session_log=start))
        self._waiting: list[tuple[float, Row]] = []
        self._flushed = time.monotonic()

    def write(self, row: Row) -> None:
        """Record one epoch; None is an empty cell, and no event."""
        self._waiting.append((time.time(), row))
        if time.monotonic() - self._flushed > _FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what is waiting."""
        waiting, self._waiting = self._waiting, []  # first: what fails half-way must not be written twice
        self._csv.writerows(row for _, row in waiting)
        self._file.flush()
        step, *scalars = self._columns
        for moment, row in waiting:
            values = [Summary.Value(tag=name, simple_value=row[name]) for name in scalars if row[name] is not None]
            self._events.write_event(Event(wall_time=moment, step=row[step], summary=Summary(value=values)))
        self._events.flush()
        self._flushed = time.monotonic()

    def close(self) -> None:
        """Write what is waiting, and close both files."""
        with contextlib.ExitStack() as stack:
            stack.callback(self._events.close)
            stack.callback(self._file.close)
            self.flush()


def _rows_until(path: Path, columns: list[str], epoch: int) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    if epoch and path.exists():
        with open(path, newline="", encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                complete = None not in row.values() and (row.get(columns[0]) or "").isdigit()
                if complete and int(row[columns[0]]) <= epoch:
                    writer.writerow({name: row.get(name, "") for name in columns})
    return text.getvalue().encode()
