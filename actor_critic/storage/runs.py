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

_PERIODIC = re.compile(r"epoch_(\d{6,})\.safetensors")

ENDS = ("num_epochs", "target_return", "max_hours")
"""The settings that say where a run ends, which may be others when it is taken up."""

_held: "weakref.WeakKeyDictionary[RunFolder, int]" = weakref.WeakKeyDictionary()
"""The folders that this process holds, each with the process that took it: a fork inherits the table."""


class RunFolder:
    """One run on disk.

    ``settings.json`` (resolved settings), ``epoch_000010.safetensors`` … (periodic checkpoints),
    ``last.safetensors`` and ``best.safetensors``, ``metrics.csv``, TensorBoard events, ``evaluation.json``.
    """

    def __init__(self, path: Path) -> None:
        """Take an existing run folder for this process.

        Raises:
            ConfigError: It is no run folder, or another process holds it.
            CheckpointError: It cannot be read.
        """
        check_is_run(path)
        self.path = path
        # The operating system lets go of the lock when its holder dies, so a lock left behind is never stale.
        self._lock = FileLock(path / ".lock", thread_local=False)
        self.claim()

    def claim(self) -> None:
        """Take the folder for this object, unless it has it already, and clear away what a killed process left.

        Raises:
            ConfigError: Another process, or another trainer in this one, has it.
        """
        if self._lock.is_locked:
            return
        try:
            self._lock.acquire(blocking=False)
            _held[self] = os.getpid()
            remove_temporaries(self.path)
        except Timeout:
            if any(process == os.getpid() and _is_same(folder, self) for folder, process in _held.items()):
                raise ConfigError(
                    f"{self.path} is in use by another trainer of this very program, which need not be training; "
                    f"close it first, as in trainer.close(), or go on with that one"
                ) from None
            raise ConfigError(f"{self.path} is in use by another trainer; wait until it ends") from None
        except OSError as error:
            self._lock.release()
            raise ConfigError(f"{self.path} cannot be written: {error.strerror or error}") from None

    @classmethod
    def create(cls, path: Path, settings: Settings) -> "RunFolder":
        """Make a new run folder; where ``path`` is taken already, the first free of ``path_2``, ``path_3`` …

        Raises:
            ConfigError: It cannot be made.
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
        """Replace ``settings.json``, for a run that was made longer.

        Raises:
            CheckpointError: The disk refused.
        """
        path = self.path / "settings.json"
        with _refusals(path, "written"):
            write_durably(path, settings.to_json())

    def close(self) -> None:
        """Let go of the folder."""
        self._lock.release()
        _held.pop(self, None)

    @property
    def last(self) -> Path:
        """The newest checkpoint, under the name a person looks for."""
        return self.path / "last.safetensors"

    @property
    def best(self) -> Path:
        """The best checkpoint so far."""
        return self.path / "best.safetensors"

    def save(self, checkpoint: checkpoints.Checkpoint, epoch: int, is_best: bool, keep: int) -> Path:
        """Write the checkpoint of an epoch, name it last (and best), and drop all but the newest ``keep``.

        Checkpoints of later epochs are from before the run was taken up at an earlier one: damaged, or of another
        version. They count no more, and are set aside under another name, as somebody may still want them.

        Raises:
            CheckpointError: The disk refused; every earlier checkpoint is as it was.
        """
        path = self._periodic(epoch)
        if is_best:
            # First: a run that is killed between the two comes to this score again, and not past it.
            checkpoints.save(checkpoint, self.best)
            with _refusals(path, "written"):
                write_durably(path, self.best.read_bytes())  # a copy: what damages one spares the other
        else:
            checkpoints.save(checkpoint, path)
        with _refusals(self.last, "written"):
            link_durably(path, self.last)
        with _refusals(self.path, "written"):
            # Only now that the new one is durable; and it is never among those dropped, as it is the last up to itself.
            for _, later in [found for found in self.periodic() if found[0] > epoch]:
                os.replace(later, later.with_name(f"{later.name}.passed_over"))
            for _, old in [found for found in self.periodic() if found[0] <= epoch][:-keep]:
                old.unlink(missing_ok=True)
        return path

    def holds(self, epoch: int) -> bool:
        """Return whether the checkpoint of an epoch is there, and under the name of the last one too."""
        path = self._periodic(epoch)
        return path.exists() and self.last.exists() and self.last.samefile(path)

    def _periodic(self, epoch: int) -> Path:
        return self.path / f"epoch_{epoch:06d}.safetensors"

    def periodic(self) -> list[tuple[int, Path]]:
        """Return the periodic checkpoints, oldest first, each with its epoch."""
        return periodic(self.path)

    def read_evaluation(self) -> dict[str, Any] | None:
        """Return the content of ``evaluation.json``; None if it is missing or damaged."""
        try:
            with open_regular(self.path / "evaluation.json") as stream:
                return parse_json_object(stream.read(MAX_BYTES), stream.name)
        except (OSError, ConfigError):
            return None

    def write_evaluation(self, document: dict[str, Any]) -> None:
        """Write ``evaluation.json``.

        Raises:
            CheckpointError: The disk refused.
        """
        path = self.path / "evaluation.json"
        with _refusals(path, "written"):
            write_durably(path, (json.dumps(document, indent=2) + "\n").encode())


def here() -> Path:
    """Return the folder that relative paths start from; "." if it is gone."""
    try:
        return Path.cwd()
    except OSError:
        return Path()


def _is_same(one: RunFolder, other: RunFolder) -> bool:
    """Return whether two names are those of one folder."""
    with contextlib.suppress(OSError):
        return one.path.samefile(other.path)
    return one.path == other.path


def new_folder(wanted: Path) -> Path:
    """Make a folder that was not there: ``wanted``, or the first free of ``wanted_2``, ``wanted_3`` …

    Raises:
        ConfigError: It cannot be made.
    """
    if not wanted.name:
        raise ConfigError(
            f"the run folder {wanted} cannot be made: it is there already; expected the name of a new one"
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
        sync_folder(path.parent)  # what is durable in a folder is lost with the folder itself
    except OSError as error:
        with contextlib.suppress(OSError):
            path.rmdir()
        raise ConfigError(f"the run folder {path} cannot be made: {error.strerror or error}") from None
    return path


def timestamped_path(root: Path) -> Path:
    """Return the usual name of a run folder, ``checkpoints_YYYYMMDD_HHMMSS``, at this second of local time."""
    return root / time.strftime("checkpoints_%Y%m%d_%H%M%S")


def check_is_run(path: Path) -> None:
    """Check that a path is the folder of one run.

    Raises:
        ConfigError: It is something else.
        CheckpointError: It cannot be read.
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
    """Return which settings in a run's ``settings.json`` differ from its checkpoint, in words; None if none do.

    A name there that is no setting counts as one of them.
    """
    written = _settings_file(path)
    unknown = sorted(written.keys() - checkpoint.settings.keys() - Config.model_fields.keys())
    if unknown:
        words = ", ".join(f"{shown(name)}={written[name]!r:.60}" for name in unknown[:9])
        meant = nearest(unknown[0], list(Config.model_fields))
        return f"{path / 'settings.json'} says {words}, which is no setting{meant}"
    known = checkpoint.settings
    # What may change when a run is taken up is not written down at the same moment as a checkpoint.
    free = {"replay", "device", *ENDS} - ({"num_epochs"} & computed_fields(known).keys())
    names = [name for name in known.keys() - free if name in written and written[name] != known[name]]
    if not names:
        return None
    words = ", ".join(f"{name}={written[name]!r:.60} and not {known[name]!r:.60}" for name in sorted(names))
    return f"{path / 'settings.json'} says {words}, with which the run was computed"


def other_ends(path: Path, checkpoint: checkpoints.Checkpoint) -> dict[str, Any]:
    """Return the ends of the run in ``settings.json`` that differ from its checkpoint."""
    written, known = _settings_file(path), checkpoint.settings
    return {name: written[name] for name in ENDS if name in written and name in known and written[name] != known[name]}


def _settings_file(path: Path) -> dict[str, Any]:
    """Return a run's ``settings.json``; nothing if it cannot be read, as the checkpoint holds the settings too."""
    try:
        with open_regular(path / "settings.json") as stream:
            return parse_json_object(stream.read(MAX_BYTES), stream.name)
    except (OSError, ConfigError):
        return {}


def newest_sound(path: Path) -> tuple[Path, checkpoints.Checkpoint, list[str]]:
    """Return the newest sound checkpoint of a run; the last or the best one if no periodic one is sound.

    Returns:
        Its path, its content, and why each newer one was passed over.

    Raises:
        CheckpointError: The run has none.
    """
    passed_over: list[str] = []
    with _refusals(path, "read"):
        candidates = [candidate for _, candidate in reversed(periodic(path))]
        last, best = path / "last.safetensors", path / "best.safetensors"
        # Most often the last is a second name of the newest periodic one, and no second chance.
        if last.exists() and not any(found.exists() and last.samefile(found) for found in candidates):
            candidates.append(last)
        candidates += [best] if best.exists() else []
    for candidate in candidates:
        try:
            return candidate, checkpoints.load(candidate), passed_over
        except CheckpointError as error:
            passed_over.append(str(error))
    why = f": {'; '.join(passed_over)}" if passed_over else ""
    raise CheckpointError(f"{path} holds no sound checkpoint{why}")


def find_checkpoint(path: Path) -> tuple[Path, checkpoints.Checkpoint]:
    """Return the checkpoint of a file, or the newest sound one of a run folder.

    Raises:
        CheckpointError: There is none, or it is damaged.
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
    """Raise a CheckpointError that names the file that the disk refused, and what could not be ``done`` with it."""
    try:
        yield
    except OSError as error:
        raise CheckpointError(f"{path} cannot be {done}: {error.strerror or error}") from None
