"""`train --launcher ray`: one run on several processes of a Ray cluster."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console

from actor_critic.cli.console import print_settings
from actor_critic.cli.continuing import check_is_same, place_of_run, set_aside
from actor_critic.cli.launcher import Launcher
from actor_critic.cli.leaving import noted_signals
from actor_critic.cli.notes import log, notes
from actor_critic.cli.places import absolute, as_typed
from actor_critic.cli.running import Ended, print_closing_words
from actor_critic.cli.screen import say, say_as_is
from actor_critic.config import Resolution
from actor_critic.errors import ActorCriticError, CheckpointError
from actor_critic.launching import LogLine, RayRun, connect
from actor_critic.process import resume_command
from actor_critic.report import live_view
from actor_critic.runs import Run
from actor_critic.storage import RunFolder, find_checkpoint
from actor_critic.training import EpochReport, kept_evaluation


def train_on_ray(
    resolution: Resolution,
    screen: Console,
    begin: Callable[[], list[str]],
    is_verbose: bool,
    run_folder: str | None,
    launcher: Launcher,
) -> int:
    """Train a run on a Ray cluster, and bring its folder to this machine.

    Args:
        resolution: The settings and their sources.
        screen: The console.
        begin: Called when the cluster has room for the run; returns messages to print first.
        is_verbose: Whether to print defaults as well.
        run_folder: The folder of the run, which continues a run that it holds; None for a new one.
        launcher: The cluster, the ranks and the storage.

    Returns:
        The exit code.

    Raises:
        ActorCriticError: The run cannot be set up, or failed.
    """
    settings = resolution.settings
    path, found = place_of_run(run_folder)
    if found:
        check_is_same(found, settings)
    with contextlib.ExitStack() as stack:
        heard = stack.enter_context(notes(screen))
        if found:
            stack.callback(RunFolder(path).close)  # nothing else continues the run meanwhile
        say(screen, "connecting to the Ray cluster")
        cluster = stack.enter_context(connect(launcher.address))
        run = RayRun(
            cluster,
            settings,
            1 if launcher.ranks is None else launcher.ranks,
            path,
            absolute(""),
            storage=stack.enter_context(_storage(launcher.storage)),
            max_failures=launcher.restarts,
        )
        stack.enter_context(heard.log_to(absolute(settings.log_file)))
        for remark in begin():
            say(screen, remark)
            log.info(remark)
        if not found and (note := set_aside(path)):
            say(screen, note)
            log.info(note)
        if found:
            say(screen, f"continuing {as_typed(path)} after epoch {found.checkpoint.counters.get('epoch', 0)}")
        received = stack.enter_context(noted_signals(screen, run.stop))
        try:
            _show(run, screen, resolution, is_verbose, path)
        except ActorCriticError:
            _say_how_to_continue(screen, path, bool(settings.code_to_trust))
            raise
        ended = Run.open(path, trust_code=True)
        _, checkpoint = find_checkpoint(path)
        evaluation = kept_evaluation(path, checkpoint.counters["epoch"])
        print_closing_words(Ended(path, ended.settings, ended.agent, ended.epochs, evaluation, run.stop_reason), screen)
    return 128 + received[0] if received else 0


@contextlib.contextmanager
def _storage(wanted: str | None) -> Iterator[str]:
    """Return the storage as a path or URL: what the user names, or a temporary folder of this machine."""
    if wanted is not None:
        yield wanted if "://" in wanted else str(absolute(wanted))
        return
    with tempfile.TemporaryDirectory(prefix="actor_critic_storage_", ignore_cleanup_errors=True) as folder:
        yield folder


def _show(run: RayRun, screen: Console, resolution: Resolution, is_verbose: bool, path: Path) -> None:
    """Show what happens until the run has ended."""
    with contextlib.ExitStack() as stack:
        view = None
        for event in run.events():
            if isinstance(event, LogLine):
                log.log(event.level, "%s", event.text)
            elif isinstance(event, EpochReport):
                assert view is not None
                view.show(event)
            elif view is None:
                print_settings(screen, event.settings, resolution.sources, is_verbose)
                say_as_is(screen, f"run folder {as_typed(path)}")
                view = stack.enter_context(live_view(event.settings, event.epoch, screen))
            else:
                log.warning("a process or machine was lost; the run continues after epoch %d", event.epoch)


def _say_how_to_continue(screen: Console, path: Path, needs_trust: bool) -> None:
    with contextlib.suppress(CheckpointError, ActorCriticError):
        _, checkpoint = find_checkpoint(path)
        say_as_is(screen, f"kept in {as_typed(path)} up to epoch {checkpoint.counters['epoch']}")
        say_as_is(screen, f"continue with: {resume_command(as_typed(path), needs_trust)}")
