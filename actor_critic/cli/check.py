"""`check`: test whether an environment works."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from actor_critic.cli.options import flags_layer, setting_options
from actor_critic.config import RANDOM_STATES, resolve
from actor_critic.errors import ConfigError, EnvironmentFault

if TYPE_CHECKING:
    from actor_critic.environments import Finding

_OF_RANDOM_STATES = ("input_dim", "output_dim", "reward_model", "reward_model_kwargs")
_STYLES = {"ok": "green", "warning": "yellow", "problem": "red"}


@click.command("check")
@click.argument("environment", metavar="ENV")
@setting_options("environment_kwargs", "wrappers", "observation_keys", "frame_stack", "max_episode_steps")
@setting_options(*_OF_RANDOM_STATES)
def command(environment: str, **flags: Any) -> int:
    """Test whether environment ENV works, and report its problems.

    The test covers spaces, numbers, seeds, episodes and speed. For a functional environment it also compares the Python
    and the compiled functions bit by bit. For random-states it compares the function of a FunctionalReward in the same
    way. Exit code 0: training is possible; 3: it is not.
    """
    from rich.text import Text

    from actor_critic.cli.notes import notes
    from actor_critic.cli.screen import console, printable, say
    from actor_critic.environments import EnvironmentMaker, check_environment, check_functions_of

    screen = console()
    settings = resolve(flags_layer({**flags, "environment": environment})).settings
    given = [name for name in _OF_RANDOM_STATES if flags[name] is not None]
    if given and not settings.is_random_states:
        raise ConfigError(f"{given[0]}: {flags[given[0]]} is checked with {RANDOM_STATES} only; leave it out")
    verdicts: list[str] = []

    def show(findings: "Iterator[Finding]") -> None:
        for finding in findings:
            verdicts.append(finding.verdict)
            line = Text.assemble((f"{finding.verdict:8}", _STYLES[finding.verdict]), printable(finding.text))
            screen.print(line, soft_wrap=not screen.is_terminal)

    with notes(screen):
        show(check_functions_of(settings))
    if settings.is_random_states and not verdicts:
        tried = "" if settings.reward_model == "linear" else "; only a run tries a reward model that is not compiled"
        say(screen, f"{environment} is built in and works with every setting of input_dim and output_dim{tried}")
        return 0
    if "problem" not in verdicts and not settings.is_random_states:
        show(check_environment(EnvironmentMaker(settings)))
    if "problem" in verdicts:
        raise EnvironmentFault(f"{environment} cannot be trained on; the problem is shown above")
    warned = " with the warnings above" if "warning" in verdicts else ""
    say(screen, f"{environment} can be trained on{warned}")
    return 0
