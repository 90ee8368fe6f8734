"""`check`: test whether an environment works."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from actor_critic.cli.options import flags_layer, setting_options
from actor_critic.config import RANDOM_STATES, resolve
from actor_critic.errors import EnvironmentFault

if TYPE_CHECKING:
    from actor_critic.environments import Finding

_STYLES = {"ok": "green", "warning": "yellow", "problem": "red"}


@click.command("check")
@click.argument("environment", metavar="ENV")
@setting_options("environment_kwargs", "wrappers", "observation_keys", "frame_stack", "max_episode_steps")
def command(environment: str, **flags: Any) -> int:
    """Test whether environment ENV works, and report its problems.

    The test covers spaces, numbers, seeds, episodes and speed. For a functional environment it also compares the Python
    and the compiled functions bit by bit. Exit code 0: training is possible; 3: it is not.
    """
    from rich.text import Text

    from actor_critic.cli.notes import notes
    from actor_critic.cli.screen import console, printable, say
    from actor_critic.environments import EnvironmentMaker, check_environment, check_functions_of

    screen = console()
    if environment == RANDOM_STATES:
        say(screen, f"{environment} is built in and works with every setting of input_dim and output_dim")
        return 0
    settings = resolve(flags_layer({**flags, "environment": environment})).settings
    verdicts: list[str] = []

    def show(findings: "Iterator[Finding]") -> None:
        for finding in findings:
            verdicts.append(finding.verdict)
            line = Text.assemble((f"{finding.verdict:8}", _STYLES[finding.verdict]), printable(finding.text))
            screen.print(line, soft_wrap=not screen.is_terminal)

    with notes(screen):
        show(check_functions_of(settings))
    if "problem" not in verdicts:
        show(check_environment(EnvironmentMaker(settings)))
    if "problem" in verdicts:
        raise EnvironmentFault(f"{environment} cannot be trained on; the problem is shown above")
    warned = " with the warnings above" if "warning" in verdicts else ""
    say(screen, f"{environment} can be trained on{warned}")
    return 0
