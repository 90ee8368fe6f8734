"""Verification of a run: recompute some of its epochs and compare their digests."""

import contextlib
import csv
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

from actor_critic.agent import check_spaces, trusted_settings
from actor_critic.config import Passed, PassedObjects, Settings
from actor_critic.errors import CheckpointError, ConfigError, VerificationError
from actor_critic.ranks import size
from actor_critic.storage import (
    Checkpoint,
    check_is_run,
    checkpoints,
    different_versions,
    edited_settings,
    is_epoch,
    newest_sound,
    periodic,
)
from actor_critic.training.resume import changes_of
from actor_critic.training.trainer import Trainer

log = logging.getLogger("actor_critic")


@dataclass(frozen=True)
class Verification:
    """The epochs that were recomputed with the same digests.

    Attributes:
        first: The epoch after which recomputing began; 0 is the start of the run.
        last: The last epoch that was compared.
        compared: The number of digests that were compared.
    """

    first: int
    last: int
    compared: int


def verify(
    run_folder: str | Path,
    *,
    from_epoch: int | None = None,
    trust_code: bool = False,
    **objects: Unpack[PassedObjects],
) -> Verification:
    """Recompute a part of a run, and compare the digests with those that the run stored.

    The run folder is only read, so a run can be verified while it trains.

    Args:
        run_folder: The folder of the run.
        from_epoch: The epoch of the checkpoint to start from; 0 starts from the settings alone. None takes the newest
            checkpoint with a later digest to compare.
        trust_code: Whether code that the run's settings name as ``module:Class`` may be imported.
        objects: As for :meth:`Trainer.resume`.

    Raises:
        VerificationError: A digest differs, or ``settings.json`` was edited.
        ConfigError: The path is no run folder, or the run has no such checkpoint or no digest to compare.
        CheckpointError: The folder cannot be read, has no valid checkpoint, or names code to import without
            ``trust_code``.
        EnvironmentFault: The environment failed, or does not replay its episodes.
    """
    folder = Path(run_folder)
    evidence = _evidence(folder)
    known = evidence.digests
    first = max(evidence.kept, default=0) if from_epoch is None else from_epoch
    expected = {epoch: digest for epoch, digest in known.items() if epoch > first}
    if not expected:
        since = "" if evidence.left is None else f" and before new episodes were begun, after epoch {evidence.left:.0f}"
        raise ConfigError(f"{folder} kept no digest after epoch {first}{since}; there is nothing to compare")
    if first not in {0, *evidence.kept}:
        choices = "".join(f", {epoch}" for epoch in sorted(evidence.kept))
        raise ConfigError(f"--from-epoch: {folder} keeps no checkpoint of epoch {first}; expected 0{choices}")
    origin, checkpoint = evidence.newest, evidence.checkpoint
    if first:
        origin = evidence.kept[first]
        checkpoint = checkpoints.load(origin)
    settings = trusted_settings(checkpoint, origin, Passed.of(objects), trust_code)
    last = max(expected)
    # The run must reach the last digest. Its length only matters for the bits if something is annealed.
    changes = changes_of(folder, evidence.checkpoint, settings, trust_code)
    settings = settings.replace(max_hours=None, target_return=None, logger=[])
    settings = settings if settings.is_annealed else settings.replace(num_epochs=last)
    if first:
        trainer = Trainer.from_state(checkpoint, settings, origin, changes)
    else:
        trainer = _from_the_beginning(checkpoint, settings, origin)
        trainer.repeat(changes)
    _compare(trainer, expected, folder, first)
    return Verification(first, last, sum(epoch > first for epoch in known))


@dataclass(frozen=True)
class _Evidence:
    """The digests and checkpoints that a run stored.

    Attributes:
        digests: The digests by epoch.
        kept: The checkpoints to start from, by epoch.
        left: The epoch after which new episodes replaced the running ones; None if this never happened.
        newest: The checkpoint whose settings are used.
        checkpoint: Its content.
    """

    digests: dict[int, str]
    kept: dict[int, Path]
    left: float | None
    newest: Path
    checkpoint: Checkpoint


def _evidence(folder: Path) -> _Evidence:
    """Read the digests and checkpoints of a run that can be recomputed."""
    known, kept = _witnesses(folder)
    newest, checkpoint, _ = newest_sound(folder)
    if edited := edited_settings(folder, checkpoint):
        raise VerificationError(edited)
    left = checkpoint.records.get("new_episodes_after")
    if left is not None:  # later epochs cannot be recomputed; earlier ones used the settings of that time
        known = {epoch: digest for epoch, digest in known.items() if epoch <= left}
        kept = {epoch: path for epoch, path in kept.items() if epoch <= left}
        if not kept:
            raise ConfigError(
                f"{folder} has no checkpoint up to epoch {left:.0f}, after which new episodes replaced the running "
                f"ones; the earlier settings are unknown, so there is nothing to compare"
            )
        newest = min(kept.items())[1]
        checkpoint = checkpoints.load(newest)
    if differences := different_versions(checkpoint.versions, newest):
        log.warning("%s", differences)
    before, now = int(checkpoint.records.get("ranks") or 1), size()
    if before != now:
        raise ConfigError(
            f"{folder} was trained on {before} rank(s), and here are {now}; the bits depend on the number: start "
            f"verify with torchrun --nproc-per-node {before} -m actor_critic, or without torchrun for one"
        )
    is_exact = checkpoint.settings.get("replay") != "none"
    kept = {epoch: path for epoch, path in kept.items() if is_exact and epoch < max(known, default=0)}
    return _Evidence(known, kept, left, newest, checkpoint)


def _from_the_beginning(checkpoint: Checkpoint, settings: Settings, origin: Path) -> Trainer:
    """Return the run at its start, and check its spaces against those of its checkpoint."""
    begin = settings if settings.is_random_states else settings.replace(input_dim=None, output_dim=None)
    trainer = Trainer(begin)
    try:
        check_spaces(checkpoint, (trainer.agent.observations, trainer.agent.actions))
    except CheckpointError as error:
        trainer.close()
        raise CheckpointError(f"{origin} does not fit {settings.environment}: {error}") from None
    trainer.compare_code(checkpoint)
    return trainer


def _compare(trainer: Trainer, expected: dict[int, str], folder: Path, first: int) -> None:
    """Train, and compare the digest of each epoch with the expected one.

    Raises:
        VerificationError: A digest differs, or an epoch was not reached.
    """
    last = max(expected)
    for report in trainer:
        digest = expected.pop(report.epoch, None)
        if digest is not None and trainer.digest != digest:
            raise VerificationError(
                f"{folder}: epoch {report.epoch}, recomputed from epoch {first}, has the digest "
                f"{trainer.digest[:16]}…, and the run kept {digest[:16]}…: it was computed with other settings, "
                f"code, libraries, threads or another kind of processor"
            )
        if report.epoch == last:
            break
    if expected:
        raise VerificationError(
            f"{folder} kept a digest of epoch {max(expected)}, but its settings end the run earlier"
        )


def _witnesses(folder: Path) -> tuple[dict[int, str], dict[int, Path]]:
    """Return the digests in the metrics and valid checkpoints of a run, and these checkpoints, by epoch."""
    check_is_run(folder)
    known: dict[int, str] = {}
    kept: dict[int, Path] = {}
    metrics = folder / "metrics.csv"
    if metrics.is_file():
        with contextlib.suppress(csv.Error), open(metrics, newline="", encoding="utf-8", errors="replace") as stream:
            for row in csv.DictReader(stream):
                if is_epoch(row.get("epoch") or "") and len(row.get("digest") or "") == 64:
                    known[int(row["epoch"])] = row["digest"]
    for epoch, path in periodic(folder):
        try:
            known[epoch] = checkpoints.load(path).digest
        except CheckpointError:
            continue  # a damaged checkpoint is ignored
        kept[epoch] = path
    return known, kept
