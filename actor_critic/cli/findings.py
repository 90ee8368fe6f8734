"""The last lines of a run: what an expert would notice about it."""

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from actor_critic.cli.notes import log
from actor_critic.cli.screen import say
from actor_critic.errors import CheckpointError, ConfigError
from actor_critic.report import Finding, diagnose


def print_findings(screen: Console, run_folder: Path) -> None:
    """Print and log the findings about a run."""
    _print(screen, _findings_of(run_folder))


def print_findings_of_seeds(screen: Console, run_folders: dict[int, Path]) -> None:
    """Print and log each finding once, as the first seed with it has it, and name the seeds.

    Args:
        screen: The console.
        run_folders: The run folder of each seed.
    """
    having: dict[str, dict[int, Finding]] = {}
    for seed, folder in run_folders.items():
        for finding in _findings_of(folder):
            having.setdefault(finding.name, {})[seed] = finding
    shown = []
    for name, by_seed in having.items():
        seed, first = next(iter(by_seed.items()))
        words = f"seed {seed}" if len(by_seed) == 1 else f"seeds {', '.join(map(str, by_seed))}; of seed {seed}"
        shown.append(replace(first, name=f"{name} ({words})"))
    _print(screen, shown)


def _findings_of(run_folder: Path) -> list[Finding]:
    """Return the findings about a run; none, with a warning, if its records cannot be read."""
    try:
        return diagnose(run_folder)
    except (CheckpointError, ConfigError) as error:  # the run itself has succeeded
        log.warning("no findings: %s", error)
        return []


def _print(screen: Console, findings: list[Finding]) -> None:
    if not findings:
        return
    say(screen, "findings" if len(findings) > 1 else "finding")
    for finding in findings:
        log.info("finding %s: %s", finding.name, finding.describe())
        say(screen, f"- {finding.name}: {finding.describe()}")
    screen.print()
