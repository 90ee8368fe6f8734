"""The report of runs: one page that opens from the disk, with charts, findings in words and what was run."""

import base64
import gzip
import json
import logging
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from actor_critic.agent import ActorCriticAgent
from actor_critic.errors import CheckpointError, ConfigError
from actor_critic.files import write_durably
from actor_critic.report import sections
from actor_critic.report.comparison import Comparison, compare_groups
from actor_critic.report.policy_picture import policy_pictures
from actor_critic.report.records import Group, read_group

log = logging.getLogger("actor_critic")

PAGE = "report.html"

_FLAT = frozenset({"bar", "box", "contour", "heatmap", "scatter"})  # traces that the small script draws, among others


@dataclass(frozen=True)
class Episode:
    """A recorded episode for the page.

    Attributes:
        note: What it shows.
        image: A moving picture, as a ``data:`` address; "" if the environment gives texts.
        texts: The frames of a text environment.
    """

    note: str
    image: str = ""
    texts: Sequence[str] = ()

    @property
    def texts_json(self) -> str:
        """The texts as JSON for a page."""
        return _json(list(self.texts))


def make_page(
    groups: list[Group],
    comparison: Comparison | None = None,
    episode: Episode | None = None,
    extra: Sequence[sections.Section] = (),
) -> str:
    """Return the report of groups of runs as one HTML page, which needs no network.

    Args:
        groups: One group, or several to compare.
        comparison: Their comparison; None compares several groups by their greedy scores.
        episode: A recorded episode of the first run.
        extra: More sections, after the evaluation.

    Raises:
        ConfigError: Several groups cannot be compared.
        CheckpointError: A file of a run is damaged.
    """
    if comparison is None and len(groups) > 1:
        comparison = compare_groups(groups)
    settings = groups[0].settings
    runs = sum(len(group.runs) for group in groups)
    environment = f"{settings.environment}, " if len(groups) > 1 else ""  # else it is in the title
    about, hidden = sections.about(groups, comparison)
    return render_page(
        sections.title(groups),
        f"{environment}{settings.algorithm.upper()}, {runs} run{'s' if runs > 1 else ''}",
        sections.sections_of(groups, comparison, extra),
        about,
        notices=list(sections.notices(groups)),
        cards=sections.cards(groups[0]) if not comparison else [],
        verdicts=sections.verdicts(comparison),
        coverage=sections.COVERAGE,
        findings=list(sections.findings(groups)) if not comparison else None,
        is_single=runs == 1,
        episode=episode,
        hidden=hidden,
    )


def render_page(
    title: str, subtitle: str, shown: list[sections.Section], about: list[sections.Table], **parts: Any
) -> str:
    """Return a page.

    Args:
        title: Its title.
        subtitle: A line beneath it.
        shown: The sections with charts and tables.
        about: The tables of what was run.
        parts: Other variables of ``templates/page.html``; what is left out is not shown.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("actor_critic.report"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["flags"] = _with_flags
    drawn = [{"data": chart.data, "layout": chart.layout} for section in shown for chart in section.charts]
    return environment.get_template("page.html").render(
        {"findings": None, "hidden": []} | parts,
        title=title,
        subtitle=subtitle,
        sections=_numbered(shown),
        charts_json=_json(drawn),
        library=_library({trace["type"] for section in shown for chart in section.charts for trace in chart.data}),
        about=about,
    )


def write_run_page(folder: Path, agent: ActorCriticAgent | None = None) -> bool:
    """Write the report of a run, or of a folder of several seeds, into its folder.

    What fails is only logged, because the run itself has succeeded.

    Args:
        folder: The folder.
        agent: The agent with the last weights, for a picture of its policy on random states.

    Returns:
        Whether it was written.
    """
    try:
        pictures = policy_pictures(agent) if agent and agent.settings.is_random_states else []
        write_page(
            folder / PAGE, [read_group(folder, folder.name)], extra=[sections.Section("Policy", charts=pictures)]
        )
    except (ConfigError, CheckpointError) as error:
        log.warning("no report: %s", error)
        return False
    except Exception:  # a bug must not take the result of a run with it
        log.warning("no report", exc_info=True)
        return False
    return True


def write_page(path: Path, groups: list[Group], **parts: Any) -> None:
    """Write the report of groups of runs; an older one is replaced.

    Args:
        path: The file.
        groups: See :func:`make_page`.
        parts: See :func:`make_page`.

    Raises:
        ConfigError: As :func:`make_page`, or the file cannot be written.
        CheckpointError: As :func:`make_page`.
    """
    write_html(path, make_page(groups, **parts))


def write_html(path: Path, text: str) -> None:
    """Write a page durably.

    Raises:
        ConfigError: The file cannot be written.
    """
    try:
        write_durably(path, text.encode(errors="replace"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from None


def _numbered(shown: list[sections.Section]) -> list[dict[str, Any]]:
    """Return the sections for the template, with numbered charts."""
    number, found = 0, []
    for section in shown:
        drawn = []
        for chart in section.charts:
            drawn.append({"title": chart.title, "note": chart.note, "number": number, "is_low": chart.is_low})
            number += 1
        found.append({"title": section.title, "tables": section.tables, "charts": drawn, "is_wide": section.is_wide})
    return found


def _with_flags(text: str) -> Markup:
    """Mark the flags in a sentence as code."""
    flag = r"(--[a-z][a-z-]*(?: (?:\d[\d.e+-]*|add))?)"
    return Markup(re.sub(flag, r"<code>\1</code>", str(escape(text))))


def _json(document: Any) -> str:
    """Return JSON that cannot end the script element that holds it."""
    return json.dumps(document, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _library(traces: Collection[str]) -> str:
    """Return Plotly's script, compressed.

    Browsers evaluate the part for flat charts in a third of the time. It is ``plotly-cartesian.min.js`` of the npm
    package plotly.js-cartesian-dist-min 4.1.1. What else is drawn are Optuna's plots, which need the package plotly.
    """
    if _FLAT.issuperset(traces):
        packed = (files("actor_critic.report") / "templates/plotly-cartesian.min.js.gz").read_bytes()
    else:
        whole = files("plotly") / "package_data/plotly.min.js"
        packed = gzip.compress(whole.read_bytes(), 1, mtime=0)
    return base64.b64encode(packed).decode()
