"""The run folder: its files, its newest checkpoint, and the lock against a second process."""

import contextlib
import json
import os
import re
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from actor_critic.config import MAX_BYTES, Config, Settings, computed_fields, nearest, parse_json_object, shown
from actor_critic.errors import CheckpointError, ConfigError
from actor_critic.files import link_durably, open_regular, remove_temporaries, sync_folder, write_durably
from actor_critic.storage import checkpoints
from actor_critic.storage.changes import Change, changes_file

_PERIODIC = re.compile(r"epoch_(\d{6,})\.safetensors")

ENDS = ("num_epochs", "target_return", "max_hours")
"""The settings that end a run; they may change on resume."""

_held: "weakref.WeakKeyDictionary[RunFolder, int]" = weakref.WeakKeyDictionary()
"""The folders that this process has locked, each with the process id, because a fork inherits this table."""


class RunFolder:
    """One run on disk.

    ``settings.json`` (resolved settings), ``epoch_000010.safetensors`` … (periodic checkpoints),
    ``last.safetensors`` and ``best.safetensors``, ``metrics.csv``, TensorBoard events, ``evaluation.json``,
    ``videos/epoch_000010.gif`` … (recorded episodes).
    """

    def __init__(self, path: Path) -> None:
        """Open and lock an existing run folder.

        Raises:
            ConfigError: The path is no run folder, or another process has locked it.
            CheckpointError: The folder cannot be read.
        """
        check_is_run(path)
        self.path = path
        # The operating system releases the lock when its process dies, so a lock is never stale.
        self._lock = FileLock(path / ".lock", thread_local=False)
        self.claim()

    def claim(self) -> None:
        """Lock the folder, unless this object has locked it, and remove temporary files of a killed process.

        Raises:
            ConfigError: Another process, or another trainer in this process, has locked it.
        """
        if self._lock.is_locked:
            return
        try:
            self._lock.acquire(blocking=False)
            _held[self] = os.getpid()
            remove_temporaries(self.path)
            if (videos := self.path / "videos").is_dir():
                remove_temporaries(videos)
        except Timeout:
            if any(process == os.getpid() and _is_same(folder, self) for folder, process in _held.items()):
                raise ConfigError(
                    f"{self.path} is in use by another trainer in this program; "
                    f"close it first with trainer.close(), or continue with that trainer"
                ) from None
            raise ConfigError(f"{self.path} is in use by another trainer; wait until it ends") from None
        except OSError as error:
            self._lock.release()
            raise ConfigError(f"{self.path} cannot be written: {error.strerror or error}") from None

    @classmethod
    def create(cls, path: Path, settings: Settings) -> "RunFolder":
        """Make a new run folder; if ``path`` exists, use the first free of ``path_2``, ``path_3`` …

        Raises:
            ConfigError: The folder cannot be made.
        """
        document = settings.to_json()
        path = new_folder(path)
        try:
            try:
                write_durably(path / "settings.json", document)
            except OSError as error:
                raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from None
            return cls(path)
        except ConfigError:
            with contextlib.suppress(OSError):
                for name in ("settings.json", ".lock"):
                    (path / name).unlink(missing_ok=True)
                path.rmdir()
            raise

    def write_settings(self, settings: Settings) -> None:
        """Replace ``settings.json``, for a run with a new end.

        Raises:
            CheckpointError: The file cannot be written.
        """
        path = self.path / "settings.json"
        with _refusals(path, "written"):
            write_durably(path, settings.to_json())

    def write_changes(self, changes: list[Change]) -> None:
        """Write ``changes.json``.

        Raises:
            CheckpointError: The file cannot be written.
        """
        path = self.path / "changes.json"
        if changes or path.exists():
            with _refusals(path, "written"):
                write_durably(path, changes_file(changes))

    def close(self) -> None:
        """Unlock the folder."""
        self._lock.release()
        _held.pop(self, None)

    @property
    def last(self) -> Path:
        """The fixed path of the newest checkpoint."""
        return self.path / "last.safetensors"

    @property
    def best(self) -> Path:
        """The best checkpoint so far."""
        return self.path / "best.safetensors"

    def save(self, checkpoint: checkpoints.Checkpoint, epoch: int, is_best: bool, keep: int) -> Path:
        """Write the checkpoint of an epoch, make it the last (and best) one, and delete all but the newest ``keep``.

        Checkpoints of later epochs can exist if the run was resumed from an earlier one, because they were damaged or
        of another version. They are renamed and not used any more.

        Raises:
            CheckpointError: The file cannot be written; earlier checkpoints are unchanged.
        """
        path = self._periodic(epoch)
        if is_best:
            # First: a run killed between the two writes resumes before this epoch, and reaches this score again.
            checkpoints.save(checkpoint, self.best)
            with _refusals(path, "written"):
                write_durably(path, self.best.read_bytes())  # a copy, so that damage to one file spares the other
        else:
            checkpoints.save(checkpoint, path)
        with _refusals(self.last, "written"):
            link_durably(path, self.last)
        with _refusals(self.path, "written"):
            # After the new checkpoint is durable. It is the newest up to its epoch, so it is never deleted here.
            for _, later in [found for found in self.periodic() if found[0] > epoch]:
                os.replace(later, later.with_name(f"{later.name}.passed_over"))
            for _, old in [found for found in self.periodic() if found[0] <= epoch][:-keep]:
                old.unlink(missing_ok=True)
        return path

    def holds(self, epoch: int) -> bool:
        """Return whether the checkpoint of an epoch exists and is the last one."""
        path = self._periodic(epoch)
        return path.exists() and self.last.exists() and self.last.samefile(path)

    def _periodic(self, epoch: int) -> Path:
        return self.path / f"epoch_{epoch:06d}.safetensors"

    def periodic(self) -> list[tuple[int, Path]]:
        """Return the periodic checkpoints, oldest first, each with its epoch."""
        return periodic(self.path)

    def has_video(self, epoch: int) -> bool:
        """Return whether there is a recorded episode of an epoch."""
        return any((self.path / "videos").glob(f"epoch_{epoch:06d}.*"))

    def write_video(self, epoch: int, suffix: str, data: bytes) -> Path:
        """Write a recorded episode of an epoch to the folder ``videos``.

        Raises:
            CheckpointError: The file cannot be written.
        """
        path = self.path / "videos" / f"epoch_{epoch:06d}{suffix}"
        with _refusals(path, "written"):
            if not path.parent.exists():
                path.parent.mkdir()
                sync_folder(self.path)
            write_durably(path, data)
        return path

    def write_evaluation(self, document: dict[str, Any]) -> None:
        """Write ``evaluation.json``.

        Raises:
            CheckpointError: The file cannot be written.
        """
        path = self.path / "evaluation.json"
        with _refusals(path, "written"):
            write_durably(path, (json.dumps(document, indent=2) + "\n").encode())


def read_evaluation(folder: Path) -> dict[str, Any] | None:
    """Return the content of a run's ``evaluation.json``; None if it is missing or damaged."""
    try:
        with open_regular(folder / "evaluation.json") as stream:
            return parse_json_object(stream.read(MAX_BYTES), stream.name)
    except (OSError, ConfigError):
        return None


def here() -> Path:
    """Return the current folder; "." if it was deleted."""
    try:
        return Path.cwd()
    except OSError:
        return Path()


def _is_same(one: RunFolder, other: RunFolder) -> bool:
    """Return whether two paths lead to the same folder."""
    with contextlib.suppress(OSError):
        return one.path.samefile(other.path)
    return one.path == other.path


def new_folder(wanted: Path) -> Path:
    """Make a new folder: ``wanted``, or the first free of ``wanted_2``, ``wanted_3`` …

    Raises:
        ConfigError: The folder cannot be made.
    """
    if not wanted.name:
        raise ConfigError(
            f"the run folder {wanted} cannot be made: it exists already; expected the name of a new folder"
        )
    number, path = 1, wanted
    while True:
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            number += 1
            path = wanted.with_name(f"{wanted.name}_{number}")
        except OSError as error:
            raise ConfigError(f"the run folder {path} cannot be made: {error.strerror or error}") from None
        else:
            break
    try:
        sync_folder(path.parent)  # without this, a crash can lose the folder with all its files
    except OSError as error:
        with contextlib.suppress(OSError):
            path.rmdir()
        raise ConfigError(f"the run folder {path} cannot be made: {error.strerror or error}") from None
    return path


def timestamped_path(root: Path) -> Path:
    """Return the default path of a run folder, ``checkpoints_YYYYMMDD_HHMMSS`` in local time."""
    return root / time.strftime("checkpoints_%Y%m%d_%H%M%S")


def check_is_run(path: Path) -> None:
    """Check that a path is the folder of one run.

    Raises:
        ConfigError: The path is no run folder.
        CheckpointError: The path cannot be read.
    """
    with _refusals(path, "read"):
        if (path / "settings.json").is_file():
            return
        is_file = path.is_file()
        runs = [] if is_file else sorted(str(found.parent) for found in path.glob("seed_*/settings.json"))
    if is_file:
        raise ConfigError(f"{path} is a file; expected the folder of a run, such as {path.parent}")
    if runs:
        raise ConfigError(f"{path} holds a run for each of several seeds; expected one of them: {', '.join(runs)}")
    raise ConfigError(f"{path} is not a run folder: it holds no settings.json")


def edited_settings(path: Path, checkpoint: checkpoints.Checkpoint) -> str | None:
    """Return a text that names the settings in ``settings.json`` that differ from the checkpoint; None if none do.

    Unknown names count as differences.
    """
    written = _settings_file(path)
    unknown = sorted(written.keys() - checkpoint.settings.keys() - Config.model_fields.keys())
    if unknown:
        words = ", ".join(f"{shown(name)}={written[name]!r:.60}" for name in unknown[:9])
        meant = nearest(unknown[0], list(Config.model_fields))
        return f"{path / 'settings.json'} says {words}, which is no setting{meant}"
    known = checkpoint.settings
    # Settings that may change on resume are not written at the same moment as a checkpoint.
    free = {"replay", "device", *ENDS} - ({"num_epochs"} & computed_fields(known).keys())
    kinds = {str(settings.get("device", "")).partition(":")[0] for settings in (written, known)}
    if len(kinds) > 1:  # moved between the CPU and a GPU, which have different backends
        free.add("backend")
    names = [name for name in known.keys() - free if name in written and written[name] != known[name]]
    if not names:
        return None
    words = ", ".join(f"{name}={written[name]!r:.60} and not {known[name]!r:.60}" for name in sorted(names))
    return f"{path / 'settings.json'} says {words}, which the run was trained with"


def other_ends(path: Path, checkpoint: checkpoints.Checkpoint) -> dict[str, Any]:
    """Return the settings of the run's end in ``settings.json`` that differ from its checkpoint."""
    written, known = _settings_file(path), checkpoint.settings
    return {name: written[name] for name in ENDS if name in written and name in known and written[name] != known[name]}


def _settings_file(path: Path) -> dict[str, Any]:
    """Return a run's ``settings.json``; empty if it cannot be read, because the checkpoint has the settings too."""
    try:
        with open_regular(path / "settings.json") as stream:
            return parse_json_object(stream.read(MAX_BYTES), stream.name)
    except (OSError, ConfigError):
        return {}


def newest_sound(path: Path) -> tuple[Path, checkpoints.Checkpoint, list[str]]:
    """Return the newest valid periodic checkpoint of a run; without one, the last or the best checkpoint.

    Returns:
        Its path, its content, and why each newer one was skipped.

    Raises:
        CheckpointError: The run has no valid checkpoint.
    """
    passed_over: list[str] = []
    with _refusals(path, "read"):
        candidates = [candidate for _, candidate in reversed(periodic(path))]
        last, best = path / "last.safetensors", path / "best.safetensors"
        # Usually `last` is a link to the newest periodic checkpoint, so it need not be tried again.
        if last.exists() and not any(found.exists() and last.samefile(found) for found in candidates):
            candidates.append(last)
        candidates += [best] if best.exists() else []
    for candidate in candidates:
        try:
            return candidate, checkpoints.load(candidate), passed_over
        except CheckpointError as error:
            passed_over.append(str(error))
    why = f": {'; '.join(passed_over)}" if passed_over else ""
    raise CheckpointError(f"{path} holds no valid checkpoint{why}")


def find_checkpoint(path: Path) -> tuple[Path, checkpoints.Checkpoint]:
    """Return the checkpoint of a file, or the newest valid one of a run folder.

    Raises:
        CheckpointError: There is no checkpoint, or it is damaged.
    """
    with _refusals(path, "read"):
        is_there, is_folder = path.exists(), path.is_dir()
    if is_folder:
        return newest_sound(path)[:2]
    if not is_there:
        raise CheckpointError(f"{path} does not exist; expected a run folder or a checkpoint file")
    return path, checkpoints.load(path)


def periodic(folder: Path) -> list[tuple[int, Path]]:
    """Return the periodic checkpoints of a run folder, oldest first, each with its epoch."""
    entries = folder.iterdir() if folder.is_dir() else ()
    return sorted((int(match[1]), entry) for entry in entries if (match := _PERIODIC.fullmatch(entry.name)))


@contextlib.contextmanager
def _refusals(path: Path, done: str) -> Iterator[None]:
    """Convert an OSError into a CheckpointError: ``path`` cannot be ``done`` ("read" or "written")."""
    try:
        yield
    except OSError as error:
        raise CheckpointError(f"{path} cannot be {done}: {error.strerror or error}") from None
