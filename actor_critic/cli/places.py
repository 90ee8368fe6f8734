"""The folder the command was started in. Environments may change to another; the command's files stay there."""

from pathlib import Path

_started_in = Path()


def remember() -> None:
    """Note the folder that the process is in as the one it was started in.

    Raises:
        OSError: It is not there any more.
    """
    global _started_in
    _started_in = Path.cwd()


def absolute(path: str | Path) -> Path:
    """Return a path as it was meant when the command was started."""
    folder, parts = _started_in, Path(path).parts
    while parts[:1] == ("..",) and folder.name:  # no link leads to this folder, so the one before it is its parent
        folder, parts = folder.parent, parts[1:]
    return folder.joinpath(*parts)


def as_typed(path: Path) -> Path:
    """Return a path as one would type it in the folder that the command was started in."""
    return path.relative_to(_started_in) if path.is_relative_to(_started_in) and path != _started_in else path
