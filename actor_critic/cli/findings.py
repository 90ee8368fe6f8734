"""The last lines of a run: what an expert would notice about it."""

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from actor_critic.cli.notes import log
from actor_critic.cli.screen import say
from actor_critic.errors import CheckpointError, ConfigError
from actor_critic.report import SEEDS_DISAGREE, Finding, Group, diagnose, find_in_group, read_records


def print_findings(screen: Console, run_folder: Path) -> None:
    """Print and log the findings about a run."""
    try:
        _print(screen, diagnose(run_folder))
    except (CheckpointError, ConfigError) as error:  # the run itself has succeeded
        log.warning("no findings: %s", error)


def print_findings_of_seeds(screen: Console, run_folders: dict[int, Path]) -> None:
    """Print and log each finding once, as the first seed with it has it, and name the seeds.

    Args:
        screen: The console.
        run_folders: The run folder of each seed.
    """
    runs = {}
    for folder in run_folders.values():
        try:
            runs[folder] = read_records(folder)
        except (CheckpointError, ConfigError) as error:  # the run itself has succeeded
            log.warning("no findings: %s", error)
    shown = []
    for finding, seeds in find_in_group(Group("", list(runs), list(runs.values()))):
        words = f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {', '.join(map(str, seeds))}"
        if len(seeds) > 1 and finding.name != SEEDS_DISAGREE:
            words += f"; of seed {seeds[0]}"  # whose figures it has
        shown.append(replace(finding, name=f"{finding.name} ({words})"))
    _print(screen, shown)


def _print(screen: Console, findings: list[Finding]) -> None:
    if not findings:
        return
    say(screen, "findings" if len(findings) > 1 else "finding")
    for finding in findings:
        log.info("finding %s: %s", finding.name, finding.describe())
        say(screen, f"- {finding.name}: {finding.describe()}")
    screen.print()
