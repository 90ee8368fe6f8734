"""The commands. The only place that reads the command line or prints to a person."""

import contextlib
import importlib
import io
import logging
import sys
from pathlib import Path
from typing import NoReturn

import click

from actor_critic import __version__
from actor_critic.errors import ActorCriticError, CheckpointError, ConfigError
from actor_critic.imports import look_in

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
    try:
        # Classes of the user's own are named "module:Class" and found in the folder the command is started from.
        look_in(str(Path.cwd()))
    except OSError:
        _fail("the folder this was started from is not there any more; change to another one", ConfigError.exit_code)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # not every terminal has every letter of a path
    try:
        sys.exit(cli.main([*prefix, *sys.argv[1:]], prog_name="actor-critic", standalone_mode=False) or 0)
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.ctx.get_help())
        sys.exit(0)
    except click.ClickException as error:
        _fail(error.format_message(), error.exit_code)
    except ActorCriticError as error:
        logging.getLogger("actor_critic").debug("%s", error, exc_info=True)
        _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        _fail("interrupted", 130)
    except BrokenPipeError:
        # Whoever read our output has gone (`actor-critic schema | head`): nothing is wrong here.
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        if error.filename is not None:  # what files refuse is told where they are used: this is a defect
            raise
        with contextlib.suppress(OSError):
            sys.stdout.close()  # else what it did not take is tried again, and told again, as the interpreter ends
        _fail(f"standard output cannot be written: {error.strerror}", CheckpointError.exit_code)


def _fail(message: str, code: int) -> NoReturn:
    line = " ".join(message.split())
    # What a file or an environment says may hold a terminal's control sequences.
    print("error:", "".join(c if c.isprintable() else repr(c)[1:-1] for c in line), file=sys.stderr)
    sys.exit(code)
