"""`verify`: check that a run can be reproduced from its settings."""

import click

from actor_critic.cli.loading import importing


@click.command("verify")
@click.argument("run", metavar="RUN")
@click.option(
    "--from-epoch",
    type=click.IntRange(0),
    help="Start from the checkpoint of this epoch; 0 starts from the settings. Default: the last useful checkpoint.",
)
@click.option("--trust-code", is_flag=True, help="Import the code that the run's settings name as module:Class.")
def command(run: str, from_epoch: int | None, trust_code: bool) -> None:
    """Recompute a part of the run in folder RUN, and compare the digests with those that it stored.

    Nothing in the folder changes. If an epoch differs, the error names it, and the exit code is 6.
    """
    with importing():
        from actor_critic.cli.notes import notes
        from actor_critic.cli.running import existing
        from actor_critic.cli.screen import console, say
        from actor_critic.training import verify

    screen = console()
    with notes(screen) as heard:
        heard.show_warnings_only()
        found = verify(existing(run), from_epoch=from_epoch, trust_code=trust_code)
    digests = "1 digest, the same" if found.compared == 1 else f"{found.compared} digests, all the same"
    say(screen, f"recomputed from epoch {found.first} to {found.last}: {digests}")
