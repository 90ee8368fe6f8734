"""`resume`: continue a run."""

from pathlib import Path
from typing import Any

import click

from actor_critic.cli.loading import importing
from actor_critic.cli.notes import check_is_no_settings_file
from actor_critic.cli.options import flags_layer, setting_options
from actor_critic.cli.places import absolute
from actor_critic.cli.screen import console, say
from actor_critic.config import DEFAULT_LOG, Config
from actor_critic.errors import ConfigError

_ENDS = ("num_epochs", "total_timesteps", "target_return", "max_hours")


@click.command("resume")
@click.argument("run", metavar="RUN")
@setting_options(*_ENDS, "device", "log_file")
@click.option("--trust-code", is_flag=True, help="Import the code that the run's settings name as module:Class.")
@click.option(
    "--new-episodes", is_flag=True, help="Begin new episodes if the environment cannot replay the running ones."
)
def command(run: str, trust_code: bool, new_episodes: bool, **flags: Any) -> int:
    """Continue the run in folder RUN exactly, from its newest valid checkpoint.

    --num-epochs and --total-timesteps extend a finished run. --target-return and --max-hours do so if they ended it.
    All values count from the start of the run. If more epochs are done already, nothing happens. An annealed run cannot
    be extended.
    """
    given = flags_layer(flags).config

    with importing():
        # PyTorch is imported after the flags are checked, so that a wrong flag is refused at once.
        from actor_critic.cli.running import existing, resume
        from actor_critic.training import ends_of, find_run

    found = find_run(existing(run))
    settings = found.settings(trust_code)
    ends = Config(**{name: getattr(given, name) for name in _ENDS})
    try:
        num_epochs = ends_of(found.checkpoint, found.path, ends).get("num_epochs")
    except ConfigError as error:
        raise ConfigError(f"command line: {error}") from None
    done = found.checkpoint.counters.get("epoch", 0)
    if num_epochs is not None and num_epochs < done:
        say(console(), f"nothing to do: {done} epochs are done, and {num_epochs} were requested")
        return 0
    log_file = absolute(given.log_file or _harmless_log(settings.log_file))
    check_is_no_settings_file(log_file, found.folder / "settings.json")
    return resume(
        found,
        console(),
        log_file,
        num_epochs=num_epochs,
        target_return=given.target_return,
        max_hours=given.max_hours,
        device=given.device,
        trust_code=trust_code,
        new_episodes=new_episodes,
    )


def _harmless_log(saved: str) -> str:
    """Return the log of a run if it is below the current folder, else the default log.

    A run from another user must not choose a file to append to.

    Raises:
        ConfigError: The default log is a link that leads outside the current folder.
    """
    if Path(saved).suffix == ".log" and _is_beneath_here(saved):
        return saved
    if not _is_beneath_here(DEFAULT_LOG):
        raise ConfigError(f"log_file: {DEFAULT_LOG} is a link, which may lead anywhere; name a file with --log-file")
    return DEFAULT_LOG


def _is_beneath_here(name: str) -> bool:
    """Return whether a file is in or below the current folder, without links on its path."""
    try:
        here, path = Path.cwd().resolve(), Path(name)
        found = path.resolve()
    except (OSError, RuntimeError, ValueError):  # a cycle of links, or an invalid name
        return False
    return not path.is_absolute() and found.is_relative_to(here) and found == here / path
