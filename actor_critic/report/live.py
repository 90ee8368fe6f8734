"""A training run while it runs: on a terminal, in a notebook, or as plain lines."""

import sys
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from actor_critic.config import Settings
from actor_critic.display import html_table
from actor_critic.ops.statistics import plainly
from actor_critic.training import EpochReport

_PLAIN_LINES = 20
_REFRESH_SECONDS = 0.5
_SPARKS, _ASCII_SPARKS = "▁▂▃▄▅▆▇█", "_.-~=+*#"
_NARROW = 60  # columns; below, there is one figure a line


class LiveView(Protocol):
    """Shows the epochs of a run; a ``with`` block surrounds the run."""

    def show(self, report: EpochReport) -> None:
        """Show one epoch."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def live_view(settings: Settings, epoch: int, console: Console | None = None) -> LiveView:
    """Return the view for where the program runs: a terminal, a notebook, or a pipe or file.

    Args:
        settings: Of the run.
        epoch: Epochs done.
        console: The console; None is standard output.
    """
    if console is None and "IPython" in sys.modules and _is_in_a_notebook():
        return NotebookView(settings, epoch)
    console = console or Console()
    return TerminalView(console, settings, epoch) if console.is_terminal else PlainView(console, settings)


def _is_in_a_notebook() -> bool:
    from IPython import get_ipython  # only where it runs already

    shell = get_ipython()
    return shell is not None and "IPKernelApp" in shell.config


class _Progress:
    """The progress of a run and its figures, in words."""

    def __init__(self, settings: Settings, epoch: int) -> None:
        self.total = settings.num_epochs
        # What the policy learns from: the environment's own return says nothing if a model replaces it.
        has_model = not settings.is_random_states and settings.reward_model != "environment"
        self.learned = "model return" if has_model and settings.reward_mode == "replace" else "return"
        self._first = epoch
        self._began = time.monotonic()
        self._returns: list[float] = []
        self._seconds: dict[str, float] = {}
        self._evaluation: float | None = None
        self.report: EpochReport | None = None

    def add(self, report: EpochReport) -> None:
        self.report = report
        learned = report.mean_return if self.learned == "return" else report.mean_model_return
        if learned is not None:
            self._returns.append(learned)
        if report.evaluation is not None:
            self._evaluation = report.evaluation.greedy.mean
        for name, seconds in report.seconds.items():
            self._seconds[name] = self._seconds.get(name, 0.0) + seconds

    @property
    def epoch(self) -> int:
        return self.report.epoch if self.report else self._first

    def left(self) -> str:
        """Return the estimated time left, or the time taken after the last epoch; "" before the first epoch."""
        done, taken = self.epoch - self._first, time.monotonic() - self._began
        if not done:
            return ""
        is_over = self.epoch == self.total
        seconds = round(taken if is_over else taken / done * (self.total - self.epoch))
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}{'' if is_over else ' left'}"

    def spark(self, width: int, letters: str = _SPARKS) -> str:
        """Return the mean returns that are learned from as a line of at most ``width`` letters, low to high."""
        if len(self._returns) < 2:
            return ""
        values = np.asarray(self._returns)
        if len(values) > width:
            values = np.array([part.mean() for part in np.array_split(values, width)])
        low, high = values.min(), values.max()
        places = np.zeros(len(values)) if low == high else (values - low) / (high - low) * (len(letters) - 1)
        return "".join(letters[int(place)] for place in np.rint(places))

    def figures(self) -> Iterator[tuple[str, str]]:
        """Yield the names and values of the last epoch's figures."""
        report = self.report
        if report is None:
            return
        for name, value in (
            ("return", report.mean_return),
            ("model return", report.mean_model_return),
            ("training return", report.mean_training_return),
        ):
            if value is not None and (name == "return" or value != report.mean_return):
                yield name, plainly(value)
        yield "steps", f"{report.env_steps:,}"
        yield "steps/s", f"{report.steps_per_second:,.0f}"
        yield "episodes", f"{report.episodes:,}"
        if report.mean_length is not None:
            yield "length", plainly(report.mean_length)
        yield "policy loss", plainly(report.policy_loss)
        yield "value loss", plainly(report.value_loss)
        yield "entropy", plainly(report.entropy)
        yield "KL", plainly(report.approx_kl)
        yield "clipped", f"{report.clip_fraction:.0%}"
        if report.explained_variance is not None:
            yield "explained variance", f"{report.explained_variance:.2f}"
        if self._evaluation is not None:
            yield "evaluation", plainly(self._evaluation)
        for name, logged in report.logged.items():
            yield name, plainly(logged)

    def shares(self) -> str:
        """Return where the time went, as "environment 31%, policy 20%, update 47%, records 2%"."""
        whole = sum(self._seconds.values())
        if not whole:
            return ""
        names = [name for name in ("environment", "policy", "rollout", "update", "records") if name in self._seconds]
        return ", ".join(f"{name} {self._seconds[name] / whole:.0%}" for name in names)


class PlainView:
    """About twenty lines, for pipes and files."""

    def __init__(self, console: Console, settings: Settings) -> None:
        """Take the console, and the number of epochs from the settings."""
        self._console = console
        self._total = settings.num_epochs
        self._every = max(1, settings.num_epochs // _PLAIN_LINES)

    def show(self, report: EpochReport) -> None:
        """Print the first, the last and every twentieth part of the epochs."""
        if report.epoch % self._every == 0 or report.epoch in (1, self._total):
            line = report.describe(self._total)
            self._console.print(line, soft_wrap=True, highlight=False, markup=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing."""


class TerminalView:
    """A few live lines on a terminal: progress, figures, and where the time goes."""

    def __init__(self, console: Console, settings: Settings, epoch: int) -> None:
        """Start after an epoch of a run."""
        self._console = console
        self._progress = _Progress(settings, epoch)
        self._refreshed = 0.0
        self._live = Live(console=console, auto_refresh=False, get_renderable=self._lines)

    def show(self, report: EpochReport) -> None:
        """Show one epoch, at most a few times a second."""
        self._progress.add(report)
        now = time.monotonic()
        if now - self._refreshed > _REFRESH_SECONDS:
            self._live.refresh()
            self._refreshed = time.monotonic()

    def _lines(self) -> RenderableType:
        progress, width = self._progress, self._console.width
        is_narrow = width < _NARROW
        count = f"epoch {progress.epoch}/{progress.total} "
        left = progress.left()
        room = max(4, min(40, width - len(count) - len(left) - 2))
        head = Table.grid(padding=0)
        head.add_row(
            Text(count, no_wrap=True),
            ProgressBar(progress.total, progress.epoch, width=room),
            Text(f" {left}", no_wrap=True),
        )
        lines: list[RenderableType] = [head]
        if spark := progress.spark(
            max(1, min(40, width - 14)), _SPARKS if _has_blocks(self._console) else _ASCII_SPARKS
        ):
            name = progress.learned if is_narrow else f"{progress.learned:11}"
            lines.append(Text.assemble(f"{name} ", (spark, "green"), no_wrap=True))
        lines.append(_grid(list(progress.figures()), 1 if is_narrow else 3 if width >= 90 else 2))
        if shares := progress.shares():
            lines.append(Text(f"time: {shares}", style="dim"))
        return Group(*lines)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._live.refresh()
        finally:
            self._live.stop()


class NotebookView:
    """A live table in a notebook."""

    def __init__(self, settings: Settings, epoch: int) -> None:
        """Start after an epoch of a run."""
        self._progress = _Progress(settings, epoch)
        self._handle: Any = None
        self._refreshed = 0.0

    def show(self, report: EpochReport) -> None:
        """Show one epoch, at most a few times a second."""
        self._progress.add(report)
        if time.monotonic() - self._refreshed > _REFRESH_SECONDS:
            self._refresh()
            self._refreshed = time.monotonic()

    def _refresh(self) -> None:
        progress = self._progress
        rows: list[tuple[object, ...]] = list(progress.figures())
        if spark := progress.spark(40):
            rows.insert(0, (progress.learned, spark))
        if shares := progress.shares():
            rows.append(("time", shares))
        caption = f"epoch {progress.epoch} of {progress.total}, {progress.left()}"
        self._handle.update(_Html(html_table(rows, caption=caption), caption))

    def __enter__(self) -> Self:
        from IPython import display as ipython  # it runs already

        display: Any = ipython.display
        self._handle = display(_Html("", ""), display_id=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._refresh()


class _Html:
    """A text that a notebook shows as HTML, and other readers as plain text."""

    def __init__(self, text: str, plain: str) -> None:
        self._text, self._plain = text, plain

    def __repr__(self) -> str:
        return self._plain

    def _repr_html_(self) -> str:
        return self._text


def _grid(figures: list[tuple[str, str]], columns: int) -> Table:
    """Return the figures in columns of names and values, filled from top to bottom."""
    height = -(-len(figures) // columns) if figures else 0
    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(columns):
        table.add_column(style="dim", no_wrap=True)
        table.add_column(justify="right", no_wrap=True, min_width=8)
    for row in range(height):
        cells = [figures[place] if place < len(figures) else ("", "") for place in range(row, height * columns, height)]
        table.add_row(*(part for cell in cells for part in cell))
    return table


def _has_blocks(console: Console) -> bool:
    return console.encoding.lower().startswith("utf")
