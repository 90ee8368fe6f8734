"""Checks a checkpoint before it is loaded: trusted code, sizes, finite weights.

The only place that decides whether a file may name code to import.
"""

from pathlib import Path

import torch
from torch import Tensor

from actor_critic.backends import choose_device
from actor_critic.config import Settings, settings_from_document
from actor_critic.errors import CheckpointError, ConfigError
from actor_critic.imports import require_trust
from actor_critic.networks import EncoderMaker, make_networks
from actor_critic.spaces import ActionSpec, ObservationSpec, Spec, spec_mismatch
from actor_critic.storage import Checkpoint, runs

_OWN = ("policy.", "value.", "optimizer.", "observation_normalizer.", "reward_normalizer.")


def weights_to_begin_with(path: Path, settings: Settings, spaces: Spec) -> tuple[Path, Checkpoint]:
    """Return the checkpoint whose weights a new run begins with.

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


def check_trust(settings: Settings, origin: object, is_trusted: bool, *, has_encoder: bool) -> None:
    """Refuse to import code that the settings of a file name, unless the user trusts it.

    Args:
        settings: As the file has them.
        origin: The name of the file in an error.
        is_trusted: Whether the user trusts the file's code.
        has_encoder: Whether the encoder is there already, and needs no import.

    Raises:
        CheckpointError: There is code to import and no trust.
    """
    named = [name for name in settings.code_to_trust if not has_encoder or name != settings.encoder]
    require_trust(named, origin, is_trusted)


def trusted_settings(
    checkpoint: Checkpoint, origin: str | Path, encoder: EncoderMaker | None, trust_code: bool
) -> Settings:
    """Return the settings of a run's checkpoint, checked against what it holds.

    Args:
        checkpoint: The checkpoint.
        origin: The name of the checkpoint in an error.
        encoder: The module class that encodes observations, if it is not to be imported by its name.
        trust_code: Whether code that the settings name as ``module:Class`` may be imported.

    Raises:
        ConfigError: They are not complete and valid.
        CheckpointError: They name code to import without ``trust_code``, or ask for more than the checkpoint holds.
    """
    settings = settings_from_document(checkpoint.settings, origin)
    check_trust(settings, origin, trust_code, has_encoder=encoder is not None)
    check_sizes(checkpoint, settings, origin)
    return settings


def agent_settings(
    checkpoint: Checkpoint, origin: str | Path, device: str, encoder: EncoderMaker | None, trust_code: bool
) -> Settings:
    """Return the settings of the agent that a checkpoint holds, checked against what it holds.

    An agent imports no code but its encoder; what its evaluation needs besides is checked there.

    Args:
        checkpoint: The checkpoint.
        origin: The name of the checkpoint in an error.
        device: Where to put the agent.
        encoder: The module class that encodes observations, if it is not to be imported by its name.
        trust_code: Whether the encoder that the settings name as ``module:Class`` may be imported.

    Raises:
        ConfigError: The device is not there.
        CheckpointError: They are not complete and valid, name an encoder that was not given, or ask for more than the
            checkpoint holds.
    """
    choose_device(device)  # before the checkpoint is, which has no part in it
    try:
        settings = settings_from_document(checkpoint.settings, origin).replace(device=device)
    except ConfigError as error:
        raise CheckpointError(f"{origin} cannot be used: {error}") from None
    if ":" in settings.encoder and encoder is None and not trust_code:
        raise CheckpointError(
            f"{origin} was trained with the encoder {settings.encoder}; hand that class over as encoder=..., "
            f"or set trust_code=True if you know and trust it"
        )
    check_sizes(checkpoint, settings, origin)
    return settings


def check_sizes(checkpoint: Checkpoint, settings: Settings, origin: str | Path) -> None:
    """Check that a checkpoint holds the weights that its settings ask for, and finite ones, before any are made.

    A user's own encoder is not checked: it is imported only if its origin is trusted.

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
            count = len(settings.episode_figures)
            if checkpoint.tensors["episodes.running"].shape[0] == count - 1 and settings.wrappers:
                count -= 1  # from before training returns were told from the environment's own
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
    """Check that a checkpoint's agent was built for the spaces of an environment.

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
    """Return the spaces that a checkpoint's agent was built for.

    Raises:
        KeyError: It has none.
        ValueError: They are no spaces.
    """
    observations = ObservationSpec.from_document(checkpoint.spaces["observation"])
    return observations, ActionSpec.from_document(checkpoint.spaces["action"])


def tensor_like(tensors: dict[str, Tensor], name: str, like: Tensor) -> Tensor:
    """Return a tensor of a checkpoint, which must have the shape and dtype of another one.

    Raises:
        CheckpointError: It has others, or is not there.
    """
    found = tensors.get(name)
    if found is None or found.shape != like.shape or found.dtype != like.dtype:
        has = "nothing" if found is None else f"{tuple(found.shape)} {found.dtype}"
        raise CheckpointError(f"{name}: expected {tuple(like.shape)} {like.dtype}, found {has}")
    return found
