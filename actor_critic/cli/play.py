"""`play`: the episodes of a trained policy, to look at."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from actor_critic.cli.options import flags_layer
from actor_critic.cli.places import absolute, as_typed
from actor_critic.cli.screen import console, say, say_as_is
from actor_critic.errors import ConfigError

if TYPE_CHECKING:
    from actor_critic.agent import ActorCriticAgent
    from actor_critic.evaluation import RecordedEpisode

_MOST_FRAMES = {".gif": 1000, ".mp4": 5000, ".txt": None}
"""Frames of a file at most, spread over the episode: an image of 600 x 400 pixels takes 0.7 MB of memory."""

_COLOUR = re.compile(r"(\x1b\[[0-9;]*m)")
_FASTEST = 10.0  # frames a second that a reader can follow in a terminal


@click.command("play")
@click.argument("path", metavar="RUN_OR_CHECKPOINT")
@click.option("--output", metavar="FILE", help="Write the episode to FILE: .gif, .mp4 or .txt. Opens no window.")
@click.option("--overwrite", is_flag=True, help="Let --output replace a file that exists.")
@click.option("--text", is_flag=True, help="Print a line for each step: action, reward, value. Needs no rendering.")
@click.option("--probabilities", is_flag=True, help="Show the probabilities of all actions too (not in a window).")
@click.option("--episodes", type=click.IntRange(1), default=1, show_default=True, help="Number of episodes.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Seed of the episodes. Default: the run's seed.")
@click.option("--sampled", is_flag=True, help="Draw the actions, instead of taking the most probable ones.")
@click.option(
    "--speed",
    type=click.FloatRange(0.01, 1000),
    default=1.0,
    show_default=True,
    help="How many times faster than usual a window or a terminal shows the episode.",
)
@click.option("--environment", metavar="ID", help="Another environment with the same spaces, as in the settings.")
@click.option("--environment-kwargs", metavar="JSON", help="Other keyword arguments of the environment.")
@click.option("--wrappers", metavar="LIST", help="Other wrappers, as in the settings.")
@click.option("--device", default="auto", show_default=True, help='"auto", "cpu", "cuda" or "cuda:N".')
@click.option("--trust-code", is_flag=True, help="Import the code that the checkpoint's settings name as module:Class.")
def command(path: str, device: str, trust_code: bool, **options: Any) -> None:
    """Show episodes of the policy of RUN_OR_CHECKPOINT.

    They open in a window if the environment has one ("human"), or else appear as text in the terminal ("ansi").
    --output writes them to a file; of several episodes, each to a file with its number.

    The episodes are the first ones on which `evaluate` reports. For a run folder, the last checkpoint is used.
    """
    other = flags_layer({name: options.pop(name) for name in ("environment", "environment_kwargs", "wrappers")}).config
    files = _files(options["output"], options["episodes"], options["overwrite"], options["text"])
    from actor_critic.cli.notes import notes

    screen = console()
    with notes(screen) as heard:
        heard.show_warnings_only()
        agent = _load(path, device, trust_code)
        elsewhere = {
            "environment": other.environment,
            "environment_kwargs": other.environment_kwargs,
            "wrappers": other.wrappers,
        }
        show = _way(agent, elsewhere, files, options)
        for number in range(options["episodes"]):
            say(screen, show(number).describe())
            if files:
                say_as_is(screen, f"written to {as_typed(files[number])}")


def _files(output: str | None, episodes: int, overwrite: bool, text: bool) -> list[Path]:
    """Return the files to write, one for each episode; empty without ``--output``.

    Raises:
        ConfigError: A file cannot be written, or exists already.
    """
    if output is None:
        if overwrite:
            raise ConfigError("--overwrite is for --output; leave it out, or name a file")
        return []
    if text:
        raise ConfigError("--text prints to the terminal, and --output writes a file; leave one of them out")
    from actor_critic.evaluation import check_can_write

    file = absolute(output)
    check_can_write(Path(output))
    files = [file] if episodes == 1 else [file.with_stem(f"{file.stem}_{number}") for number in range(episodes)]
    for each in files:
        if not each.parent.is_dir():
            raise ConfigError(f"{as_typed(each)} cannot be written: there is no folder {as_typed(each.parent)}")
        if each.is_dir() or (each.exists() and not overwrite):
            raise ConfigError(f"{as_typed(each)} exists already; name another file, or add --overwrite to replace it")
    return files


def _load(path: str, device: str, trust_code: bool) -> "ActorCriticAgent":
    from actor_critic.agent import ActorCriticAgent, check_trust
    from actor_critic.backends import choose_device
    from actor_critic.cli.running import existing
    from actor_critic.config import settings_from_document
    from actor_critic.storage import find_checkpoint

    choose_device(device)
    file, checkpoint = find_checkpoint(existing(path))
    check_trust(settings_from_document(checkpoint.settings, file), file, trust_code)
    return ActorCriticAgent.from_checkpoint(checkpoint, file, device, trust_code=True)


def _way(
    agent: "ActorCriticAgent", elsewhere: dict[str, Any], files: list[Path], options: dict[str, Any]
) -> Callable[[int], "RecordedEpisode"]:
    """Return a function that shows or writes an episode, given its number.

    Raises:
        ConfigError: The environment cannot be shown in this way.
    """
    from actor_critic.config import Passed
    from actor_critic.environments import IMAGES, TEXTS, WINDOW
    from actor_critic.evaluation import (
        evaluation_settings,
        find_render_modes,
        has_display,
        record_episode,
        save_episode,
        show_episode,
    )

    how: dict[str, Any] = {"seed": options["seed"], "mode": "sampled" if options["sampled"] else "greedy"}
    passed = Passed(None, elsewhere["wrappers"], None, None, elsewhere["environment"], beside=agent.settings.objects)
    settings = evaluation_settings(agent, passed, elsewhere["environment_kwargs"])
    found = () if options["text"] else find_render_modes(settings)
    frames: Any = "texts" if TEXTS in found else False
    suffix = files[0].suffix.lower() if files else None
    if suffix in (".gif", ".mp4"):
        if IMAGES not in found:
            raise ConfigError(f"{settings.environment} renders no images; write its episodes to a .txt")
        frames = "images"

    def record(number: int) -> "RecordedEpisode":
        most = _MOST_FRAMES[suffix] if suffix else None
        episode = record_episode(agent, episode=number, frames=frames, max_frames=most, **how, **elsewhere)
        if files:
            save_episode(episode, files[number], probabilities=options["probabilities"])
        else:
            _print(episode, options["speed"], options["probabilities"])
        return episode

    if files or options["text"]:
        return record
    if WINDOW in found and has_display():
        return lambda number: show_episode(agent, settings, episode=number, speed=options["speed"], **how)
    if TEXTS in found:
        return record
    why = "there is no display for a window" if WINDOW in found else f"{settings.environment} has no window"
    write = "--output FILE.gif writes the episode, and " if IMAGES in found else ""
    raise ConfigError(f"{why}; {write}--text prints its steps")


def _print(episode: "RecordedEpisode", speed: float, probabilities: bool) -> None:
    """Print the steps of an episode, each below its frame if it has frames; wait between frames on a terminal."""
    from actor_critic.evaluation import step_line

    screen = console()
    frames = dict(zip(episode.frame_steps, episode.frames, strict=True))
    pause = 1 / (min(episode.fps, _FASTEST) * speed) if screen.is_terminal and frames else 0.0
    for step in range(episode.length + 1):
        if step in frames:
            screen.file.write(_harmless(str(frames[step])) + "\n")
        if step < episode.length:
            say_as_is(screen, step_line(episode, step, probabilities))
        if frames:
            screen.file.write("\n")
            screen.file.flush()
            time.sleep(pause)


def _harmless(frame: str) -> str:
    """Return a text of several lines in which colours are the only control sequences."""
    lines = []
    for line in frame.splitlines():
        parts = _COLOUR.split(line)  # every second one is a colour
        parts[::2] = [
            "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in part) for part in parts[::2]
        ]
        lines.append("".join(parts))
    return "\n".join(lines)
