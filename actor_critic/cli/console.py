"""A run on the screen: its settings and its result."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from actor_critic.cli.screen import say, say_as_is
from actor_critic.config import Settings, default_values
from actor_critic.evaluation import Evaluation
from actor_critic.ops.statistics import plainly

_NARROW = 70  # columns; below, the headings of the evaluation are shorter

# Sources of values that the user did not choose.
_DEFAULT_SOURCES = frozenset({"default", "= batch_size", "num_epochs / 20"})


def print_settings(console: Console, settings: Settings, sources: dict[str, str], is_verbose: bool) -> None:
    """Print the settings that are not plain defaults, each with its source, and the resulting batch and run sizes.

    Args:
        console: The console.
        settings: The settings of the run.
        sources: The source of each setting.
        is_verbose: Whether to print defaults as well.
    """
    plain = default_values(settings.is_random_states)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("setting", "value", "from"):
        table.add_column(column, overflow="fold")
    left_out = 0
    for name, value in settings.to_document().items():
        source = sources.get(name, "environment" if name in ("input_dim", "output_dim") else "")
        is_default = source in _DEFAULT_SOURCES or not source
        is_chosen = source == "flag" or source.startswith("adapted") or name == "environment"
        is_plain = is_default or (value == plain.get(name) and not is_chosen)
        if is_plain and not is_verbose:
            left_out += 1
            continue
        shown = Text("-" if value is None else str(value))
        table.add_row(name, shown, Text(source), style="dim" if is_default else "")
    console.print(table)
    if left_out:
        say(console, f"the other {left_out} settings have their defaults; --verbose shows them")
    minibatches = "minibatch" if settings.num_minibatches == 1 else "minibatches"
    passes = "pass" if settings.update_epochs == 1 else "passes"
    say(
        console,
        f"batch: {settings.num_envs} environments x {settings.num_steps} steps = {settings.batch_size}, "
        f"{settings.num_minibatches} {minibatches} of {settings.minibatch_size}, {settings.update_epochs} {passes}",
    )
    epochs = "epoch" if settings.num_epochs == 1 else "epochs"
    say(console, f"run: {settings.num_epochs} {epochs} = {settings.total_timesteps:,} steps on {settings.device}")


def print_evaluation(console: Console, evaluation: Evaluation, title: str) -> None:
    """Print both modes of an evaluation."""
    has_model = any(result.model_returns for result in evaluation.modes.values())
    say_as_is(console, title)
    table = Table(box=None, pad_edge=False, header_style="bold")
    is_narrow = console.width < _NARROW
    columns = ["policy", "mean", "std", "95% interval" if is_narrow else "95% interval over episodes"]
    columns += ["length" if is_narrow else "mean length"]
    for column in [*columns, "model return"] if has_model else columns:
        table.add_column(column, justify="left" if column == "policy" else "right")
    for name, result in evaluation.modes.items():
        summary, model = result.returns, result.model_returns
        interval = f"{plainly(summary.low)}{' ' if is_narrow else ' to '}{plainly(summary.high)}"
        row = [name, plainly(summary.mean), plainly(summary.std), interval, f"{result.mean_length:.1f}"]
        table.add_row(*row, *([plainly(model.mean)] if model else []))
    if evaluation.reference:
        table.add_row("optimum", plainly(evaluation.reference.optimum))
        table.add_row("uniform", plainly(evaluation.reference.uniform))
    console.print(table)
    for line in evaluation.cuts():
        say_as_is(console, line)
