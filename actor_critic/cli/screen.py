"""Standard output and standard error, for people and for programs that read a document."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TextIO

import click
from rich.console import Console
from rich.text import Text


def console(stream: TextIO | None = None) -> Console:
    """Return a console for people, on standard output unless another stream is given; wide enough for tables if piped.

    It stays the one it is now, whatever an environment puts in the place of ``sys.stdout`` later.
    """
    file = stream or sys.stdout
    return Console(file=file) if file.isatty() else Console(file=file, width=120, color_system=None)


def say(screen: Console, sentence: str) -> None:
    """Print a sentence, broken between words where a terminal is narrower, and in one line elsewhere."""
    text = Text(printable(sentence), overflow="fold")
    screen.print(text, soft_wrap=not screen.is_terminal, highlight=False, markup=False)


def say_as_is(screen: Console, line: str) -> None:
    """Print one line that can be copied as it stands, such as a command or a path."""
    screen.print(printable(line), soft_wrap=True, highlight=False, markup=False)


def printable(text: str) -> str:
    """Return a text in one line without control characters: texts of environments and files may hold some."""
    line = " ".join(text.split())
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in line)


@contextlib.contextmanager
def only_a_document() -> Iterator[list[str]]:
    """Keep standard output for what is put in the list: all else that is printed meanwhile goes to standard error.

    So does what compiled code and other processes print. Where standard output is a file, it stays so to the end of the
    process: what C has not written yet would otherwise follow the document.
    """
    document: list[str] = []
    try:
        is_file = sys.stdout.fileno() == 1
    except (OSError, ValueError):  # what a test or a notebook puts in its place
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
