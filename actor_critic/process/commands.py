"""Commands for messages, ready to copy into a shell."""

import functools
import importlib.metadata
import shlex
from pathlib import Path


def command_line(*words: object) -> str:
    """Return a command of this program, quoted for a shell."""
    return " ".join([_program(), *(_quoted(word) for word in words)])


def resume_command(folder: str | Path, needs_trust: bool) -> str:
    """Return the command that resumes the run in a folder."""
    return command_line("resume", folder, *(["--trust-code"] if needs_trust else []))


def begin_with(path: str | Path) -> str:
    """Return the setting that starts a new run from the weights of a checkpoint, as a flag and in Python."""
    return f"--init-from {_quoted(path)} (in Python: init_from={str(path)!r})"


@functools.cache
def _program() -> str:
    """Return the command that starts this program: its own name if it is installed."""
    try:
        importlib.metadata.distribution("actor-critic")
    except importlib.metadata.PackageNotFoundError:
        return "python -m actor_critic"
    return "actor-critic"


def _quoted(word: object) -> str:
    text = str(word)
    if text.isprintable():
        return shlex.quote(text)
    # The name is no valid text, or has control characters: bash, zsh and ksh read its bytes from this form.
    special = {ord("\\"): "\\\\", ord("'"): "\\'"}
    escaped = "".join(
        chr(byte) if 32 <= byte < 127 and byte not in special else special.get(byte, f"\\x{byte:02x}")
        for byte in text.encode(errors="surrogateescape")
    )
    return f"$'{escaped}'"
