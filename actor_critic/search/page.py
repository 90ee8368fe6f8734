"""The page of a search: Optuna's own plots, the trials, and the confirmation."""

import json
import logging
import warnings
from collections.abc import Callable
from typing import Any

import optuna
from optuna import visualization

from actor_critic.errors import ConfigError
from actor_critic.ops.statistics import plainly
from actor_critic.report import Chart, Section, Table, render_page, write_html
from actor_critic.search.results import SweepResult

log = logging.getLogger("actor_critic")

PAGE = "sweep.html"
_FEWEST_TRIALS = 4  # for the importance of parameters


def write_page(study: optuna.Study, result: SweepResult, environment: str, algorithm: str) -> None:
    """Write ``sweep.html`` into the folder of a search; what fails is only logged.

    Args:
        study: The study.
        result: What it has found.
        environment: The environment.
        algorithm: The algorithm.
    """
    plots = _plots(study)
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
        f"{environment}, {algorithm.upper()}, {len(result.trials)} trials",
        [Section("The search", charts=plots, is_wide=True)] if plots else [],
        [Table(best, ["setting", "value"], "the best trial")] if best else [],
        verdicts=verdicts,
        hidden=[Table(rows, header, "all trials")],
    )
    try:
        write_html(result.folder / PAGE, text)
    except ConfigError as error:  # the search itself has succeeded
        log.warning("no page: %s", error)


def _plots(study: optuna.Study) -> list[Chart]:
    """Return Optuna's plots that have something to show."""
    complete = [trial for trial in study.get_trials(deepcopy=False) if trial.state == optuna.trial.TrialState.COMPLETE]
    if not complete:
        return []
    plots: list[tuple[str, Callable[[], Any]]]
    if len(study.directions) > 1:
        plots = [("score and time", lambda: visualization.plot_pareto_front(study, target_names=["score", "seconds"]))]
    else:
        plots = [
            ("score of each trial", lambda: visualization.plot_optimization_history(study, target_name="score")),
            ("learning curves of the trials", lambda: visualization.plot_intermediate_values(study)),
            ("score by setting", lambda: visualization.plot_slice(study, target_name="score")),
            ("settings of good trials", lambda: visualization.plot_parallel_coordinate(study, target_name="score")),
        ]
        if len(complete) >= _FEWEST_TRIALS:
            plots.insert(1, ("importance of the settings", lambda: visualization.plot_param_importances(study)))
    found = []
    for title, plot in plots:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of Optuna about itself
                figure = json.loads(plot().to_json())
        except Exception as error:  # Optuna's plots need other packages, or several different values
            log.debug("no plot of the %s: %s", title, error)
            continue
        layout = {key: value for key, value in figure["layout"].items() if key not in ("template", "title")}
        found.append(Chart(title, figure["data"], {**layout, "hovermode": "closest"}))
    return found


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value)
