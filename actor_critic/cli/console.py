"""What a person sees of a run: its settings, one live line of progress, its result."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from actor_critic.config import Settings
from actor_critic.epoch_report import EpochReport
from actor_critic.evaluation import Evaluation

_PLAIN_LINES = 20
_REFRESH_SECONDS = 0.1


def print_settings(console: Console, settings: Settings, sources: dict[str, str]) -> None:
    """Print every resolved setting with the source it came from, and the sizes that follow from them."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("setting", "value", "from"):
        table.add_column(column, overflow="fold")
    for name, value in settings.to_document().items():
        fallback = "environment" if name in ("input_dim", "output_dim") else ""
        style = "dim" if sources.get(name) == "default" else ""
        shown = Text("-" if value is None else str(value))
        table.add_row(name, shown, Text(sources.get(name, fallback)), style=style)
    console.print(table)
    console.print(
        f"batch: {settings.num_envs} environments x {settings.num_steps} steps = {settings.batch_size}, "
        f"minibatch: {settings.minibatch_size}, passes: {settings.update_epochs}, "
        f"run: {settings.num_epochs} epochs = {settings.total_timesteps:,} steps on {settings.device}",
        soft_wrap=True,
        highlight=False,
        markup=False,
    )


class ProgressView:
    """One live line on a terminal; about twenty plain lines where output is piped."""

    def __init__(self, console: Console, settings: Settings, epoch: int) -> None:
        """Begin after an epoch of a run."""
        self._console = console
        self._settings = settings
        self._every = max(1, settings.num_epochs // _PLAIN_LINES)
        self._refreshed = 0.0
        self._progress = Progress(
            TextColumn("epoch"),
            MofNCompleteColumn(),
            BarColumn(bar_width=20),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
            console=console,
            auto_refresh=False,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("train", total=settings.num_epochs, completed=epoch, figures="")

    def show(self, report: EpochReport) -> None:
        """Show one epoch."""
        is_last = report.epoch == self._settings.num_epochs
        if not self._console.is_terminal:
            if report.epoch % self._every == 0 or report.epoch == 1 or is_last:
                line = report.describe(self._settings.num_epochs)
                self._console.print(line, soft_wrap=True, highlight=False, markup=False)
            return
        now = time.monotonic()
        self._progress.update(self._task, completed=report.epoch, figures=_figures(report))
        if is_last or now - self._refreshed > _REFRESH_SECONDS:
            self._progress.refresh()
            self._refreshed = now

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.refresh()
        self._progress.stop()


def print_evaluation(console: Console, evaluation: Evaluation, title: str) -> None:
    """Print both modes of an evaluation."""
    has_model = any(result.model_returns for result in evaluation.modes.values())
    table = Table(title=Text(title), title_justify="left", box=None, pad_edge=False, header_style="bold")
    columns = ["policy", "mean", "std", "95% interval over episodes", "mean length"]
    for column in [*columns, "model return"] if has_model else columns:
        table.add_column(column, justify="left" if column == "policy" else "right")
    for name, result in evaluation.modes.items():
        summary, model = result.returns, result.model_returns
        interval = f"{summary.low:.4g} to {summary.high:.4g}"
        row = [name, f"{summary.mean:.4g}", f"{summary.std:.4g}", interval, f"{result.mean_length:.1f}"]
        table.add_row(*row, *([f"{model.mean:.4g}"] if model else []))
    if evaluation.reference:
        table.add_row("optimum", f"{evaluation.reference.optimum:.4g}")
        table.add_row("uniform", f"{evaluation.reference.uniform:.4g}")
    console.print(table)


def _figures(report: EpochReport) -> str:
    parts = [] if report.mean_return is None else [f"return {report.mean_return:.2f}"]
    if report.mean_model_return is not None:
        parts.append(f"model {report.mean_model_return:.2f}")
    parts += [f"loss {report.policy_loss:+.3f} {report.value_loss:.3f}", f"{report.steps_per_second:,.0f}/s"]
    return "  ".join(parts)
