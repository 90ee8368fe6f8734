"""Standard output and standard error, for people and for programs that read JSON."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TextIO

import click
from rich.console import Console
from rich.text import Text

from actor_critic.ranks import rank


def console(stream: TextIO | None = None) -> Console:
    """Return a console on standard output or another stream; if piped, it is wide enough for tables.

    The console keeps its stream, even if an environment replaces ``sys.stdout`` later.
    """
    file = stream or sys.stdout
    if rank() > 0 and stream is None:
        return Console(file=file, quiet=True)  # rank 0 prints
    return Console(file=file) if file.isatty() else Console(file=file, width=120, color_system=None)


def say(screen: Console, sentence: str) -> None:
    """Print a sentence: wrapped between words on a terminal, in one line elsewhere."""
    text = Text(printable(sentence), overflow="fold")
    screen.print(text, soft_wrap=not screen.is_terminal, highlight=False, markup=False)


def say_as_is(screen: Console, line: str) -> None:
    """Print one line without wrapping, so that a command or path can be copied."""
    screen.print(printable(line), soft_wrap=True, highlight=False, markup=False)


def printable(text: str) -> str:
    """Return a text in one line without control characters, which texts of environments and files may contain."""
    line = " ".join(text.split())
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in line)


@contextlib.contextmanager
def only_a_document() -> Iterator[list[str]]:
    """Write only the texts in the list to standard output; redirect all other output in the block to standard error.

    The redirection includes output of compiled code and child processes. If standard output is a file, it lasts until
    the end of the process, because C code may flush its buffers after the document.
    """
    document: list[str] = []
    try:
        is_file = sys.stdout.fileno() == 1
    except (OSError, ValueError):  # a test or a notebook has replaced it
        is_file = False
    if not is_file:
        with contextlib.redirect_stdout(sys.stderr):
            yield document
        click.echo("".join(document))
        return
    sys.stdout.flush()
    encoding, kept = sys.stdout.encoding, os.dup(1)
    os.dup2(2, 1)
    yield document
    with open(kept, "w", encoding=encoding, errors="backslashreplace") as stream:
        stream.write("".join(document) + "\n")
