"""Commands as messages name them: what is printed can be typed as it stands."""

import functools
import importlib.metadata
import shlex
from pathlib import Path


def command_line(*words: object) -> str:
    """A command of this program, each word quoted where a shell needs it."""
    return " ".join([_program(), *(_quoted(word) for word in words)])


def resume_command(folder: str | Path, needs_trust: bool) -> str:
    """The command that goes on with the run in a folder."""
    return command_line("resume", folder, *(["--trust-code"] if needs_trust else []))


def begin_with(path: str | Path) -> str:
    """How to say that a new run begins with the weights of a checkpoint, on the command line and in Python."""
    return f"--init-from {_quoted(path)} (in Python: init_from={str(path)!r})"


@functools.cache
def _program() -> str:
    """How this program is started here: by its own name where it was installed under it."""
    try:
        importlib.metadata.distribution("actor-critic")
    except importlib.metadata.PackageNotFoundError:
        return "python -m actor_critic"
    return "actor-critic"


def _quoted(word: object) -> str:
    text = str(word)
    if text.isprintable():
        return shlex.quote(text)
    # A name that is no text, or would move the cursor: bash, zsh and ksh read its bytes from this form.
    special = {ord("\\"): "\\\\", ord("'"): "\\'"}
    escaped = "".join(
        chr(byte) if 32 <= byte < 127 and byte not in special else special.get(byte, f"\\x{byte:02x}")
        for byte in text.encode(errors="surrogateescape")
    )
    return f"$'{escaped}'"
