"""`sweep`: search for better settings, and confirm the winner."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from actor_critic.cli.launcher import Launcher, launcher_options
from actor_critic.cli.leaving import noted_signals
from actor_critic.cli.loading import importing
from actor_critic.cli.notes import log, notes
from actor_critic.cli.options import CONFIG_FILE, SettingsCommand, as_flags, flags_layer, setting_options
from actor_critic.cli.places import absolute, as_typed
from actor_critic.cli.screen import console, printable, say, say_as_is
from actor_critic.cli.train import settings_layers
from actor_critic.config import Layer, read_json_object, resolve
from actor_critic.errors import ConfigError
from actor_critic.process import command_line

if TYPE_CHECKING:  # PyTorch is imported after the settings are checked
    from actor_critic.search import Plan, SweepResult
    from actor_critic.training import Start


@click.command("sweep", cls=SettingsCommand)
@click.option("--config", "config_path", metavar="FILE", help=f"Settings without search. Default: {CONFIG_FILE}.")
@click.option(
    "--trials", default=30, metavar="INTEGER", help="Trials of the study, over all its processes. Default: 30."
)
@click.option("--jobs", type=int, metavar="INTEGER", help="Trials at a time. Default: as many as there are cores.")
@click.option("--folder", metavar="FOLDER", help="A new folder, or that of a sweep to continue. Default: "
              "sweep_YYYYMMDD_HHMMSS.")  # fmt: skip
@click.option("--storage", metavar="URL", help="Storage URL of Optuna, for several processes or machines. Default: "
              "sweep.db in the folder.")  # fmt: skip
@click.option("--study", metavar="NAME", help="Name of the study in --storage.")
@click.option("--objective", default="score", metavar="TEXT", help='"score", or "score,time" for the trials that no '
              "other trial equals or exceeds in both. Default: score.")  # fmt: skip
@click.option("--score", default="greedy", metavar="TEXT", help='The policy whose mean return in the final evaluation '
              'is the score: "greedy" or "sampled". Default: greedy.')  # fmt: skip
@click.option("--trial-seeds", "has_seeds", is_flag=True, help="Seeds of every trial, such as --trial-seeds 1 2 3. "
              "Default: 1.")  # fmt: skip
@click.option("--confirm-seeds", default=5, metavar="INTEGER", help="Fresh seeds that compare the winner with the "
              "settings without search; 0 for none. Default: 5.")  # fmt: skip
@click.option("--sweep-seed", default=0, metavar="INTEGER", help="Seed of the proposals. Default: 0.")
@click.option("--prune/--no-prune", default=True, help="End a trial whose learning curve is below the median. Default: "
              "on.")  # fmt: skip
@launcher_options
@click.argument("words", nargs=-1, metavar="[SPACE.json]")
@setting_options()
def command(config_path: str | None, has_seeds: bool, words: tuple[str, ...], **options: Any) -> int:
    """Search for better settings with Optuna, and confirm the winner on fresh seeds.

    SPACE.json has a range or a list for each searched setting, such as {"learning_rate": {"low": 1e-4, "high": 1e-2,
    "log": true}, "num_envs": [4, 8, 16]}. Without it, the settings that matter most are searched. All other settings
    are those of `train`. The same command with --folder continues a sweep.
    """
    own = {name: options.pop(name) for name in _OWN}
    launcher = Launcher(*(options.pop(name) for name in ("launcher", "ray_address", "max_failures")))
    launcher.check(has_many_runs=True)
    space_path, seeds = _read_words(words, has_seeds)
    if options["seed"] is not None:
        raise ConfigError(
            "command line: --seed: the seeds of trials are --trial-seeds, and that of proposals --sweep-seed"
        )
    flags = flags_layer(options)
    layers, remarks, _ = settings_layers(config_path, flags)
    environment = resolve(*layers).settings.environment
    document = read_json_object(absolute(space_path)) if space_path else None
    screen = console()
    say(screen, f"setting up {environment}")
    with importing():
        from actor_critic.search import Space, make_plan
    plan = make_plan(
        layers,
        _space(Space, document, str(space_path), flags),
        flags.config.model_dump(exclude_none=True),
        trial_seeds=seeds,
        seed=own.pop("sweep_seed"),
        folder=absolute(own["folder"]) if own["folder"] else None,
        **{name: value for name, value in own.items() if name != "folder"},
    )
    for remark in remarks:
        say(screen, remark)
    again = [*_again(config_path, space_path, seeds, own, flags), *launcher.as_flags()]
    each = 1 if plan.base.workers == "auto" else plan.base.cores
    with launcher.processes(plan.base, each) as (start, places):
        return _run(replace(plan, jobs=plan.jobs or places), screen, again, start)


_OWN = ("trials", "jobs", "folder", "storage", "study", "objective", "score", "confirm_seeds", "sweep_seed", "prune")


def _space(kind: Any, document: dict[str, Any] | None, origin: str, flags: Layer) -> Any:
    if document is None:
        return None
    space = kind.read(document, origin)
    space.check_not_fixed(flags.config.model_dump(exclude_none=True), origin)
    return space


def _read_words(words: tuple[str, ...], has_seeds: bool) -> tuple[str | None, tuple[int, ...]]:
    """Return the path of SPACE.json, and the seeds of --trial-seeds."""
    numbers = [word for word in words if word.isascii() and word.isdigit() and len(word) <= 10]
    paths = [word for word in words if word not in numbers]
    if len(paths) > 1 or (numbers and not has_seeds):
        wrong = paths[1] if len(paths) > 1 else numbers[0]
        hint = "" if has_seeds or not numbers else f"; did you mean --trial-seeds {' '.join(numbers)}?"
        raise ConfigError(f"command line: unexpected extra argument {wrong!r}{hint}")
    if has_seeds and not numbers:
        raise ConfigError("command line: --trial-seeds takes whole numbers, such as --trial-seeds 1 2 3")
    return paths[0] if paths else None, tuple(int(number) for number in numbers) if has_seeds else (1,)


def _again(
    config_path: str | None, space_path: str | None, seeds: tuple[int, ...], own: dict[str, Any], flags: Layer
) -> list[str]:
    """Return the command of this sweep, without its folder."""
    words = ["sweep", *([space_path] if space_path else []), *(["--config", config_path] if config_path else [])]
    words += as_flags(flags.config)
    usual = {"trials": 30, "objective": "score", "score": "greedy", "confirm_seeds": 5, "sweep_seed": 0, "prune": True}
    for name, value in own.items():
        if name == "prune":
            words += [] if value else ["--no-prune"]
        elif name != "folder" and value != usual.get(name):
            words += [f"--{name.replace('_', '-')}", str(value)]
    return [*words, *(["--trial-seeds", *map(str, seeds)] if seeds != (1,) else [])]


def _run(plan: "Plan", screen: Console, again: list[str], start: "Start") -> int:
    """Search, print what is found, and return the exit code."""
    from actor_critic.search import begin

    def tell(line: str) -> None:
        log.info("%s", printable(line))
        say(screen, line)

    with noted_signals(screen, lambda: None) as received:
        with notes(screen) as heard:
            search = begin(plan, absolute(""), tell, lambda: bool(received), start)
            heard.show_warnings_only()
            say(screen, f"{plan.trials} trials, {plan.at_a_time()} at a time, in {as_typed(search.folder)}")
            result = search.run()
        _print(screen, plan, result)
    if received:
        say_as_is(screen, f"stopped; continue with: {command_line(*again, '--folder', as_typed(search.folder))}")
        return 128 + received[0]
    return 0


def _print(screen: Console, plan: "Plan", result: "SweepResult") -> None:
    if result.best is None:
        say(screen, "no trial has a score yet")
        return
    screen.print()
    if plan.objective == "score,time":
        say(screen, "no other trial is better in score and time than these:")
        for trial in result.front:
            say(screen, trial.describe())
    say(screen, f"best {result.best.describe()}")
    for line in result.confirmation.describe() if result.confirmation else []:
        say(screen, line)
    winner = as_typed(result.folder) / Path("best.json")
    say_as_is(screen, f"train with its settings: {command_line('train', '--config', winner)}")
