"""Whether a checkpoint may be taken up: it names no code without trust, and holds what its settings ask for."""

import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from actor_critic.config import Settings, settings_from_document
from actor_critic.errors import CheckpointError, ConfigError
from actor_critic.imports import require_trust
from actor_critic.networks import EncoderMaker, make_networks
from actor_critic.process import begin_with
from actor_critic.spaces import ActionSpec, ObservationSpec, Spec, spec_mismatch
from actor_critic.storage import Checkpoint, different_versions, runs

log = logging.getLogger("actor_critic")

_OWN = ("policy.", "value.", "optimizer.", "observation_normalizer.", "reward_normalizer.")


def newest_state(
    folder: Path, ends: dict[str, Any], encoder: EncoderMaker | None, trust_code: bool
) -> tuple[Path, Checkpoint, Settings]:
    """What a run goes on from: its newest sound checkpoint.

    Args:
        folder: The run folder.
        ends: Other settings of its end than it began with: ``num_epochs``, ``target_return``, ``max_hours``.
        encoder: The module class that encodes observations, where it is not to be imported by its name.
        trust_code: Whether code that its settings name as ``module:Class`` may be imported.

    Returns:
        Where it lies, the checkpoint, and the settings to go on with.

    Raises:
        ConfigError: It is no run folder, its settings were edited, or the new length contradicts the run.
        CheckpointError: It holds no sound checkpoint, or names code to import without ``trust_code``.
    """
    path, checkpoint, passed_over = runs.newest_sound(folder)
    for why in passed_over:
        log.warning("passed over: %s", why)
    if edited := runs.edited_settings(folder, checkpoint):
        raise ConfigError(
            f"{edited}; a run goes on with the settings that it began with: put them back, or start a new run "
            f"with {begin_with(path)}"
        )
    for name, said in runs.other_ends(folder, checkpoint).items():
        if name not in ends:
            known = checkpoint.settings[name]
            log.warning(
                "%s says %s=%s, and the run goes on with %s; another end is said to resume",
                folder / "settings.json",
                name,
                said,
                known,
            )
    if differences := different_versions(checkpoint.versions, path):
        log.warning("%s", differences)
    settings = trusted_settings(checkpoint, path, encoder, trust_code)
    check_ends(settings, checkpoint, path, ends.get("num_epochs"))
    return path, checkpoint, settings.replace(**ends)


def weights_to_begin_with(path: Path, settings: Settings, spaces: Spec) -> tuple[Path, Checkpoint]:
    """The checkpoint whose weights a new run begins with.

    Args:
        path: A checkpoint, or a run folder.
        settings: Of the new run.
        spaces: Of its environment.

    Returns:
        The file, in full and of one moment: the run can be computed again from it. And the checkpoint.

    Raises:
        CheckpointError: There is none, or its networks or spaces are others.
    """
    source, checkpoint = runs.find_checkpoint(path)
    check_spaces(checkpoint, spaces)
    for name in ("activation", "encoder", "memory", "shared_encoder", "normalize_observations"):
        theirs, ours = checkpoint.settings.get(name), settings.to_document()[name]
        if theirs != ours:
            raise CheckpointError(f"it was trained with {name}={theirs}, and this run has {ours}")
    return source.resolve(), checkpoint


def trusted_settings(
    checkpoint: Checkpoint, origin: str | Path, encoder: EncoderMaker | None, trust_code: bool
) -> Settings:
    """The settings of a run's checkpoint, checked against what it holds.

    Args:
        checkpoint: The checkpoint.
        origin: How to call it in an error.
        encoder: The module class that encodes observations, where it is not to be imported by its name.
        trust_code: Whether code that the settings name as ``module:Class`` may be imported.

    Raises:
        ConfigError: They are not complete and valid.
        CheckpointError: They name code to import without ``trust_code``, or ask for more than the checkpoint holds.
    """
    settings = settings_from_document(checkpoint.settings, origin)
    named = [name for name in settings.code_to_trust if encoder is None or name != settings.encoder]
    require_trust(named, origin, trust_code)
    check_sizes(checkpoint, settings, origin)
    return settings


def check_ends(settings: Settings, checkpoint: Checkpoint, origin: str | Path, num_epochs: int | None) -> None:
    """Make sure that a run may have another length.

    Args:
        settings: Of the run.
        checkpoint: That it goes on from.
        origin: How to call it in an error.
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


def check_sizes(checkpoint: Checkpoint, settings: Settings, origin: str | Path) -> None:
    """Make sure that a checkpoint holds the weights that its settings ask for, and finite ones, before any are made.

    An encoder of somebody's own is not looked into: it is imported only where its origin is trusted.

    Raises:
        CheckpointError: It does not.
    """
    for name, tensor in checkpoint.tensors.items():
        if name.startswith(_OWN) and ".encoder." not in name and not tensor.isfinite().all():
            raise CheckpointError(f"{origin} cannot be used: {name} is not finite")
    if ":" in settings.encoder:
        return
    try:
        observations, actions = read_spaces_of(checkpoint)
        found = (observations.num_features, actions.num_logits)
        if found != (settings.input_dim, settings.output_dim):
            raise CheckpointError(f"its spaces say {found}, its settings {(settings.input_dim, settings.output_dim)}")
        learned = sum(len(part.sizes) for part in observations.parts) if settings.embedding_dim else 0
        learned += sum(part.kind == "image" for part in observations.parts) if settings.encoder != "mlp" else 0
        if learned > len(checkpoint.tensors):
            raise CheckpointError(f"its spaces ask for {learned} tensors, and it holds {len(checkpoint.tensors)}")
        with torch.device("meta"):  # shapes without memory
            policy, value = make_networks(settings, observations, actions)
            memory = torch.empty(settings.num_envs, value.trunk.state_dim, dtype=torch.float32)
        tensor_like(checkpoint.tensors, "value_memory", memory)
        if "episodes.running" in checkpoint.tensors:  # a training state, and not an agent alone
            figures = len(settings.episode_figures)
            if checkpoint.tensors["episodes.running"].shape[0] == figures - 1 and settings.wrappers:
                figures -= 1  # from before training returns were told from the environment's own
            known = {"running": settings.num_envs, "recent": checkpoint.tensors["episodes.recent"].shape[-1]}
            for key, count in known.items():
                like = torch.empty(figures, count, dtype=torch.float64, device="meta")
                tensor_like(checkpoint.tensors, f"episodes.{key}", like)
        for name, network in (("policy", policy), ("value", value)):
            for key, tensor in network.state_dict().items():
                tensor_like(checkpoint.tensors, f"{name}.{key}", tensor)
    except (CheckpointError, ConfigError, LookupError, ArithmeticError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{origin} cannot be used: {error}") from None


def check_spaces(checkpoint: Checkpoint, spaces: Spec) -> None:
    """Make sure that a checkpoint's agent was built for the spaces of an environment.

    Raises:
        CheckpointError: It was not, or has none.
    """
    try:
        other = spec_mismatch(read_spaces_of(checkpoint), spaces)
    except (LookupError, TypeError, ValueError) as error:
        raise CheckpointError(f"its spaces cannot be read: {error}") from None
    if other:
        raise CheckpointError(other)


def read_spaces_of(checkpoint: Checkpoint) -> Spec:
    """The spaces that a checkpoint's agent was built for.

    Raises:
        KeyError: It has none.
        ValueError: They are no spaces.
    """
    observations = ObservationSpec.from_document(checkpoint.spaces["observation"])
    return observations, ActionSpec.from_document(checkpoint.spaces["action"])


def tensor_like(tensors: dict[str, Tensor], name: str, like: Tensor) -> Tensor:
    """A checkpoint's tensor, which must have the shape and dtype of another one.

    Raises:
        CheckpointError: It has not, or is not there.
    """
    found = tensors.get(name)
    if found is None or found.shape != like.shape or found.dtype != like.dtype:
        has = "nothing" if found is None else f"{tuple(found.shape)} {found.dtype}"
        raise CheckpointError(f"{name}: expected {tuple(like.shape)} {like.dtype}, found {has}")
    return found
