"""`compare`: which of several groups of runs is better, and whether their seeds are enough to say so."""

import json
import math
from typing import TYPE_CHECKING

import click

from actor_critic.ops.statistics import plainly

if TYPE_CHECKING:
    from rich.console import Console

    from actor_critic.report import Comparison


@click.command("compare")
@click.argument("paths", metavar="RUN_OR_SEEDS...", nargs=-1, required=True)
@click.option(
    "--score",
    type=click.Choice(["greedy", "sampled"]),
    default="greedy",
    show_default=True,
    help="The actions of the final evaluation whose mean return is the score of a seed.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--output", metavar="FILE", help="Write a page with charts too, such as comparison.html.")
def command(paths: tuple[str, ...], score: str, as_json: bool, output: str | None) -> None:
    """Compare groups of runs on one environment: each path is a run folder, or a folder of train --seeds.

    Every group is compared with the first: interquartile means, their difference, and the probability that a seed of
    the one scores higher than a seed of the other, each with a 95 % bootstrap interval over seeds.
    """
    from actor_critic.cli.pages import page_path
    from actor_critic.cli.places import absolute, as_typed
    from actor_critic.cli.screen import console, only_a_document, say_as_is
    from actor_critic.report import compare, group_names

    file = page_path(output) if output else None
    comparison = compare(*(absolute(path) for path in paths), score=score, names=group_names(paths))
    if file:
        from actor_critic.report import write_page

        write_page(file, comparison.groups, comparison=comparison)
    if as_json:
        with only_a_document() as lines:
            lines.append(json.dumps(comparison.to_document(), indent=2))
        return
    screen = console()
    _print(screen, comparison)
    if file:
        say_as_is(screen, f"page: {as_typed(file)}")


def _print(screen: "Console", comparison: "Comparison") -> None:
    from actor_critic.cli.screen import say
    from actor_critic.report import interval, shown_value

    say(
        screen, f"{comparison.environment}: mean return of {comparison.score} actions in the final evaluation of a seed"
    )
    _table(screen, *comparison.table())
    for each in comparison.contrasts:
        screen.print()
        say(screen, each.verdict())
        paired = ", paired by seed" if each.is_paired else ""
        say(screen, f"  difference {interval(each.difference, each.low, each.high)}{paired}, p = {each.p_value:.2g}")
        chance = interval(each.probability, each.probability_low, each.probability_high)
        say(screen, f"  probability that a seed of {each.name} scores higher: {chance}")
    screen.print()
    for name, curves in (("steps", comparison.by_steps), ("seconds", comparison.by_seconds)):
        places = [len(curves[0].places) * quarter // 4 - 1 for quarter in (1, 2, 3, 4)]
        shown = [
            f"{curves[0].places[place]:,.4g}" if name == "seconds" else f"{curves[0].places[place]:,.0f}"
            for place in places
        ]
        rows = [[curve.name, *(_known(curve.mean[place]) for place in places)] for curve in curves]
        _table(screen, [f"training return after {name}", *shown], rows)
    if comparison.differing:
        screen.print()
        rows = [[name, *map(shown_value, values)] for name, values in comparison.differing.items()]
        _table(screen, ["setting", *(group.name for group in comparison.groups)], rows)


def _known(value: float) -> str:
    return plainly(value) if math.isfinite(value) else "-"


def _table(screen: "Console", header: list[str], rows: list[list[str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, name in enumerate(header):
        table.add_column(name, justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    screen.print(table)
