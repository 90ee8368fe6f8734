"""The page of a search: Optuna's own plots, the trials, and the confirmation."""

import json
import logging
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import optuna
from optuna import visualization

from actor_critic.errors import ConfigError
from actor_critic.ops.statistics import plainly
from actor_critic.report import Chart, Section, Table, render_page, write_html
from actor_critic.search.results import SweepResult

log = logging.getLogger("actor_critic")

PAGE = "sweep.html"
_PARETO = ("trials", "no other is as good in both")  # the order in which Optuna draws them
_FEWEST_TRIALS = 4  # for the importance of parameters


def write_page(study: optuna.Study, result: SweepResult, environment: str, algorithm: str) -> None:
    """Write ``sweep.html`` into the folder of a search; what fails is only logged.

    Args:
        study: The study.
        result: What it has found.
        environment: The environment.
        algorithm: The algorithm.
    """
    header = ["trial", "state", "score", "seconds", "values"]
    rows = [
        [
            str(trial.number),
            trial.state,
            "" if trial.score is None else plainly(trial.score),
            "" if trial.seconds is None else f"{trial.seconds:.1f}",
            ", ".join(f"{name} {_shown(value)}" for name, value in trial.values.items()),
        ]
        for trial in result.trials
    ]
    best = [] if result.best is None else [[name, _shown(value)] for name, value in result.best.values.items()]
    verdicts = []
    if result.confirmation:
        seeds, *scores, last = result.confirmation.describe()[:4]
        difference, _, verdict = last.partition(": ")
        note = "; ".join([difference, *scores, seeds.rstrip(":")])
        verdicts = [{"text": verdict, "note": note, "is_decided": result.confirmation.is_decided}]
    text = render_page(
        f"Search on {environment}",
        f"{algorithm.upper()}, {len(result.trials)} trials",
        [section for section in _sections(study) if section.charts],
        [Table(best, ["setting", "value"], "the best trial")] if best else [],
        verdicts=verdicts,
        hidden=[Table(rows, header, "all trials")],
    )
    try:
        write_html(result.folder / PAGE, text)
    except ConfigError as error:  # the search itself has succeeded
        log.warning("no page: %s", error)


def _sections(study: optuna.Study) -> list[Section]:
    """Return Optuna's plots that have something to show."""
    complete = [trial for trial in study.get_trials(deepcopy=False) if trial.state == optuna.trial.TrialState.COMPLETE]
    if not complete:
        return []
    if len(study.directions) > 1:
        pareto = partial(visualization.plot_pareto_front, study, target_names=["score", "seconds"])
        charts = _chart("score and time", pareto, {"marker": {"size": 8}, "showlegend": True})
        for chart in charts:
            for trace, name in zip(chart.data, _PARETO, strict=False):
                trace["name"] = name
        return [Section("The search", charts=charts, is_wide=True)]
    history = partial(visualization.plot_optimization_history, study, target_name="score")
    curves = partial(visualization.plot_intermediate_values, study)
    search = [
        *_chart("score of each trial", history, xaxis="trial", yaxis="score"),
        *_chart("learning curves of the trials", curves, xaxis="twentieths of the run", yaxis="mean training return"),
    ]
    if len(complete) >= _FEWEST_TRIALS:
        importances = partial(visualization.plot_param_importances, study)
        within = {"textposition": "auto"}  # a figure beside a long bar would be cut off
        search += _chart("importance of the settings", importances, within, xaxis="importance", yaxis="")
    slices = []
    for name in sorted({name for trial in complete for name in trial.params}):
        of_one = partial(visualization.plot_slice, study, [name], target_name="score")
        slices += _chart(name, of_one, {"marker": {"opacity": 0.7}}, xaxis="", yaxis="score")  # of one color
    return [Section("The search", charts=search, is_wide=True), Section("Score by setting", charts=slices)]


def _chart(title: str, plot: Callable[[], Any], style: Mapping[str, Any] | None = None, **axes: str) -> list[Chart]:
    """Return a plot of Optuna in the look of our pages; nothing if it cannot be drawn.

    Args:
        title: Its title.
        plot: What makes it.
        style: What replaces parts of its traces.
        axes: The titles of its axes.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Optuna about itself
            figure = json.loads(plot().to_json())
    except Exception as error:  # Optuna's plots need other packages, or several different values
        log.debug("no plot of the %s: %s", title, error)
        return []
    layout = {key: value for key, value in figure["layout"].items() if key not in ("template", "title", "width")}
    titles = {axis: layout.get(axis, {}) | {"title": {"text": text}} for axis, text in axes.items()}
    traces = [trace | (style or {}) for trace in figure["data"]]
    return [Chart(title, traces, layout | titles | {"hovermode": "closest"})]


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value)
