"""The commands. The only place that reads the command line or prints to a person."""

import contextlib
import importlib
import io
import logging
import sys
import traceback
from pathlib import Path
from typing import NoReturn

import click

from actor_critic import __version__
from actor_critic.cli import places
from actor_critic.cli.leaving import Leaving
from actor_critic.errors import ActorCriticError, CheckpointError, ConfigError
from actor_critic.imports import look_in
from actor_critic.process import interrupts

_COMMANDS = {
    "train": "Train a policy; what `python main.py` does.",
    "resume": "Go on with a run that was stopped, or make a finished one longer.",
    "evaluate": "Report the returns of a trained policy on fresh episodes.",
    "verify": "Compute a stretch of a run again, and compare its digests.",
    "inspect": "Show what a checkpoint holds; nothing that it names is imported.",
    "check": "Say whether an environment will work, and what is wrong with it.",
    "init": "Write a starting config.json.",
    "presets": "List the tuned settings that come with the package.",
    "schema": "Print the JSON Schema of config.json.",
}


class _LazyGroup(click.Group):
    """Imports a command's module when it is called: listing the commands does not wait for PyTorch."""

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

    A user's mistake ends in one line on standard error and the exit code of its error; only a defect of this program
    shows a traceback.

    Args:
        prefix: Words to put before the arguments given, such as "train".
    """
    leaving, errors = Leaving(), sys.stderr
    try:
        with interrupts.recognized():
            code, message = _run([*prefix, *sys.argv[1:]])
    except Exception:  # a defect
        if leaving.is_alone():
            raise
        traceback.print_exc(file=errors)
        code, message = 1, ""
    if message:
        from actor_critic.cli.screen import printable  # which imports more than most commands need

        with contextlib.suppress(OSError, ValueError):  # nobody may be there any more
            print("error:", printable(message), file=errors)
    leaving.end(code)


def _run(words: list[str]) -> tuple[int, str]:
    """Run a command; gives its exit code, and what went wrong if anything did."""
    try:
        # Classes of the user's own are named "module:Class" and found in the folder the command is started from.
        places.remember()
        look_in(str(Path.cwd()))
    except OSError:
        return (
            ConfigError.exit_code,
            "the folder this was started from is not there any more; change to another one",
        )
    stdout = sys.stdout
    if isinstance(stdout, io.TextIOWrapper):
        stdout.reconfigure(errors="backslashreplace")  # not every terminal has every letter of a path
    try:
        return cli.main(words, prog_name="actor-critic", standalone_mode=False) or 0, ""
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.ctx.get_help())
        return 0, ""
    except click.ClickException as error:
        return error.exit_code, error.format_message()
    except ActorCriticError as error:
        logging.getLogger("actor_critic").debug("%s", error, exc_info=True)
        return error.exit_code, str(error)
    except (KeyboardInterrupt, click.Abort):
        return 130, "interrupted"
    except BrokenPipeError:
        # Whoever read our output has gone (`actor-critic schema | head`): nothing is wrong here.
        sys.stderr.close()
        return 0, ""
    except OSError as error:
        if error.filename is not None:  # what files refuse is told where they are used: this is a defect
            raise
        with contextlib.suppress(OSError):
            stdout.close()  # else what it did not take is tried again, and told again, as the interpreter ends
        return CheckpointError.exit_code, f"standard output cannot be written: {error.strerror}"
