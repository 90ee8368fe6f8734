"""Standard output for people."""

import sys

from rich.console import Console


def say(console: Console, line: str) -> None:
    """Print one line as it is, whatever characters a path or setting in it has."""
    console.print(line, soft_wrap=True, highlight=False, markup=False)


def console() -> Console:
    """Standard output for people; wide enough when piped that no table is squeezed."""
    return Console() if sys.stdout.isatty() else Console(width=120, color_system=None)
