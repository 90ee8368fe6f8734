"""`train` where a run has begun before: in the folder of --run-folder, or before torchrun restarted the ranks."""

from pathlib import Path

from actor_critic.cli.places import absolute, as_typed
from actor_critic.config import Settings
from actor_critic.errors import CheckpointError, ConfigError
from actor_critic.ranks import recall, restarts
from actor_critic.storage import RunFolder, new_folder, timestamped_path
from actor_critic.training import FoundRun, find_run, names_no_other_code, other_setting


def place_of_run(run_folder: str | None) -> tuple[Path, FoundRun | None]:
    """Return the folder of a run, and what it holds if the run has begun before.

    Args:
        run_folder: The value of --run-folder.

    Raises:
        ConfigError: The folder holds something else than a run.
        CheckpointError: The run has no valid checkpoint any more.
    """
    path = absolute(run_folder) if run_folder is not None else None
    if path is None and restarts() and (known := recall("run_folder")):
        path = Path(known)
    if path is None:
        return timestamped_path(absolute("")), None
    try:
        if not path.exists() or not any(path.iterdir()):
            return path, None
    except OSError as error:
        what = f"{as_typed(path)} cannot be used: {error.strerror or error}"
        raise ConfigError(f"--run-folder: {what}; expected a run folder, or the name of a new one") from None
    try:
        return path, find_run(path)
    except CheckpointError:
        if any(path.glob("*.safetensors")):
            raise
        return path, None  # it ended before its first checkpoint, and begins again


def set_aside(path: Path) -> str | None:
    """Move a run without a checkpoint out of the way, so that it begins again in its folder.

    Returns:
        What was done, for the user; None if there is no such folder.

    Raises:
        ConfigError: The run goes on in another process.
    """
    if not (path / "settings.json").exists():
        return None
    RunFolder(path).close()  # refuses a run that goes on
    aside = new_folder(path)
    aside.rmdir()
    path.rename(aside)
    return f"{as_typed(path)} holds a run that ended before its first checkpoint; it is now {as_typed(aside)}"


def check_is_same(found: FoundRun, settings: Settings) -> bool:
    """Check that a run in --run-folder is the one that the command would begin.

    Returns:
        Whether the run imports only code that the command names too.

    Raises:
        ConfigError: It has other settings; the message names the first one.
    """
    if difference := other_setting(found, settings):
        name, saved, wanted = difference
        raise ConfigError(
            f"--run-folder: {as_typed(found.folder)} holds a run with {name}={saved!r}, and this command has "
            f"{name}={wanted!r}; name another folder, or give the same settings"
        )
    return names_no_other_code(found, settings)
