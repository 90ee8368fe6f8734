"""The sections of a page about runs: what they show of the records."""

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from actor_critic.config import Config, Layer, Settings, resolve
from actor_critic.errors import CheckpointError, ConfigError
from actor_critic.ops.statistics import plainly
from actor_critic.report import charts
from actor_critic.report.charts import COLORS, Chart, Line
from actor_critic.report.comparison import Comparison, curve_over_seeds, interval, shown_value
from actor_critic.report.findings import LARGE_CLIP_FRACTION, LARGE_KL, LARGE_KL_SHARE
from actor_critic.report.records import Group, Records
from actor_critic.report.seeds import find_in_group
from actor_critic.seeding import Purpose, generator
from actor_critic.storage import SECONDS, find_checkpoint, read_changes, read_details, read_logged

_OVER = "(95\N{NO-BREAK SPACE}% over {} episodes)"
_LONG = 8  # rows; longer tables are folded
_STEPS = "environment steps"
_DIAGNOSTICS = {
    "entropy": "entropy of the policy",
    "approx_kl": "KL divergence of an epoch",
    "clip_fraction": "clip fraction",
    "explained_variance": "explained variance of the value function",
    "optimizer_steps": "optimizer steps of an epoch",
    "policy_loss": "policy loss",
    "value_loss": "value loss",
    "gradient_norm": "gradient norm",
    "learning_rate": "learning rate",
    "mean_length": "length of training episodes",
    "steps_per_second": "steps a second, of collecting and updating",
}
COVERAGE = (
    "In 1,000 simulated comparisons of equal groups each, with normal, skewed and two-peaked scores, the intervals of "
    "an interquartile mean held the true one in 89 to 91 % with 5 seeds and in 93 to 94 % with 10; those of a "
    "difference in 88 to 95 % and 93 to 96 %. The test that decides called equal groups different in 4 to 6 %."
)


@dataclass(frozen=True)
class Table:
    """A table of a page; the first cell of a row is its name."""

    rows: list[list[str]]
    header: list[str] = field(default_factory=list)
    caption: str = ""
    is_numeric: bool = False
    is_folded: bool = False


@dataclass(frozen=True)
class Section:
    """A section of a page."""

    title: str
    tables: list[Table] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    is_wide: bool = False


def sections_of(groups: list[Group], comparison: Comparison | None, extra: Sequence[Section] = ()) -> list[Section]:
    """Return the sections with charts and tables, without those that have nothing to show.

    Args:
        groups: The groups of runs.
        comparison: Their comparison; None for one group.
        extra: More sections, after the evaluation.
    """
    found = [_learning(groups, comparison), *_comparison(comparison), _evaluation(groups), *extra]
    found += [_actions(groups), _diagnostics(groups), _logged(groups), _time(groups)]
    return [section for section in found if section.tables or section.charts]


def title(groups: list[Group]) -> str:
    """Return the title of a page."""
    if len(groups) > 1:
        return f"{', '.join(group.name for group in groups[:-1])} and {groups[-1].name}"
    group = groups[0]
    seeds = f"seed {group.seeds[0]}" if len(group.runs) == 1 else f"{len(group.runs)} seeds"
    return f"{group.settings.environment}, {seeds}"


def notices(groups: list[Group]) -> Iterator[str]:
    """Yield what a reader must know first: runs that are not over."""
    for group in groups:
        for folder, run in zip(group.folders, group.runs, strict=True):
            if run.evaluation is None:
                yield (
                    f"{folder.name} is not over: {run.epochs} of {run.settings.num_epochs} epochs, and no evaluation "
                    f"of its last weights. If it was stopped, actor-critic resume continues it."
                )


def cards(group: Group) -> list[dict[str, str]]:
    """Return the most important figures of a group: name, value and note of each."""
    runs, cards = group.runs, []
    evaluations = [run.evaluation for run in runs if run.evaluation]
    for mode in ("greedy", "sampled") if evaluations else ():
        means = np.array([each.modes[mode].returns.mean for each in evaluations])
        if len(runs) == 1:
            returns = evaluations[0].modes[mode].returns
            note = f"{plainly(returns.low)} to {plainly(returns.high)} {_OVER.format(evaluations[0].episodes)}"
        else:
            note = f"median of {len(means)} seeds, {plainly(means.min())} to {plainly(means.max())}"
        cards.append({"name": f"{mode} return", "value": plainly(float(np.median(means))), "note": note})
    steps = [int(run.metrics["env_steps"][-1]) for run in runs if run.epochs]
    seconds = [float(run.seconds[-1]) for run in runs if run.epochs]
    if steps:
        cards.append({"name": "environment steps", "value": f"{max(steps):,}", "note": f"{_epochs(runs)} epochs"})
        note = f"{sum(steps) / max(sum(seconds), 1e-9):,.0f} steps a second"
        cards.append({"name": "collecting and updating", "value": _duration(float(np.mean(seconds))), "note": note})
        episodes = np.mean([run.metrics["episodes"][-1] for run in runs if run.epochs])
        cards.append({"name": "training episodes", "value": f"{episodes:,.0f}", "note": "a run"})
    return cards


def _epochs(runs: list[Records]) -> str:
    each = sorted({run.epochs for run in runs})
    return f"{each[0]:,}" if len(each) == 1 else f"{each[0]:,} to {each[-1]:,}"


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def verdicts(comparison: Comparison | None) -> list[dict[str, Any]]:
    """Return what a comparison says, in words and in figures."""
    if comparison is None:
        return []
    found = []
    for each in comparison.contrasts:
        note = (
            f"difference {interval(each.difference, each.low, each.high)}"
            f"{', paired by seed' if each.is_paired else ''}; probability that a seed of {each.name} scores higher "
            f"{interval(each.probability, each.probability_low, each.probability_high)}; p = {each.p_value:.2g} "
            f"(permutation test)"
        )
        found.append({"text": each.verdict(), "note": note, "is_decided": each.is_decided})
    return found


def findings(groups: list[Group]) -> Iterator[dict[str, str]]:
    """Yield the findings about the first group."""
    for finding, seeds in find_in_group(groups[0]):
        where = "" if len(groups[0].runs) == 1 or not seeds else f" (seeds {', '.join(map(str, seeds))})"
        yield {
            "name": finding.name,
            "title": finding.name.replace("-", " ").capitalize() + where,
            "seen": finding.seen[0].upper() + finding.seen[1:],
            "meaning": finding.meaning[0].upper() + finding.meaning[1:],
            "remedy": finding.remedy,
        }


def _learning(groups: list[Group], comparison: Comparison | None) -> Section:
    note = "mean over the last 100 training episodes"
    if comparison:
        bands = f"interquartile mean over seeds and its 95 % bootstrap interval; {note}"
        over_time = charts.bands(
            "training return over time", "seconds of collecting and updating", comparison.by_seconds
        )
        over_steps = charts.bands("training return", _STEPS, comparison.by_steps, note=bands)
        return Section("Learning", charts=[each for each in (over_steps, over_time) if each], is_wide=True)
    group = groups[0]
    drawn = [run for run in group.runs if run.epochs]
    made: list[Chart | None] = []
    if len(drawn) == 1:
        made.append(charts.lines("training return", _STEPS, list(_returns(drawn[0])), note=note))
    elif drawn:
        seeds = [_line(run, "mean_return", COLORS[0], f"seed {run.settings.seed}", is_thin=True) for run in drawn]
        last = min(float(run.metrics["env_steps"][-1]) for run in drawn)
        random = generator(0, Purpose.BOOTSTRAP)
        curve = curve_over_seeds(replace(group, runs=drawn), lambda run: run.metrics["env_steps"], last, random)
        note = f"interquartile mean over {len(drawn)} seeds with its 95 % bootstrap interval, and each seed; {note}"
        made.append(charts.bands("training return", _STEPS, [curve], seeds, note))
    evaluated = [
        replace(_line(run, f"evaluation_{mode}_return", color, f"{mode}{_seed(group, run)}"), is_marked=True)
        for run in drawn
        for mode, color in (("greedy", COLORS[1]), ("sampled", COLORS[2]))
    ]
    made.append(charts.lines("evaluations during the run", _STEPS, evaluated))
    return Section("Learning", charts=[each for each in made if each], is_wide=True)


def _returns(run: Records) -> Iterator[Line]:
    names = {"mean_return": "return", "mean_model_return": "model return", "mean_training_return": "training return"}
    for (metric, name), color in zip(names.items(), COLORS, strict=False):
        yield _line(run, metric, color, name)


def _line(run: Records, metric: str, color: str, name: str, is_thin: bool = False) -> Line:
    return Line(name, run.metrics["env_steps"], run.metrics[metric], color, is_thin)


def _seed(group: Group, run: Records) -> str:
    return f", seed {run.settings.seed}" if len(group.runs) > 1 else ""


def _comparison(comparison: Comparison | None) -> list[Section]:
    if comparison is None:
        return []
    header, rows = comparison.table()
    scores = {each.name: each.scores for each in comparison.standings}
    caption = f"mean return of {comparison.score} actions in the final evaluation of each seed"
    return [Section("Scores", [Table(rows, header, caption, True)], [_scores(scores)], is_wide=True)]


def _scores(scores: dict[str, list[float]]) -> Chart:
    traces = [
        {
            "y": charts.rounded(np.array(each)), "x": [name] * len(each), "name": name, "type": "box",
            "boxpoints": "all", "jitter": 0.4, "pointpos": 0, "marker": {"color": color}, "fillcolor": "rgba(0,0,0,0)",
        }
        for (name, each), color in zip(scores.items(), COLORS * len(scores), strict=False)
    ]  # fmt: skip
    return Chart(
        "score of each seed", traces, {"showlegend": False, "hovermode": "closest", "yaxis": {"type": "linear"}}
    )


def _evaluation(groups: list[Group]) -> Section:
    rows: list[list[str]] = []
    pooled: dict[str, list[float]] = {"greedy": [], "sampled": []}
    is_single = sum(len(group.runs) for group in groups) == 1
    for group in groups:
        for run in group.runs:
            owner = (f"{group.name}, " if len(groups) > 1 else "") + f"seed {run.settings.seed}, "
            for mode, result in run.evaluation.modes.items() if run.evaluation else ():
                returns = result.returns
                bounds = f"{plainly(returns.low)} to {plainly(returns.high)}"
                cells = [plainly(returns.mean), bounds, plainly(returns.std), f"{result.mean_length:.1f}"]
                rows.append([mode if is_single else owner + mode, *cells])
                pooled.get(mode, []).extend(result.episode_returns)
    reference = groups[0].runs[0].evaluation.reference if groups[0].runs[0].evaluation else None
    if reference:
        rows += [[name, plainly(getattr(reference, name)), "", "", ""] for name in ("optimum", "uniform")]
    if not rows:
        return Section("Evaluation")
    header = ["policy", "mean return", "95 % interval over episodes", "standard deviation", "mean length"]
    chart = charts.histogram("returns of single episodes", "return", pooled if len(groups) == 1 else {})
    table = Table(rows, header, "" if is_single else "every seed", is_numeric=True, is_folded=len(rows) > _LONG)
    return Section("Evaluation of the last weights", [table], [chart] if chart else [], is_wide=True)


def _actions(groups: list[Group]) -> Section:
    made = []
    for group in groups:
        run, details = group.runs[0], read_details(group.folders[0])
        steps = _steps_of(run, details.get("epoch", np.zeros(0)))
        choices: dict[str, dict[str, Any]] = {}  # by the name of the choice, and then of the option
        for column in details if len(steps) else ():
            if match := re.fullmatch(r"choice_(?:(\d+)_)?(\d+)", column):
                choices.setdefault(match[1] or "", {})[match[2]] = details[column]
        for number, options in choices.items():
            names = [f"choice {number}" if number else "actions", *([group.name] if len(groups) > 1 else [])]
            frequencies = np.stack(list(options.values()), 1)
            note = f"share of each during training{_seed(group, run)}"
            made.append(charts.choices(", ".join(names), steps, frequencies, list(options), note))
    return Section("Actions", charts=made, is_wide=True)


def _steps_of(run: Records, epochs: Any) -> Any:
    """Return the environment steps after epochs; NaN for those that the metrics have not."""
    if not run.epochs:
        return np.full(len(epochs), np.nan)
    return np.interp(epochs, run.metrics["epoch"], run.metrics["env_steps"], left=np.nan, right=np.nan)


def _diagnostics(groups: list[Group]) -> Section:
    made = []
    for metric, title in _DIAGNOSTICS.items():
        drawn = []
        for group, color in zip(groups, COLORS * len(groups), strict=False):
            for number, run in enumerate(group.runs):
                if len(groups) == 1:
                    shade = COLORS[number % len(COLORS)]
                    drawn.append(_line(run, metric, shade, f"seed {run.settings.seed}"))
                else:
                    drawn.append(replace(_line(run, metric, color, group.name), is_thin=number > 0))
        targets = {group.settings.target_kl for group in groups}
        limits = {"clip_fraction": LARGE_CLIP_FRACTION}
        if len(targets) == 1:
            target = targets.pop()
            limits["approx_kl"] = LARGE_KL if target is None else LARGE_KL_SHARE * target
        chart = charts.lines(title, _STEPS, drawn, limits.get(metric))
        if metric == "explained_variance":
            chart = _from_minus_one(chart)
        if chart and any(value for trace in chart.data for value in trace["y"]):  # not 0 throughout
            made.append(replace(chart, layout={**chart.layout, "showlegend": metric == "entropy" and len(drawn) > 1}))
    return Section("Losses and diagnostics", charts=made)


def _from_minus_one(chart: Chart | None) -> Chart | None:
    """Cut off what is below -1, where the value function is equally useless: it would flatten the rest."""
    if chart is None or min(value for trace in chart.data for value in trace["y"]) >= -1:
        return chart
    return replace(chart, layout={**chart.layout, "yaxis": {"range": [-1, 1.05]}}, note="values below −1 are cut off")


def _logged(groups: list[Group]) -> Section:
    """Return the numbers that the user has logged."""
    found: dict[str, list[Line]] = {}
    for group, color in zip(groups, COLORS * len(groups), strict=False):
        for folder, run in zip(group.folders, group.runs, strict=True):
            values: dict[str, list[tuple[int, float]]] = {}
            for epoch, name, value in read_logged(folder):
                values.setdefault(name, []).append((epoch, value))
            for name, pairs in values.items():
                epochs, numbers = (np.array(column, np.float64) for column in zip(*pairs, strict=True))
                line = Line(f"seed {run.settings.seed}", _steps_of(run, epochs), numbers, color)
                found.setdefault(name, []).append(line)
    made = [charts.lines(name, _STEPS, drawn) for name, drawn in found.items()]
    return Section("Your own numbers", charts=[chart for chart in made if chart])


def _time(groups: list[Group]) -> Section:
    seconds = {}
    for group in groups:
        totals = dict.fromkeys(SECONDS, 0.0)
        for folder in group.folders:
            details = read_details(folder)
            for part in SECONDS:
                totals[part] += float(np.nansum(details.get(f"{part}_seconds", np.zeros(0)))) / len(group.folders)
        seconds[group.name if len(groups) > 1 else "a run"] = totals
    chart = charts.times("where the time went", seconds)
    return Section("Time", charts=[chart] if chart else [], is_wide=True)


def about(groups: list[Group], comparison: Comparison | None) -> tuple[list[Table], list[Table]]:
    """Return the tables of what was run, and those that are folded."""
    settings = groups[0].settings
    document = settings.to_document()
    about = []
    of_first = f", {groups[0].name}" if len(groups) > 1 else ""
    if comparison:
        rows = [[name, *(shown_value(value) for value in values)] for name, values in comparison.differing.items()]
        names = [group.name for group in groups]
        about.append(Table(rows or [["none differ"]], ["setting", *names], "settings that differ between the groups"))
    changed = _chosen(settings)
    chosen = [[name, shown_value(value)] for name, value in document.items() if name in changed]
    seed = ["seed", ", ".join(map(str, groups[0].seeds))]
    about.append(Table([*chosen, seed], ["setting", "value"], f"settings that differ from the defaults{of_first}"))
    with contextlib.suppress(CheckpointError, ConfigError):  # the page shows the rest
        versions = find_checkpoint(groups[0].folders[0])[1].versions
        about.append(Table([[name, each] for name, each in versions.items()], ["", f"version{of_first}"]))
    changes = [
        [f"after epoch {change.epoch}", ", ".join(f"{name}={shown_value(value)}" for name, value in made.items())]
        for change in read_changes(groups[0].folders[0])
        for made in [change.settings | change.environment]
    ]
    if changes:
        about.append(Table(changes, ["when", "what"], f"changed during the run{of_first}"))
    folders = [[group.name, ", ".join(map(str, group.folders))] for group in groups]
    about.append(Table(folders, ["", "folder"]))
    return about, [
        Table([[name, shown_value(value)] for name, value in document.items()], [], f"all settings{of_first}")
    ]


def _chosen(settings: Settings) -> set[str]:
    """Return the settings that differ from those that a run on this environment would have by itself."""
    asked: dict[str, Any] = {name: getattr(settings, name) for name in ("environment", "algorithm", "memory")}
    if not settings.is_random_states:
        asked["total_timesteps"] = settings.total_timesteps  # the sizes of batches follow from it
    usual = resolve(Layer("default", Config(**asked))).settings.to_document()
    automatic = {"device", "input_dim", "output_dim", *(name for name, value in usual.items() if value == "auto")}
    document = settings.to_document()
    different = {name for name, value in document.items() if value != usual[name] and name not in automatic}
    return {"environment", "algorithm", "num_epochs", *different} - {"seed"}
