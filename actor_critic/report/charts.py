"""The charts of a page: figures of Plotly, as JSON documents."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from actor_critic.report.comparison import Curve

COLORS = ("#3b7ddd", "#e07b24", "#1a9c78", "#b35fc0", "#d2505a", "#8d8a1c", "#1f9fb5", "#7a6ce0", "#c06a3f", "#6b7785")
"""One for each group; readable on light and on dark paper."""

_POINTS = 150  # of a line; more are averaged
_ROLLOUT = "; rollout is environment and policy in one compiled call"
_TALL_FROM = 3  # groups
_SMALL = 1e-3
_HEATMAP_FROM = 9  # choices; fewer are stacked areas
_BINS = 31  # odd, so that the bar of equal values is in the middle
_SHARES = [[0, "rgba(59,125,221,0)"], [1, "rgb(59,125,221)"]]  # from the paper, light or dark, to blue

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Chart:
    """One chart.

    Attributes:
        title: Its title.
        data: The traces.
        layout: What differs from the layout of the page.
        note: A line beneath the title.
        is_low: Whether it needs little height.
    """

    title: str
    data: list[dict[str, Any]]
    layout: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    is_low: bool = False


@dataclass(frozen=True)
class Line:
    """A line of a chart.

    Attributes:
        name: Its name.
        x: [n].
        y: [n]; NaN where there is no value.
        color: Its color.
        is_thin: Whether it is only in the background.
        is_marked: Whether the points are marked and not averaged.
    """

    name: str
    x: Array
    y: Array
    color: str
    is_thin: bool = False
    is_marked: bool = False


def lines(title: str, x_title: str, drawn: Sequence[Line], limit: float | None = None, note: str = "") -> Chart | None:
    """Return a chart of lines; None if no line has a value.

    Args:
        title: Its title.
        x_title: The title of the horizontal axis.
        drawn: The lines.
        limit: The height of a dashed line.
        note: A line beneath the title.
    """
    known = [line for line in drawn if np.isfinite(line.y).any()]
    if not known:
        return None
    traces = []
    for line in known:
        x, y = (line.x, line.y) if line.is_marked else averaged(line.x, line.y)
        kept = np.isfinite(y)
        traces.append({
            "x": rounded(x[kept]), "y": rounded(y[kept]), "name": line.name, "type": "scatter",
            "mode": "lines+markers" if line.is_marked else "lines", "showlegend": not line.is_thin,
            "line": {"color": line.color, "width": 1 if line.is_thin else 2}, "opacity": 0.5 if line.is_thin else 1,
            **({"hoverinfo": "skip"} if line.is_thin else {}),
        })  # fmt: skip
    layout: dict[str, Any] = {
        "xaxis": {"title": {"text": x_title}},
        "showlegend": len({each.name for each in known}) > 1,
    }
    low, high = (float(f([f(line.y) for line in known])) for f in (np.nanmin, np.nanmax))
    if low == high != 0:  # else the axis would reach from 1 below it to 1 above
        layout["yaxis"] = {"range": sorted((0.0, 2 * low))}
    if max(-low, high) < _SMALL:  # else Plotly writes 100µ for 1e-4
        layout.setdefault("yaxis", {})["exponentformat"] = "e"
    if limit is not None and max(np.nanmax(line.y) for line in known) > limit / 2:  # else it would flatten the lines
        note = f"dashed: {limit:g}, a mean above it is a finding"
        dash = {"color": "#8a93a0", "width": 1, "dash": "dash"}
        layout["shapes"] = [{"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": limit, "y1": limit, "line": dash}]
    return Chart(title, traces, layout, note)


def bands(
    title: str, x_title: str, curves: Sequence[Curve], behind: Sequence[Line] = (), note: str = ""
) -> Chart | None:
    """Return a chart of curves over seeds with their intervals, over thin lines of single seeds."""
    chart = lines(title, x_title, behind)
    traces = chart.data if chart else []
    for curve, color in zip(curves, _colors(len(curves)), strict=True):
        known = np.isfinite(curve.low) & np.isfinite(curve.high)
        if not known.any():
            continue
        x = curve.places[known]
        traces.append({
            "x": rounded(np.concatenate([x, x[::-1]])),
            "y": rounded(np.concatenate([curve.high[known], curve.low[known][::-1]])),
            "fill": "toself", "fillcolor": color + "33", "line": {"width": 0}, "type": "scatter", "mode": "lines",
            "hoverinfo": "skip", "showlegend": False, "name": curve.name,
        })  # fmt: skip
        traces.append({
            "x": rounded(x), "y": rounded(curve.mean[known]), "name": curve.name, "type": "scatter", "mode": "lines",
            "line": {"color": color, "width": 2.5},
        })  # fmt: skip
    if not traces:
        return None
    return Chart(title, traces, {"xaxis": {"title": {"text": x_title}}, "showlegend": len(curves) > 1}, note)


def histogram(title: str, x_title: str, samples: Mapping[str, Sequence[float]], note: str = "") -> Chart | None:
    """Return a chart of the distributions of samples by name; None if they are empty."""
    values = np.concatenate([np.asarray(sample, np.float64) for sample in samples.values()] or [np.zeros(0)])
    if not len(values):
        return None
    low, high = float(values.min()), float(values.max())
    edges = np.linspace(low, high, _BINS + 1) if high > low else np.linspace(low - 0.5, low + 0.5, _BINS + 1)
    traces = []
    for (name, sample), color in zip(samples.items(), _colors(len(samples)), strict=True):
        counts, _ = np.histogram(sample, edges)
        middle = (edges[1:] + edges[:-1]) / 2
        traces.append({
            "x": rounded(middle), "y": counts.tolist(), "name": name, "type": "bar", "marker": {"color": color},
        })  # fmt: skip
    layout = {
        "barmode": "group", "bargap": 0.1, "showlegend": len(samples) > 1,
        "xaxis": {"title": {"text": x_title}}, "yaxis": {"title": {"text": "episodes"}},
    }  # fmt: skip
    return Chart(title, traces, layout, note)


def choices(title: str, x: Array, frequencies: Array, names: Sequence[str], note: str = "") -> Chart:
    """Return a chart of how often each choice was taken.

    Args:
        title: Its title.
        x: [n] environment steps.
        frequencies: [n, A], shares.
        names: Of the A choices.
        note: A line beneath the title.
    """
    steps = {"title": {"text": "environment steps"}}
    if len(names) >= _HEATMAP_FROM:
        trace = {
            "x": rounded(x), "y": list(names), "z": [rounded(row) for row in frequencies.T], "type": "heatmap",
            "colorscale": _SHARES, "zmin": 0, "colorbar": {"thickness": 10, "tickformat": ".0%"},
        }  # fmt: skip
        layout = {"xaxis": steps, "yaxis": {"type": "category"}, "hovermode": "closest"}
        return Chart(title, [trace], layout, note)
    traces = [
        {
            "x": rounded(x), "y": rounded(share), "name": name, "type": "scatter", "mode": "lines", "stackgroup": "one",
            "line": {"width": 0.5, "color": color}, "fillcolor": color + "bb",
        }
        for name, share, color in zip(names, frequencies.T, _colors(len(names)), strict=True)
    ]  # fmt: skip
    return Chart(title, traces, {"xaxis": steps, "yaxis": {"tickformat": ".0%"}, "showlegend": True}, note)


def times(title: str, seconds: dict[str, dict[str, float]]) -> Chart | None:
    """Return a chart of where the time went; None if it is unknown.

    Args:
        title: Its title.
        seconds: By group, and then by part.
    """
    parts = [part for part in next(iter(seconds.values()), {}) if any(group[part] > 0 for group in seconds.values())]
    if not parts:
        return None
    traces = [
        {
            "x": [round(group[part], 3) for group in seconds.values()], "y": list(seconds), "name": part,
            "type": "bar", "orientation": "h", "marker": {"color": color},
        }
        for part, color in zip(parts, _colors(len(parts)), strict=True)
    ]  # fmt: skip
    layout = {
        "barmode": "stack", "xaxis": {"title": {"text": "seconds"}}, "yaxis": {"autorange": "reversed"},
        "showlegend": True, "hovermode": "closest",
    }  # fmt: skip
    note = "without evaluations" + _ROLLOUT * ("rollout" in parts)
    return Chart(title, traces, layout, note, is_low=len(seconds) < _TALL_FROM)


def picture(title: str, x: Array, y: Array, z: Array, x_title: str, y_title: str, note: str = "") -> Chart:
    """Return a picture of a function of two numbers: z [len(y), len(x)], shares."""
    trace = {
        "x": rounded(x), "y": rounded(y), "z": [rounded(row) for row in z], "type": "heatmap", "colorscale": "RdBu",
        "zmin": 0, "zmax": 1, "colorbar": {"thickness": 10, "tickformat": ".0%"},
    }  # fmt: skip
    layout = {
        "xaxis": {"title": {"text": x_title}}, "yaxis": {"title": {"text": y_title}}, "hovermode": "closest"
    }  # fmt: skip
    return Chart(title, [trace], layout, note)


def averaged(x: Array, y: Array) -> tuple[Array, Array]:
    """Return at most 150 points: the means of neighbours, at the last place of each."""
    if len(x) <= _POINTS:
        return x, y
    parts = [part for part in np.array_split(np.arange(len(x)), _POINTS) if np.isfinite(y[part]).any()]
    return np.array([x[part[-1]] for part in parts]), np.array([np.nanmean(y[part]) for part in parts])


def rounded(values: Array) -> list[float | None]:
    """Return numbers with five digits, which are shorter on a page; None for what JSON has not."""
    return [float(f"{value:.5g}") if np.isfinite(value) else None for value in values]


def _colors(count: int) -> list[str]:
    return [COLORS[number % len(COLORS)] for number in range(count)]
