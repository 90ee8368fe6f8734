"""`evaluate`: the returns of a trained policy."""

import contextlib
import json
import sys

import click

from actor_critic.cli.options import flags_layer
from actor_critic.cli.places import as_typed
from actor_critic.cli.screen import console, only_a_document


@click.command("evaluate")
@click.argument("path", metavar="RUN_OR_CHECKPOINT")
@click.option("--episodes", type=click.IntRange(1), help="Episodes per mode. Default: the run's evaluation_episodes.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Seed of the episodes. Default: the run's seed.")
@click.option("--environment", metavar="ID", help="Another environment with the same spaces, as in the settings.")
@click.option(
    "--environment-kwargs",
    metavar="JSON",
    help="Other keyword arguments of the environment, such as its difficulty. Without --environment, arguments that "
    "are left out keep the run's values.",
)
@click.option("--wrappers", metavar="LIST", help="Other wrappers, as in the settings.")
@click.option("--device", default="auto", show_default=True, help='"auto", "cpu", "cuda" or "cuda:N".')
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--trust-code", is_flag=True, help="Import the code that the checkpoint's settings name as module:Class.")
def command(
    path: str,
    episodes: int | None,
    seed: int | None,
    device: str,
    as_json: bool,
    trust_code: bool,
    **others: str | None,
) -> None:
    """Evaluate the policy of RUN_OR_CHECKPOINT on new episodes, with greedy and with sampled actions.

    For a run folder, the last checkpoint is used. The episodes differ from those of training and of choosing the best
    checkpoint.
    """
    with contextlib.ExitStack() as stack:
        document = stack.enter_context(only_a_document()) if as_json else None
        from actor_critic.agent import ActorCriticAgent, check_trust
        from actor_critic.backends import choose_device
        from actor_critic.cli.console import print_evaluation
        from actor_critic.cli.notes import notes
        from actor_critic.cli.running import existing
        from actor_critic.config import settings_from_document
        from actor_critic.evaluation import evaluate
        from actor_critic.storage import find_checkpoint

        screen = console(sys.stderr if as_json else None)
        stack.enter_context(notes(screen))
        choose_device(device)
        other = flags_layer(others).config
        file, checkpoint = find_checkpoint(existing(path))
        check_trust(settings_from_document(checkpoint.settings, file), file, trust_code)
        agent = ActorCriticAgent.from_checkpoint(checkpoint, file, device, trust_code=True)
        evaluation = evaluate(
            agent,
            episodes=episodes,
            seed=seed,
            environment=other.environment,
            environment_kwargs=other.environment_kwargs,
            wrappers=other.wrappers,
        )
        name = as_typed(file)
        if document is not None:
            found = {"checkpoint": str(name), "digest": checkpoint.digest, **evaluation.to_document()}
            document.append(json.dumps(found, indent=2))
        else:
            print_evaluation(screen, evaluation, f"{name}, {evaluation.episodes} episodes each")
