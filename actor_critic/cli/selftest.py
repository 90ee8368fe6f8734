"""`selftest`: train on small problems with known solutions, and compare."""

import contextlib
import importlib.util
import time
from typing import Any

import click

from actor_critic.cli.loading import importing
from actor_critic.cli.options import SettingsCommand, flags_layer, setting_options
from actor_critic.config import OUTSIDE_LEARNING, Config
from actor_critic.errors import SelftestError


@click.command("selftest", cls=SettingsCommand)
@setting_options(*(name for name in Config.model_fields if name not in OUTSIDE_LEARNING))
def command(**flags: Any) -> int:
    """Train on probes, problems so small that the exact solution is known, and compare what was learned with it.

    Each probe needs one ability, so a failure names the part to suspect. Use it after a change of the package, or to
    test an encoder or a reward model of your own. Flags override the settings of the selftest, which are chosen for a
    second or two per probe. Exit code 0: every probe is solved; 7: some are not.
    """
    given = flags_layer(flags)
    with importing():
        from actor_critic.cli.notes import notes
        from actor_critic.cli.screen import console, printable, say
        from actor_critic.probing import PROBES, probe_results

    screen, started = console(), time.perf_counter()
    results = []
    with contextlib.ExitStack() as stack:
        stack.enter_context(notes(screen)).show_warnings_only()
        if importlib.util.find_spec("numba"):
            from actor_critic.compiling import when_compiling

            stack.enter_context(when_compiling(lambda: say(screen, "compiling: this takes up to a minute")))
        for result in probe_results(given):
            results.append(result)
            verdict, style = ("pass", "green") if result.passed else ("FAIL", "red")
            line = f"{result.probe.environment:25}{printable(result.describe())}"
            screen.print(f"[{style}]{verdict}[/]  ", end="")
            screen.print(line, soft_wrap=True, highlight=False, markup=False)
    if failed := [result.probe for result in results if not result.passed]:
        raise SelftestError(
            f"{len(failed)} of {len(results)} probes failed; begin with the first, {failed[0].environment}, because "
            f"later ones need what it tests"
        )
    left_out = "" if len(results) == len(PROBES) else "; those that need memory were left out"
    say(screen, f"{len(results)} probes passed in {time.perf_counter() - started:.1f} seconds{left_out}")
    return 0
