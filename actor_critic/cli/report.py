"""`report`: a page that explains a run, or compares several."""

import click


@click.command("report")
@click.argument("paths", metavar="RUN_OR_SEEDS...", nargs=-1, required=True)
@click.option("--output", metavar="FILE", help="The page. Default: report.html in the folder, or here for several.")
@click.option("--episode/--no-episode", default=True, show_default=True, help="Record an episode of the first run.")
@click.option(
    "--features",
    type=(int, int),
    metavar="I J",
    help="Random states: the features of the picture of the policy. Default: those that change it most.",
)
@click.option("--trust-code", is_flag=True, help="Import the code that the run's settings name as module:Class.")
def command(
    paths: tuple[str, ...],
    output: str | None,
    episode: bool,
    features: tuple[int, int] | None,
    trust_code: bool,
) -> None:
    """Write a page with charts, findings in words and what was run. It opens from the disk and needs no network.

    Each path is a run folder, or a folder of train --seeds. The page of one path may be of a run that is not over, and
    says so. Several paths are compared by the scores of their seeds, as compare does.
    """
    from actor_critic.cli.notes import notes
    from actor_critic.cli.pages import page_path, parts_of
    from actor_critic.cli.places import absolute, as_typed
    from actor_critic.cli.screen import console, say, say_as_is
    from actor_critic.report import PAGE, group_names, read_group, write_page

    screen = console()
    with notes(screen):
        groups = [read_group(absolute(path), name) for path, name in zip(paths, group_names(paths), strict=True)]
        file = page_path(output or (f"{paths[0]}/{PAGE}" if len(paths) == 1 else PAGE))
        parts, missing = parts_of(groups[0], episode, features, trust_code)
        write_page(file, groups, **parts)
        for line in missing:
            say(screen, line)
        say_as_is(screen, f"page: {as_typed(file)}")
