"""The folder where the command was started. Its files stay there, even if an environment changes the folder."""

from pathlib import Path

_started_in = Path()


def remember() -> None:
    """Record the current folder as the start folder.

    Raises:
        OSError: The folder does not exist any more.
    """
    global _started_in
    _started_in = Path.cwd()


def absolute(path: str | Path) -> Path:
    """Return an absolute path, relative to the start folder."""
    folder, parts = _started_in, Path(path).parts
    while parts[:1] == ("..",) and folder.name:  # this path contains no link, so ".." is its parent
        folder, parts = folder.parent, parts[1:]
    return folder.joinpath(*parts)


def as_typed(path: Path) -> Path:
    """Return a path relative to the start folder if possible, as the user would type it."""
    return path.relative_to(_started_in) if path.is_relative_to(_started_in) and path != _started_in else path
