"""`presets`: the tuned settings of the package."""

import json

import click


@click.command("presets")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, with every setting.")
def command(as_json: bool) -> None:
    """List the presets: environment, source, and expected return of the named policy."""
    from rich.table import Table

    from actor_critic.cli.screen import console, only_a_document
    from actor_critic.config import list_presets
    from actor_critic.ops.statistics import plainly

    presets = list_presets()
    if as_json:
        with only_a_document() as lines:
            lines.append(json.dumps([preset.model_dump() for preset in presets], indent=2, ensure_ascii=False))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("environment", "algorithm", "expected", "of policy", "source"):
        table.add_column(column, overflow="fold", justify="right" if column == "expected" else "left")
    for preset in presets:
        environment = "any other" if preset.environment == "*" else preset.environment
        expected = "" if preset.expected is None else plainly(preset.expected)
        table.add_row(environment, preset.algorithm, expected, preset.evaluation if expected else "", preset.source)
    console().print(table)
