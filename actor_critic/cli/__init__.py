"""The commands. Only this package reads the command line and prints to the user."""

import contextlib
import importlib
import io
import logging
import sys
import traceback
from pathlib import Path
from typing import NoReturn, TextIO

import click

from actor_critic import __version__
from actor_critic.cli import places
from actor_critic.cli.leaving import Leaving
from actor_critic.errors import ActorCriticError, CheckpointError, ConfigError
from actor_critic.imports import look_in
from actor_critic.process import interrupts
from actor_critic.ranks import is_launched, is_shared, rank, share, wait_for_all

__all__ = ["main"]

_COMMANDS = {
    "train": "Train a policy; the same as `python main.py`.",
    "resume": "Continue a stopped run, or extend a finished one.",
    "evaluate": "Report the returns of a trained policy on new episodes.",
    "play": "Show episodes of a trained policy, or write them as GIF, MP4 or text.",
    "report": "Write a page that explains a run, or compares several.",
    "compare": "Say which of several groups of seeds is better, and whether the seeds are enough.",
    "sweep": "Search for better settings, and confirm the winner.",
    "verify": "Recompute a part of a run and compare its digests.",
    "inspect": "Show the content of a checkpoint, without importing code that it names.",
    "check": "Test whether an environment works, and report its problems.",
    "selftest": "Train on small problems with known solutions, and compare.",
    "init": "Write a starting config.json, or an environment to start from.",
    "presets": "List the tuned settings of the package.",
    "schema": "Print the JSON Schema of config.json.",
}


_OF_ALL_RANKS = ("train", "resume")
"""The commands in which all ranks join; of the others, each process works alone."""


class _LazyGroup(click.Group):
    """Imports a command's module at its first use, so that listing the commands does not wait for PyTorch."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"actor_critic.cli.{cmd_name}").command
        command.short_help = _COMMANDS[cmd_name]
        return command


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Actor-critic reinforcement learning for discrete action spaces."""


def main(*prefix: str) -> NoReturn:
    """Run the command line and exit.

    A user's error gives one line on standard error, and the exit code of this error. Only a bug in this program gives a
    traceback.

    Args:
        prefix: Words to insert before the given arguments, such as "train".
    """
    leaving, errors = Leaving(), sys.stderr
    try:
        with interrupts.recognized():
            code, message = _run([*prefix, *sys.argv[1:]])
    except Exception:  # a bug
        if leaving.is_alone():
            raise
        traceback.print_exc(file=errors)
        code, message = 1, ""
    _print_error(message, errors)
    leaving.end(code)


def _print_error(message: str, errors: TextIO) -> None:
    if message:
        from actor_critic.cli.screen import printable  # imported here, because most commands do not need it

        with contextlib.suppress(OSError, ValueError):  # standard error may be closed
            print("error:", printable(message), file=errors, flush=True)


def _run(words: list[str]) -> tuple[int, str]:
    """Run a command; return its exit code and an error message, empty without an error."""
    try:
        # The user's classes, named "module:Class", are searched for in the folder where the command was started.
        places.remember()
        look_in(str(Path.cwd()))
    except OSError:
        return (
            ConfigError.exit_code,
            "the current folder does not exist any more; change to another one",
        )
    stdout = sys.stdout
    if isinstance(stdout, io.TextIOWrapper):
        stdout.reconfigure(errors="backslashreplace")  # a terminal may not support every character of a path
    try:
        return cli.main(words, prog_name="actor-critic", standalone_mode=False) or 0, ""
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.ctx.get_help())
        return 0, ""
    except click.NoSuchOption as error:
        from actor_critic.config import OTHER_NAMES  # imported here, because other commands do not need it

        name = error.option_name.lstrip("-").replace("-", "_")
        if ours := OTHER_NAMES.get(name):
            return error.exit_code, f"no such option {error.option_name}; it is called --{ours.replace('_', '-')} here"
        return error.exit_code, error.format_message()
    except click.ClickException as error:
        return error.exit_code, error.format_message()
    except ActorCriticError as error:
        logging.getLogger("actor_critic").debug("%s", error, exc_info=True)
        if words[0] in _OF_ALL_RANKS:
            share(error)
        if is_shared(error):
            # A launcher ends the other ranks as soon as one has ended, so they wait until rank 0 has printed.
            _print_error(_message(error), sys.stderr)
            wait_for_all()
            return error.exit_code, ""
        return error.exit_code, _message(error)
    except (KeyboardInterrupt, click.Abort):
        return 130, "interrupted"
    except BrokenPipeError:
        # The reader of our output has closed it (`actor-critic schema | head`): this is no error.
        sys.stderr.close()
        return 0, ""
    except OSError as error:
        if error.filename is not None:  # errors of files are handled where they are used, so this is a bug
            raise
        with contextlib.suppress(OSError):
            stdout.close()  # otherwise the interpreter would try to write, and fail, again at exit
        return CheckpointError.exit_code, f"standard output cannot be written: {error.strerror}"


def _message(error: ActorCriticError) -> str:
    """Return what to print of an error: of one that all ranks know, rank 0 prints it and the others print nothing."""
    if not is_launched():
        return str(error)
    if is_shared(error):
        return str(error) if rank() == 0 else ""
    return str(error) if str(error).startswith("rank ") else f"rank {rank()}: {error}"
