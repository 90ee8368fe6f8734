"""Sinks: where the figures of every epoch are kept, as CSV and as TensorBoard events."""

import csv
import io
from pathlib import Path

from tensorboardX import FileWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary

from actor_critic.files import write_durably

Row = dict[str, float | int | None]


class MetricsWriter:
    """Appends one row per epoch to ``metrics.csv`` and one set of scalars to a TensorBoard event file."""

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
        self._events = FileWriter(str(folder), filename_suffix=f".{epoch:09d}")
        if epoch:  # tells readers to drop what a stopped run wrote from the next epoch on
            self._events.add_event(Event(step=epoch + 1, file_version="brain.Event:2"))
            self._events.add_event(Event(step=epoch + 1, session_log=SessionLog(status=SessionLog.START)))

    def write(self, row: Row) -> None:
        """Record one epoch; None is an empty cell, and no event."""
        self._csv.writerow(row)
        self._file.flush()
        values = [
            Summary.Value(tag=name, simple_value=value)
            for name, value in row.items()
            if value is not None and name != self._columns[0]
        ]
        self._events.add_summary(Summary(value=values), row[self._columns[0]])

    def close(self) -> None:
        """Flush and close both files."""
        self._file.close()
        self._events.close()


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
