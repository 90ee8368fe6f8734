"""What an expert would notice about a run of several seeds."""

import numpy as np

from actor_critic.ops.statistics import plainly
from actor_critic.report.findings import Finding, find
from actor_critic.report.records import Group, Records

SEEDS_DISAGREE = "seeds-disagree"
FEWEST_SEEDS = 3
FELL_SHORT = 0.5  # of the way from the first training return to the median of the seeds


def find_in_group(group: Group) -> list[tuple[Finding, list[int]]]:
    """Return each finding once, as the first seed with it has it, and the seeds that have it.

    A finding about the seeds together comes first, with the seeds that fell short.
    """
    found: dict[str, tuple[Finding, list[int]]] = {}
    if disagreement := _seeds_disagree(group):
        found[disagreement[0].name] = disagreement
    for run in group.runs:
        for finding in find(run):
            found.setdefault(finding.name, (finding, []))[1].append(run.settings.seed)
    return list(found.values())


def _seeds_disagree(group: Group) -> tuple[Finding, list[int]] | None:
    """Name the seeds whose evaluation is clearly below that of the others."""
    scores = {run.settings.seed: run.best_mode[1].returns for run in group.runs if run.best_mode}
    settings, first = group.settings, [first for run in group.runs if (first := _first_return(run)) is not None]
    plays_another = settings.evaluation_environment is not None or settings.evaluation_environment_kwargs
    if len(scores) < FEWEST_SEEDS or not first or plays_another:
        return None
    median, start = float(np.median([each.mean for each in scores.values()])), float(np.median(first))
    if not median > start:
        return None
    limit = median - FELL_SHORT * (median - start)
    short = {seed: each.mean for seed, each in scores.items() if each.high < limit}
    if not short:
        return None
    each = ", ".join(f"{plainly(mean)} (seed {seed})" for seed, mean in short.items())
    finding = Finding(
        SEEDS_DISAGREE,
        f"the median of the seeds returns {plainly(median)}, and {len(short)} of {len(scores)} return {each}",
        "with these settings learning depends on luck, so one seed says little",
        f"the settings on more seeds, --learning-rate {group.settings.learning_rate / 3:.1g}, or a longer run",
    )
    return finding, sorted(short)


def _first_return(run: Records) -> float | None:
    returns = run.metrics["mean_return"]
    known = returns[np.isfinite(returns)]
    return float(known[0]) if len(known) else None
