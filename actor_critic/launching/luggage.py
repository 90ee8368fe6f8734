"""What a run needs on another machine besides this package: the user's code, and a checkpoint to begin with."""

import hashlib
import importlib.machinery
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from actor_critic.config import Settings
from actor_critic.errors import ConfigError
from actor_critic.imports import look_in, make_findable
from actor_critic.storage import find_checkpoint

_CHECKPOINT = "init_from.safetensors"
_MOST_BYTES = 100 * 2**20


@dataclass(frozen=True)
class Luggage:
    """Files by their paths relative to the folder where the command was started."""

    files: dict[str, bytes]

    @classmethod
    def of(cls, settings: Settings, root: Path) -> "Luggage":
        """Return the Python files in the start folder if the settings name code there, and the first checkpoint.

        Args:
            settings: The settings of the run.
            root: The folder where the command was started.

        Raises:
            ConfigError: A file cannot be read, or the files are too large.
            CheckpointError: ``init_from`` names no valid checkpoint.
        """
        packages = {name.partition(":")[0].partition(".")[0] for name in settings.imported_code}
        files: dict[str, bytes] = {}
        if any(importlib.machinery.PathFinder.find_spec(package, [str(root)]) for package in packages):
            files = _read(root, _python_files(root))
        if settings.init_from is not None:
            path, _ = find_checkpoint(root / settings.init_from)
            files[_CHECKPOINT] = path.read_bytes()
        if (size := sum(map(len, files.values()))) > _MOST_BYTES:
            raise ConfigError(
                f"--launcher: the Python files in {root} and the checkpoint to begin with have {size:,} bytes, and at "
                f"most {_MOST_BYTES:,} are sent to other machines; start in a folder with the run's own code"
            )
        return cls(files)

    def unpack(self, settings: Settings) -> tuple[Path, Settings]:
        """Write the files to a folder of this machine whose name follows from them, and search it for code.

        Returns:
            The folder, and the settings that name files in it.
        """
        digest = hashlib.sha256(repr(sorted(self.files.items())).encode()).hexdigest()[:16]
        user = os.getuid() if hasattr(os, "getuid") else "user"
        folder = Path(tempfile.gettempdir()) / f"actor_critic_{user}_{digest}"
        if not folder.exists():
            partial = Path(tempfile.mkdtemp(prefix="actor_critic_"))
            write_files(partial, self.files)
            try:
                partial.rename(folder)
            except OSError:  # another process was faster
                if not folder.exists():
                    raise
        look_in(str(folder))
        make_findable()
        if settings.init_from is not None:
            settings = settings.replace(init_from=str(folder / _CHECKPOINT))
        return folder, settings


def _python_files(root: Path) -> Iterable[Path]:
    yield from root.glob("*.py")
    for package in root.iterdir():
        if (package / "__init__.py").is_file():
            yield from package.rglob("*.py")


def _read(root: Path, paths: Iterable[Path]) -> dict[str, bytes]:
    try:
        return {str(path.relative_to(root)): path.read_bytes() for path in paths}
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be read: {error.strerror or error}") from None


def read_folder(folder: Path) -> dict[str, bytes]:
    """Return the files of a run folder by their relative paths, without locks and unfinished files."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith("."))
    return _read(folder, paths)


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    """Write files below a folder."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
