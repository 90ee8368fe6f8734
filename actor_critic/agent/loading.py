"""Checks of a checkpoint before it is loaded: trusted code, sizes, finite weights.

Only this module decides whether a file may name code to import.
"""

from pathlib import Path

import torch
from torch import Tensor

from actor_critic.backends import choose_device, moved
from actor_critic.config import OLD_VALUES, Passed, Settings, settings_from_document
from actor_critic.errors import CheckpointError, ConfigError
from actor_critic.imports import require_trust
from actor_critic.networks import make_networks
from actor_critic.spaces import ActionSpec, ObservationSpec, Spec, spec_mismatch
from actor_critic.storage import Checkpoint, runs

_OWN = ("policy.", "value.", "optimizer.", "observation_normalizer.", "reward_normalizer.")


def weights_to_begin_with(path: Path, settings: Settings, spaces: Spec) -> tuple[Path, Checkpoint]:
    """Return the checkpoint for the initial weights of a new run.

    Args:
        path: A checkpoint, or a run folder.
        settings: The settings of the new run.
        spaces: The spaces of its environment.

    Returns:
        The absolute path of the file, from which the run can be recomputed, and the checkpoint.

    Raises:
        CheckpointError: There is no checkpoint, or its networks or spaces differ.
    """
    source, checkpoint = runs.find_checkpoint(path)
    check_spaces(checkpoint, spaces)
    names = ["activation", "encoder", "memory", "shared_encoder", "normalize_observations"]
    if settings.normalize_observations:
        names.append("normalize_encoded")
    for name in names:
        theirs, ours = checkpoint.settings.get(name, OLD_VALUES.get(name)), settings.to_document()[name]
        if theirs != ours:
            raise CheckpointError(f"it was trained with {name}={theirs}, and this run has {ours}")
    return source.resolve(), checkpoint


def check_trust(settings: Settings, origin: object, is_trusted: bool) -> None:
    """Refuse to import code that the settings of a file name, unless the user trusts it.

    Args:
        settings: The settings in the file.
        origin: The name of the file in errors.
        is_trusted: Whether the user trusts the file's code.

    Raises:
        CheckpointError: There is code to import, and the user does not trust it.
    """
    require_trust(settings.code_to_trust, origin, is_trusted)


def trusted_settings(checkpoint: Checkpoint, origin: str | Path, passed: Passed, trust_code: bool) -> Settings:
    """Return the settings of a run's checkpoint, checked against its content.

    Args:
        checkpoint: The checkpoint.
        origin: The name of the checkpoint in errors.
        passed: The user's objects; others are imported by their names.
        trust_code: Whether code that the settings name as ``module:Class`` may be imported.

    Raises:
        ConfigError: The settings are incomplete or invalid, or do not have the objects.
        CheckpointError: They name code to import without ``trust_code``, or do not match the checkpoint's tensors.
    """
    settings = settings_from_document(checkpoint.settings, origin)
    settings = settings.replace(objects=passed.bound_to(settings))
    check_trust(settings, origin, trust_code)
    check_sizes(checkpoint, settings, origin)
    return settings


def agent_settings(
    checkpoint: Checkpoint, origin: str | Path, device: str, passed: Passed, trust_code: bool
) -> Settings:
    """Return the settings of a checkpoint's agent, checked against its content.

    An agent imports no code except its encoder. An evaluation checks the other code that it needs.

    Args:
        checkpoint: The checkpoint.
        origin: The name of the checkpoint in errors.
        device: The device of the agent.
        passed: The user's objects; others are imported by their names.
        trust_code: Whether the encoder that the settings name as ``module:Class`` may be imported.

    Raises:
        ConfigError: The device does not exist.
        CheckpointError: The settings are incomplete or invalid, name an encoder that was not given, or do not match the
            checkpoint's tensors.
    """
    choose_device(device)  # first, because a wrong device is no error of the checkpoint
    try:
        settings = settings_from_document(checkpoint.settings, origin)
        settings = moved(settings, device).replace(objects=passed.bound_to(settings))
    except ConfigError as error:
        raise CheckpointError(f"{origin} cannot be used: {error}") from None
    if ":" in settings.encoder and settings.encoder not in settings.objects and not trust_code:
        raise CheckpointError(
            f"{origin} was trained with the encoder {settings.encoder}; pass that class as encoder=..., "
            f"or set trust_code=True if you know and trust it"
        )
    check_sizes(checkpoint, settings, origin)
    return settings


def check_sizes(checkpoint: Checkpoint, settings: Settings, origin: str | Path) -> None:
    """Check that a checkpoint holds the weights of its settings, and that they are finite, before networks are built.

    A user's own encoder is not checked: it is imported only if its origin is trusted.

    Raises:
        CheckpointError: A tensor is missing, has another shape, or is not finite.
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
        learned += len(observations.convolved(settings.encoder))
        if learned > len(checkpoint.tensors):
            raise CheckpointError(f"its spaces ask for {learned} tensors, and it holds {len(checkpoint.tensors)}")
        with torch.device("meta"):  # shapes without memory
            policy, value = make_networks(settings, observations, actions)
            memory = torch.empty(settings.num_envs, value.trunk.state_dim, dtype=torch.float32)
        tensor_like(checkpoint.tensors, "value_memory", memory)
        if "episodes.running" in checkpoint.tensors:  # a training state, not only an agent
            count = len(settings.episode_figures)
            if checkpoint.tensors["episodes.running"].shape[0] == count - 1 and settings.wrappers:
                count -= 1  # older checkpoints have no separate training returns
            known = {"running": settings.num_envs, "recent": checkpoint.tensors["episodes.recent"].shape[-1]}
            for key, width in known.items():
                like = torch.empty(count, width, dtype=torch.float64, device="meta")
                tensor_like(checkpoint.tensors, f"episodes.{key}", like)
        for name, network in (("policy", policy), ("value", value)):
            for key, tensor in network.state_dict().items():
                tensor_like(checkpoint.tensors, f"{name}.{key}", tensor)
    except (CheckpointError, ConfigError, LookupError, ArithmeticError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{origin} cannot be used: {error}") from None


def check_spaces(checkpoint: Checkpoint, spaces: Spec) -> None:
    """Check that a checkpoint's agent was built for the spaces of an environment, and can be trained there.

    Raises:
        CheckpointError: The spaces differ, or the checkpoint has none.
    """
    try:
        built_for = read_spaces_of(checkpoint)
        other = spec_mismatch(built_for, spaces)
        if not other and built_for[0].num_features != spaces[0].num_features:
            other = (
                f"the policy reads {built_for[0]}, as versions before it did, and a run now reads {spaces[0]}; the "
                f"policy can be evaluated, and a new run learns it anew"
            )
    except (LookupError, TypeError, ValueError) as error:
        raise CheckpointError(f"its spaces cannot be read: {error}") from None
    if other:
        raise CheckpointError(other)


def read_spaces_of(checkpoint: Checkpoint) -> Spec:
    """Return the spaces that a checkpoint's agent was built for.

    Raises:
        KeyError: The checkpoint has no spaces.
        ValueError: The spaces are invalid.
    """
    observations = ObservationSpec.from_document(checkpoint.spaces["observation"])
    return observations, ActionSpec.from_document(checkpoint.spaces["action"])


def tensor_like(tensors: dict[str, Tensor], name: str, like: Tensor) -> Tensor:
    """Return a tensor of a checkpoint that has the shape and dtype of another tensor.

    Raises:
        CheckpointError: The tensor is missing, or its shape or dtype differs.
    """
    found = tensors.get(name)
    if found is None or found.shape != like.shape or found.dtype != like.dtype:
        has = "nothing" if found is None else f"{tuple(found.shape)} {found.dtype}"
        raise CheckpointError(f"{name}: expected {tuple(like.shape)} {like.dtype}, found {has}")
    return found
