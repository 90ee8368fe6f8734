"""The folder the command was started in, which an environment may leave: the command's own files stay there."""

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
    """A path as it was meant when the command was started."""
    return _started_in / path


def as_typed(path: Path) -> Path:
    """A path as one would type it in the folder that the command was started in."""
    return path.relative_to(_started_in) if path.is_relative_to(_started_in) and path != _started_in else path
