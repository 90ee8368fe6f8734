"""How a run is taken up: its newest sound checkpoint, its settings and ends, its spaces and code."""

import contextlib
import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from actor_critic.agent import check_spaces, check_trust, trusted_settings
from actor_critic.config import Settings, settings_from_document
from actor_critic.errors import CheckpointError, ConfigError
from actor_critic.evaluation import Evaluation
from actor_critic.networks import EncoderMaker
from actor_critic.process import begin_with
from actor_critic.storage import (
    Checkpoint,
    RunFolder,
    check_is_run,
    different_versions,
    edited_settings,
    newest_sound,
    other_ends,
)
from actor_critic.training.code_digest import TYPED
from actor_critic.training.run_state import RunState

log = logging.getLogger("actor_critic")


Files = frozenset[tuple[str, int, int, int]]
"""Name, inode, size and time of change of each checkpoint in a folder."""


@dataclass(frozen=True)
class SavedRun:
    """A run to go on with.

    Attributes:
        checkpoint: Its training state.
        settings: The settings to go on with.
        origin: The name of the checkpoint in an error.
        ends: The settings of its end that the user gave anew.
    """

    checkpoint: Checkpoint
    settings: Settings
    origin: Path
    ends: dict[str, Any] = field(default_factory=dict)

    def settings_to_begin_with(self) -> Settings:
        """Return the settings with the sizes open: the environment's spaces tell more, and are compared."""
        if self.settings.is_random_states:
            return self.settings
        return self.settings.replace(input_dim=None, output_dim=None)


@dataclass(frozen=True)
class FoundRun:
    """The newest sound checkpoint of a run.

    Attributes:
        folder: The run folder.
        path: The checkpoint's file.
        checkpoint: Its content.
        passed_over: Why each newer checkpoint was passed over.
    """

    folder: Path
    path: Path
    checkpoint: Checkpoint
    passed_over: list[str]
    _files: Files

    def settings(self, trust_code: bool) -> Settings:
        """Return the run's settings; what else the checkpoint holds is checked when the run is taken up.

        Raises:
            ConfigError: They are not complete and valid.
            CheckpointError: They name code to import without ``trust_code``.
        """
        settings = settings_from_document(self.checkpoint.settings, self.path)
        check_trust(settings, self.path, trust_code, has_encoder=False)
        return settings

    def is_up_to_date(self) -> bool:
        """Whether no checkpoint of the folder has changed since it was read."""
        return self._files == _checkpoint_files(self.folder)


def find_run(folder: Path) -> FoundRun:
    """Find the newest sound checkpoint of a run; the folder is only read.

    Raises:
        ConfigError: It is no run folder.
        CheckpointError: It cannot be read, or holds no sound checkpoint.
    """
    check_is_run(folder)
    files = _checkpoint_files(folder)  # before they are read: what changes meanwhile is noticed
    return FoundRun(folder, *newest_sound(folder), files)


def saved_run(
    found: FoundRun,
    ends: dict[str, Any],
    *,
    device: str | None,
    encoder: EncoderMaker | None,
    trust_code: bool,
    new_episodes: bool,
) -> SavedRun:
    """Return the run to go on with: its newest sound checkpoint, and the settings to go on with.

    Args:
        found: The run.
        ends: New values of ``num_epochs``, ``target_return`` and ``max_hours``; what is missing stays as it was.
        device: Another device; None keeps the old one.
        encoder: The module class that encodes observations, where it is not to be imported by its name.
        trust_code: Whether code that its settings name as ``module:Class`` may be imported.
        new_episodes: Whether to replace the running episodes by new ones.

    Raises:
        ConfigError: Its settings were edited, or the new length contradicts the run.
        CheckpointError: It names code to import without ``trust_code``.
    """
    folder, path, checkpoint = found.folder, found.path, found.checkpoint
    for why in found.passed_over:
        log.warning("passed over: %s", why)
    if edited := edited_settings(folder, checkpoint):
        raise ConfigError(
            f"{edited}; a run goes on with the settings that it began with: put them back, or start a new run "
            f"with {begin_with(path)}"
        )
    for name, value in other_ends(folder, checkpoint).items():
        if name not in ends:
            log.warning(
                "%s says %s=%s, and the run goes on with %s; another end is said to resume",
                folder / "settings.json",
                name,
                value,
                checkpoint.settings[name],
            )
    if differences := different_versions(checkpoint.versions, path):
        log.warning("%s", differences)
    settings = trusted_settings(checkpoint, path, encoder, trust_code)
    _check_length(settings, checkpoint, path, ends.get("num_epochs"))
    settings = settings.replace(**ends)
    settings = settings.replace(device=device or settings.device)
    if new_episodes and not settings.is_random_states:
        settings = settings.replace(replay="none")
    return SavedRun(checkpoint, settings, path, ends)


def record_ends(folder: RunFolder, saved: SavedRun, settings: Settings) -> None:
    """Write the settings of a run that is taken up, and a checkpoint with its new ends if they changed.

    Args:
        folder: The run folder.
        saved: The run as it was saved.
        settings: Of the run that is set up.

    Raises:
        CheckpointError: The disk refused.
    """
    checkpoint = saved.checkpoint
    if not saved.ends.items() <= checkpoint.settings.items():
        # Else a run that is killed before its next checkpoint would not know where it was to end.
        checkpoint = replace(checkpoint, settings=checkpoint.settings | saved.ends)
        folder.save(checkpoint, checkpoint.counters["epoch"], False, settings.keep_checkpoints)
    folder.write_settings(settings)


def restore(state: RunState, saved: SavedRun) -> None:
    """Put a new run at the point where a saved one stood.

    Args:
        state: Of the new run, before its first epoch.
        saved: The saved run.

    Raises:
        CheckpointError: It is no training state, or the environment's spaces or the user's code have changed since.
    """
    checkpoint, origin = saved.checkpoint, saved.origin
    try:
        check_spaces(checkpoint, (state.agent.observations, state.agent.actions))
    except CheckpointError as error:
        raise CheckpointError(f"{origin} does not fit {saved.settings.environment}: {error}") from None
    _check_code(state, checkpoint, origin)
    try:
        state.restore(checkpoint)
    except KeyError as error:
        raise CheckpointError(f"{origin} is an agent, not a training state: it lacks {error}") from None
    state.counters.restore_records(checkpoint)


def kept_evaluation(folder: RunFolder, epoch: int) -> Evaluation | None:
    """Return the evaluation of the weights after an epoch that a run folder holds; None if it holds none."""
    document = folder.read_evaluation() or {}
    if document.get("epoch") == epoch:
        with contextlib.suppress(LookupError, TypeError, ValueError):  # edited, or cut short
            return Evaluation.from_document(document)
    return None


def _checkpoint_files(folder: Path) -> Files:
    found = set()
    for path in folder.glob("*.safetensors"):
        with contextlib.suppress(OSError):  # it has just been replaced, or cannot be read: then no content is known
            status = path.stat()
            found.add((path.name, status.st_ino, status.st_size, status.st_mtime_ns))
    return frozenset(found)


def _check_length(settings: Settings, checkpoint: Checkpoint, origin: Path, num_epochs: int | None) -> None:
    """Check that a run may have another length.

    Args:
        settings: Of the run.
        checkpoint: That it goes on from.
        origin: The name of the checkpoint in an error.
        num_epochs: The new length, in epochs from the run's beginning; None keeps the old one.

    Raises:
        ConfigError: Its coefficients depend on its length, or it is past the new one.
    """
    if num_epochs is None or num_epochs == settings.num_epochs:
        return
    if settings.is_annealed:
        raise ConfigError(
            f"num_epochs: {num_epochs} would change this run, which is annealed over {settings.num_epochs} epochs; "
            f"start a new run with {begin_with(origin)}"
        )
    if num_epochs < (done := checkpoint.counters.get("epoch", 0)):
        raise ConfigError(
            f"num_epochs: {num_epochs} is less than the {done} epochs that are done; expected at least that"
        )


def _check_code(state: RunState, checkpoint: Checkpoint, origin: Path) -> None:
    """Check that the user's own code is what the run was trained with.

    Raises:
        CheckpointError: It has changed.
    """
    settings = state.agent.settings
    for name in checkpoint.code.keys() | state.code.keys():
        before, now = checkpoint.code.get(name), state.code.get(name)
        if before is None and now is not None and now.startswith(TYPED):
            log.warning("%s: whether it is still that of %s cannot be told", getattr(settings, name), origin)
        elif before != now:
            what = "code" if (before or "").startswith(TYPED) else "file"
            raise CheckpointError(
                f"{origin} was trained with another version of {getattr(settings, name, name)}: its {what} "
                f"has changed since, and the run would not be the one that was stopped; start a new run with "
                f"{begin_with(origin)}"
            )
