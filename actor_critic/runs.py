"""The run folder: which file is what, which checkpoint is the newest, and the lock that keeps two processes apart."""

import json
import re
import time
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from actor_critic import checkpoints
from actor_critic.config import Settings
from actor_critic.errors import CheckpointError, ConfigError
from actor_critic.files import link_durably, write_durably

_PERIODIC = re.compile(r"epoch_(\d{6,})\.safetensors")


class RunFolder:
    """One run on disk.

    ``settings.json`` (resolved settings), ``epoch_000010.safetensors`` … (periodic checkpoints),
    ``last.safetensors`` and ``best.safetensors``, ``metrics.csv``, TensorBoard events, ``evaluation.json``.
    """

    def __init__(self, path: Path) -> None:
        """Take an existing run folder for this process.

        Raises:
            ConfigError: It is no run folder, or another process holds it.
        """
        if not (path / "settings.json").is_file():
            raise ConfigError(f"{path} is not a run folder: it holds no settings.json")
        self.path = path
        # The operating system lets go of the lock when its holder dies, so a lock left behind is never stale.
        self._lock = FileLock(path / ".lock")
        self.claim()

    def claim(self) -> None:
        """Take the folder for this object, unless it has it already.

        Raises:
            ConfigError: Another process, or another trainer in this one, has it.
        """
        if self._lock.is_locked:
            return
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            raise ConfigError(f"{self.path} is in use by another trainer; wait until it ends") from None
        except OSError as error:
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
            write_durably(path / "settings.json", document)
        except OSError as error:
            path.rmdir()
            raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from None
        return cls(path)

    def write_settings(self, settings: Settings) -> None:
        """Replace ``settings.json``, for a run that was made longer.

        Raises:
            CheckpointError: The disk refused.
        """
        try:
            write_durably(self.path / "settings.json", settings.to_json())
        except OSError as error:
            raise CheckpointError(f"{self.path} cannot be written: {error.strerror or error}") from None

    def close(self) -> None:
        """Let go of the folder."""
        self._lock.release()

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

        Raises:
            CheckpointError: The disk refused; every earlier checkpoint is as it was.
        """
        path = self.path / f"epoch_{epoch:06d}.safetensors"
        checkpoints.save(checkpoint, path)
        try:
            link_durably(path, self.last)
            if is_best:
                write_durably(self.best, path.read_bytes())  # a copy: what damages one spares the other
            for _, old in self.periodic()[:-keep]:
                old.unlink(missing_ok=True)
        except OSError as error:
            raise CheckpointError(f"{error.filename or self.path} cannot be written: {error.strerror}") from None
        return path

    def periodic(self) -> list[tuple[int, Path]]:
        """The periodic checkpoints, oldest first, each with its epoch."""
        return _periodic(self.path)

    def read_evaluation(self) -> dict[str, Any] | None:
        """What ``evaluation.json`` holds, if it is there and whole."""
        try:
            document = json.loads((self.path / "evaluation.json").read_bytes())
        except (OSError, ValueError):
            return None
        return document if isinstance(document, dict) else None

    def write_evaluation(self, document: dict[str, Any]) -> None:
        """Write ``evaluation.json``.

        Raises:
            CheckpointError: The disk refused.
        """
        path = self.path / "evaluation.json"
        try:
            write_durably(path, (json.dumps(document, indent=2) + "\n").encode())
        except OSError as error:
            raise CheckpointError(f"{path} cannot be written: {error.strerror or error}") from None


def new_folder(wanted: Path) -> Path:
    """Make a folder that was not there: ``wanted``, or the first free of ``wanted_2``, ``wanted_3`` …

    Raises:
        ConfigError: It cannot be made.
    """
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
            return path


def timestamped_path(root: Path) -> Path:
    """The described name of a run folder, ``checkpoints_YYYYMMDD_HHMMSS``, at this second of local time."""
    return root / time.strftime("checkpoints_%Y%m%d_%H%M%S")


def newest_sound(path: Path) -> tuple[Path, checkpoints.Checkpoint, list[str]]:
    """The newest checkpoint of a run that proves whole; the best one, where no periodic one does.

    Returns:
        Its path, its content, and why each newer one was passed over.

    Raises:
        CheckpointError: The run has none.
    """
    passed_over: list[str] = []
    candidates = [candidate for _, candidate in reversed(_periodic(path))]
    candidates += [best for best in [path / "best.safetensors"] if best.exists()]
    for candidate in candidates:
        try:
            return candidate, checkpoints.load(candidate), passed_over
        except CheckpointError as error:
            passed_over.append(str(error))
    why = f": {'; '.join(passed_over)}" if passed_over else ""
    raise CheckpointError(f"{path} holds no sound checkpoint{why}")


def find_checkpoint(path: Path) -> tuple[Path, checkpoints.Checkpoint]:
    """The checkpoint a person means by a checkpoint file, or by a run folder (then its newest sound one).

    Raises:
        CheckpointError: There is none, or it is damaged.
    """
    if path.is_dir():
        return newest_sound(path)[:2]
    if not path.exists():
        raise CheckpointError(f"{path} does not exist; expected a run folder or a checkpoint file")
    return path, checkpoints.load(path)


def _periodic(folder: Path) -> list[tuple[int, Path]]:
    entries = folder.iterdir() if folder.is_dir() else ()
    return sorted((int(match[1]), entry) for entry in entries if (match := _PERIODIC.fullmatch(entry.name)))
