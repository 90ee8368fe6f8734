"""`train --seeds`: the same run on several seeds in parallel, and their summary."""

import json
import signal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from actor_critic.cli.findings import print_findings_of_seeds
from actor_critic.cli.launcher import Launcher
from actor_critic.cli.leaving import Leaving, noted_signals
from actor_critic.cli.notes import log, notes
from actor_critic.cli.pages import write_page_at_the_end
from actor_critic.cli.places import as_typed
from actor_critic.cli.screen import console, printable, say, say_as_is
from actor_critic.config import DEFAULT_LOG, Settings
from actor_critic.errors import ActorCriticError, CheckpointError, ConfigError
from actor_critic.files import write_durably
from actor_critic.ops.comparison import summarize_seeds
from actor_critic.ops.statistics import plainly
from actor_critic.process import command_line, resume_command
from actor_critic.seeding import Purpose, generator
from actor_critic.storage import new_folder, newest_sound
from actor_critic.training import SeedProcesses, Start, train_seed

_MEANING = "interquartile mean over seeds, with a 95% bootstrap interval whose unit is the seed"
_PATIENCE = 0.2  # seconds until a signal is passed on


def run_seeds(
    settings: Settings,
    seeds: tuple[int, ...],
    wanted: Path,
    screen: Console,
    again: list[str],
    launcher: Launcher,
) -> int:
    """Train every seed in its own process, one per core at a time, and print a summary.

    If one seed fails, the others continue. A signal ends all.

    Args:
        settings: The settings of every run, except the seed.
        seeds: Different seeds.
        wanted: The folder to make, with a run folder ``seed_1`` … for each seed and ``seeds.json`` for all.
        screen: The console.
        again: The command that trains one seed alone, without its last word, the seed.
        launcher: What starts the processes.

    Returns:
        The exit code.

    Raises:
        ConfigError: The folder cannot be made.
        ActorCriticError: Some seeds failed; the exit code is that of the first failure.
    """
    with launcher.processes(settings, settings.cores) as (start, places):
        return _run(settings, seeds, new_folder(wanted), screen, again, start, min(len(seeds), places))


def _run(
    settings: Settings,
    seeds: tuple[int, ...],
    folder: Path,
    screen: Console,
    again: list[str],
    start: Start,
    at_a_time: int,
) -> int:
    """Train the seeds, print a summary, and return the exit code."""
    say(screen, f"{len(seeds)} seeds, {at_a_time} at a time, in {as_typed(folder)}")
    documents: dict[int, dict[str, Any]] = {}
    failures: dict[int, Exception] = {}
    with noted_signals(screen, lambda: None) as received, SeedProcesses(_train_one, start) as processes:
        waiting = [(seed, settings.replace(seed=seed), folder / f"seed_{seed}") for seed in seeds]
        while processes.running or (waiting and not processes.are_told):
            while waiting and len(processes.running) < at_a_time and not received and not processes.are_told:
                processes.start(*waiting.pop(0))
            if received:
                processes.tell_to_stop()
            for seed, outcome in processes.ended(_PATIENCE):
                if isinstance(outcome, Exception):
                    failures[seed] = outcome
                    _tell(screen, f"seed {seed} failed: {outcome}")
                elif outcome is not None:
                    documents[seed] = outcome
                    _tell(screen, _scores(seed, outcome))
    stopped = [seed for seed in seeds if seed not in documents and seed not in failures]
    if not stopped:
        finished = {seed: documents[seed] for seed in seeds if seed in documents}
        _keep_summary(screen, folder, finished, failures)
        if documents and settings.report:
            write_page_at_the_end(screen, folder)
    else:
        say(screen, "stopped; continue each seed with its own command:")
    for seed in seeds:
        if seed not in documents:
            say_as_is(screen, f"continue seed {seed}: {_way_on(folder / f'seed_{seed}', settings, seed, again)}")
    if stopped or received:
        return 128 + (received[0] if received else signal.SIGTERM)  # SIGTERM if only a seed's process received a signal
    if failures:
        raise _Failed(failures, len(seeds))
    return 0


class _Failed(ActorCriticError):  # noqa: N818 - the seeds failed, not the program
    """Some seeds failed; the message names each."""

    def __init__(self, failures: dict[int, Exception], count: int) -> None:
        each = "; ".join(f"seed {seed}: {error}" for seed, error in failures.items())
        super().__init__(each if len(failures) == 1 else f"{len(failures)} of {count} seeds failed: {each}")
        first = next(iter(failures.values()))
        self.exit_code = first.exit_code if isinstance(first, ActorCriticError) else ActorCriticError.exit_code


def _way_on(folder: Path, settings: Settings, seed: int, again: list[str]) -> str:
    """Return the command that continues one seed, from its last checkpoint if it has one."""
    try:
        newest_sound(folder)
    except CheckpointError:
        return command_line(*again, seed)
    return resume_command(as_typed(folder), bool(settings.code_to_trust))


# --- in a seed's process ---


def _train_one(settings: Settings, folder: Path, command: Connection) -> None:
    """Train a seed, with a log of its own; see :func:`train_seed`."""
    leaving = Leaving()
    with notes(console(), f"seed {settings.seed}: ") as heard:
        heard.show_warnings_only()
        train_seed(settings, folder, command, lambda folder: heard.log_to(folder / DEFAULT_LOG))
    leaving.end(0)


# --- in the command ---


def _tell(screen: Console, line: str) -> None:
    log.info("%s", printable(line))
    say(screen, line)


def _scores(seed: int, document: dict[str, Any]) -> str:
    means = {mode: plainly(document[mode]["mean"]) for mode in ("greedy", "sampled")}
    return f"seed {seed}: greedy {means['greedy']}, sampled {means['sampled']}"


def _keep_summary(
    screen: Console,
    folder: Path,
    documents: dict[int, dict[str, Any]],
    failures: dict[int, Exception],
) -> None:
    """Print and save the summary of the finished seeds."""
    summary = _summarize(documents) if documents else {"seeds": []}
    if failures:
        summary["failed"] = {str(seed): printable(str(error)) for seed, error in failures.items()}
    try:
        write_durably(folder / "seeds.json", (json.dumps(summary, indent=2) + "\n").encode())
    except OSError as error:
        raise ConfigError(f"{as_typed(folder)} cannot be written: {error.strerror or error}") from None
    if documents:
        count = len(documents) + len(failures)
        _print(screen, summary, f"{len(documents)} of {count} seeds" if failures else f"{count} seeds")
        print_findings_of_seeds(screen, {seed: folder / f"seed_{seed}" for seed in documents})
    say_as_is(screen, f"kept in {as_typed(folder)}")


def _summarize(documents: dict[int, dict[str, Any]]) -> dict[str, Any]:
    summary: dict[str, Any] = {"seeds": list(documents), "meaning": _MEANING}
    for mode in ("greedy", "sampled"):
        scores = [document[mode]["mean"] for document in documents.values()]
        mean, low, high = summarize_seeds(np.array(scores), generator(0, Purpose.BOOTSTRAP))
        summary[mode] = {"interquartile_mean": mean, "low": low, "high": high, "each": scores}
    return summary


def _print(screen: Console, summary: dict[str, Any], seeds: str) -> None:
    say(screen, f"last weights, {seeds}")
    table = Table(box=None, pad_edge=False)
    for column in ("policy", "interquartile mean", "95% interval over seeds", "least", "most"):
        table.add_column(column, justify="left" if column == "policy" else "right")
    for mode in ("greedy", "sampled"):
        scores = summary[mode]
        interval = f"{plainly(scores['low'])} to {plainly(scores['high'])}"
        least, most = min(scores["each"]), max(scores["each"])
        table.add_row(mode, plainly(scores["interquartile_mean"]), interval, plainly(least), plainly(most))
    screen.print(table)
