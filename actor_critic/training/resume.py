"""Resuming a run: its newest valid checkpoint, and checks of its settings, spaces and code."""

import contextlib
import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from actor_critic.agent import check_spaces, check_trust, trusted_settings
from actor_critic.backends import moved
from actor_critic.config import OLD_VALUES, Config, Passed, Settings, settings_from_document
from actor_critic.errors import CheckpointError, ConfigError
from actor_critic.evaluation import Evaluation
from actor_critic.process import begin_with
from actor_critic.storage import (
    Change,
    Checkpoint,
    RunFolder,
    check_is_run,
    different_versions,
    edited_settings,
    newest_sound,
    other_ends,
    read_changes,
    read_evaluation,
)
from actor_critic.training.changing import new_change
from actor_critic.training.code_digest import TYPED
from actor_critic.training.run_state import RunState

log = logging.getLogger("actor_critic")


Files = frozenset[tuple[str, int, int, int]]
"""Name, inode, size and time of change of each checkpoint in a folder."""


@dataclass(frozen=True)
class SavedRun:
    """A saved run to resume.

    Attributes:
        checkpoint: Its training state.
        settings: The settings to continue with.
        origin: The name of the checkpoint in errors.
        ends: New values of the settings that end the run.
        changes: What the program changed between epochs, up to this state.
    """

    checkpoint: Checkpoint
    settings: Settings
    origin: Path
    ends: dict[str, Any] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)

    def settings_to_begin_with(self) -> Settings:
        """Return the settings without sizes: the environment's spaces determine them, and are compared later."""
        if self.settings.is_random_states:
            return self.settings
        return self.settings.replace(input_dim=None, output_dim=None)


@dataclass(frozen=True)
class FoundRun:
    """The newest valid checkpoint of a run.

    Attributes:
        folder: The run folder.
        path: The checkpoint's file.
        checkpoint: Its content.
        passed_over: Why each newer checkpoint was skipped.
    """

    folder: Path
    path: Path
    checkpoint: Checkpoint
    passed_over: list[str]
    _files: Files

    def settings(self, trust_code: bool) -> Settings:
        """Return the run's settings; the rest of the checkpoint is checked on resume.

        Raises:
            ConfigError: The settings are incomplete or invalid.
            CheckpointError: The settings name code to import without ``trust_code``.
        """
        settings = settings_from_document(self.checkpoint.settings, self.path)
        check_trust(settings, self.path, trust_code)
        return settings

    def is_up_to_date(self) -> bool:
        """Whether the checkpoints in the folder are unchanged since they were read."""
        return self._files == _checkpoint_files(self.folder)


def find_run(folder: Path) -> FoundRun:
    """Find the newest valid checkpoint of a run; the folder is only read.

    Raises:
        ConfigError: The path is no run folder.
        CheckpointError: The folder cannot be read, or has no valid checkpoint.
    """
    check_is_run(folder)
    files = _checkpoint_files(folder)  # listed before they are read, to detect a change meanwhile
    return FoundRun(folder, *newest_sound(folder), files)


_OTHERWISE = {"device", "init_from"}
"""Settings that a run may continue without: it can move to another device, and has read its first weights."""

_FILLED_IN = {"input_dim", "output_dim"}
"""Settings that a run takes from its environment where the command leaves them open."""


def other_setting(found: FoundRun, settings: Settings) -> tuple[str, Any, Any] | None:
    """Return the first setting in which a saved run differs from a wanted one, with both values; None if none does."""
    saved = found.checkpoint.settings
    for name, wanted in settings.to_document().items():
        if name in _OTHERWISE or wanted == "auto" or (name in _FILLED_IN and wanted is None):
            continue
        if (before := saved.get(name, OLD_VALUES.get(name, wanted))) != wanted:
            return name, before, wanted
    return None


def names_no_other_code(found: FoundRun, settings: Settings) -> bool:
    """Return whether a saved run imports only code that wanted settings name too."""
    return set(found.settings(True).code_to_trust) <= set(settings.code_to_trust)


def saved_run(
    found: FoundRun,
    new: Config,
    *,
    device: str | None,
    passed: Passed,
    trust_code: bool,
    new_episodes: bool,
) -> SavedRun:
    """Return the run to resume: its newest valid checkpoint, and the settings to continue with.

    Args:
        found: The run.
        new: New values of the settings that end the run; None keeps the old ones.
        device: A new device; None keeps the old one.
        passed: The user's objects; others are imported by their names.
        trust_code: Whether code that its settings name as ``module:Class`` may be imported.
        new_episodes: Whether to replace the running episodes by new ones.

    Raises:
        ConfigError: The settings were edited, or the new length is not possible.
        CheckpointError: The settings name code to import without ``trust_code``.
    """
    folder, path, checkpoint = found.folder, found.path, found.checkpoint
    ends = ends_of(checkpoint, path, new)
    for why in found.passed_over:
        log.warning("skipped: %s", why)
    if edited := edited_settings(folder, checkpoint):
        raise ConfigError(
            f"{edited}; a run continues with the settings that it began with: put them back, or start a new run "
            f"with {begin_with(path)}"
        )
    for name, value in other_ends(folder, checkpoint).items():
        if name not in ends:
            log.warning(
                "%s says %s=%s, but the run continues with %s; to change its end, pass a flag to resume",
                folder / "settings.json",
                name,
                value,
                checkpoint.settings[name],
            )
    if differences := different_versions(checkpoint.versions, path):
        log.warning("%s", differences)
    settings = trusted_settings(checkpoint, path, passed, trust_code)
    _check_length(settings, checkpoint, path, ends.get("num_epochs"))
    settings = settings.replace(**ends)
    settings = moved(settings, device) if device else settings
    if new_episodes and settings.is_saved_whole:
        log.info("new episodes: not needed, because the checkpoint holds the whole state of the running ones")
    elif new_episodes:
        settings = settings.replace(replay="none")
    done = checkpoint.counters.get("epoch", 0)
    known = changes_of(folder, checkpoint, settings, trust_code)
    changes = [change for change in known if change.epoch <= done]
    if dropped := len(known) - len(changes):
        log.warning("%d changes after epoch %d are dropped; a loop that makes them makes them again", dropped, done)
    return SavedRun(checkpoint, settings, path, ends, changes)


def ends_of(checkpoint: Checkpoint, origin: Path, new: Config) -> dict[str, Any]:
    """Return new values of the settings that end a run, with its length in epochs.

    Raises:
        ConfigError: The length is set twice, or is less than one epoch.
    """
    ends = new.model_dump(exclude_none=True)
    if (steps := ends.pop("total_timesteps", None)) is None:
        return ends
    if "num_epochs" in ends:
        raise ConfigError("num_epochs and total_timesteps are two ways to say the same; keep one of them")
    batch_size = settings_from_document(checkpoint.settings, origin).batch_size
    if steps < batch_size:
        raise ConfigError(
            f"total_timesteps: {steps} is less than one epoch of batch_size={batch_size}; expected at least "
            f"{batch_size}"
        )
    return {**ends, "num_epochs": steps // batch_size}


def changes_of(folder: Path, checkpoint: Checkpoint, settings: Settings, trust_code: bool) -> list[Change]:
    """Return what the program changed in a run: from the run folder, or else from a checkpoint.

    The folder also has the changes after the epoch of the checkpoint.

    Args:
        folder: The run folder.
        checkpoint: One of its checkpoints.
        settings: Its settings, with the objects that the program passed.
        trust_code: Whether methods of the environment that the file names may be called, unless the program passed the
            environment.

    Raises:
        CheckpointError: ``changes.json`` is damaged or was edited, or names methods without trust.
    """
    path = folder / "changes.json"
    saved = [Change.from_document(entry) for entry in checkpoint.changes]
    found = read_changes(folder) or saved
    if [change for change in found if change.epoch < checkpoint.counters.get("epoch", 0)] != saved:
        raise CheckpointError(f"{path} has other changes than the checkpoint; put them back")
    made: list[Change] = []
    for change in found:
        try:
            made.append(new_change(settings, made, change.epoch, change.settings, change.environment))
        except ConfigError as error:
            raise CheckpointError(f"{path} is damaged: {error}") from None
    names = sorted({name for change in made for name in change.environment})
    if names and not trust_code and settings.environment not in settings.objects:
        raise CheckpointError(
            f"{path} names methods or attributes of the environment: {', '.join(names)}; add --trust-code (in Python: "
            f"trust_code=True, or pass the environment class itself) if you know and trust it"
        )
    return made


def record_ends(folder: RunFolder, saved: SavedRun, settings: Settings) -> None:
    """Write the settings of a resumed run, and a checkpoint if the settings of its end changed.

    Args:
        folder: The run folder.
        saved: The run as it was saved.
        settings: Of the resumed run.

    Raises:
        CheckpointError: The disk refused.
    """
    checkpoint = saved.checkpoint
    if not saved.ends.items() <= checkpoint.settings.items():
        # Otherwise a run that is killed before its next checkpoint would lose its new end.
        checkpoint = replace(checkpoint, settings=checkpoint.settings | saved.ends)
        folder.save(checkpoint, checkpoint.counters["epoch"], False, settings.keep_checkpoints)
    folder.write_settings(settings)


def restore(state: RunState, saved: SavedRun) -> None:
    """Restore the state of a saved run in a new run.

    Args:
        state: Of the new run, before its first epoch.
        saved: The saved run.

    Raises:
        CheckpointError: The checkpoint is no training state, or the environment's spaces or the user's code changed.
    """
    checkpoint, origin = saved.checkpoint, saved.origin
    try:
        check_spaces(checkpoint, (state.agent.observations, state.agent.actions))
    except CheckpointError as error:
        raise CheckpointError(f"{origin} does not fit {saved.settings.environment}: {error}") from None
    _check_code(state, checkpoint, origin)
    devices = checkpoint.settings["device"], state.agent.settings.device
    if devices[0].partition(":")[0] != devices[1].partition(":")[0]:
        log.warning(
            "%s was trained on %s, and the run continues on %s; sums are rounded otherwise, so the bits differ",
            origin,
            *devices,
        )
    before, now = int(checkpoint.records.get("ranks") or 1), state.ranks.size
    if before != now:
        log.warning(
            "%s was written by %d rank(s), and the run continues on %d; sums are rounded otherwise, so the bits differ",
            origin,
            before,
            now,
        )
    try:
        state.restore(state.own_part_of(checkpoint))
    except KeyError as error:
        raise CheckpointError(f"{origin} is an agent, not a training state: it lacks {error}") from None
    state.counters.restore_records(checkpoint)
    state.set_changes(saved.changes)


def kept_evaluation(folder: Path, epoch: int) -> Evaluation | None:
    """Return the evaluation after an epoch from a run folder; None if there is none."""
    document = read_evaluation(folder) or {}
    if document.get("epoch") == epoch:
        with contextlib.suppress(LookupError, TypeError, ValueError):  # edited, or cut short
            return Evaluation.from_document(document)
    return None


def _checkpoint_files(folder: Path) -> Files:
    found = set()
    for path in folder.glob("*.safetensors"):
        with contextlib.suppress(OSError):  # just replaced, or not readable: its content is unknown
            status = path.stat()
            found.add((path.name, status.st_ino, status.st_size, status.st_mtime_ns))
    return frozenset(found)


def _check_length(settings: Settings, checkpoint: Checkpoint, origin: Path, num_epochs: int | None) -> None:
    """Check that the length of a run may change.

    Args:
        settings: Of the run.
        checkpoint: The checkpoint to resume.
        origin: The name of the checkpoint in errors.
        num_epochs: The new length, in epochs from the start of the run; None keeps the old value.

    Raises:
        ConfigError: The run is annealed over its length, or is already longer than the new length.
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
    """Check that the user's code is unchanged since training.

    Raises:
        CheckpointError: It has changed.
    """
    settings = state.agent.settings
    for key in state.compare_code(checkpoint.code):
        before, now = checkpoint.code.get(key), state.code.get(key)
        setting, _, index = key.partition(".")
        name = settings.wrapper_names[int(index)] if index else getattr(settings, setting, setting)
        if before is None and now is not None and (index or now.startswith(TYPED)):  # written by an older version
            log.warning("%s: it is unknown whether this code has changed since %s was written", name, origin)
            continue
        kind = "code" if (before or "").startswith(TYPED) else "file"
        raise CheckpointError(
            f"{origin} was trained with another version of {name}: its {kind} has changed since, and the run would "
            f"not be the one that was stopped; start a new run with {begin_with(origin)}"
        )
