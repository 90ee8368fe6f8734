"""Choose a backend. The choice depends on networks, coefficients and device, not on measured speed."""

import importlib.util
import logging
from dataclasses import fields

import torch

from actor_critic.algorithm import Coefficients, coefficients_of
from actor_critic.backends.base import Backend
from actor_critic.backends.eager import EagerBackend
from actor_critic.config import Settings
from actor_critic.errors import ConfigError
from actor_critic.networks import FlatParameters, PartsEncoder, PolicyNetwork, ValueNetwork
from actor_critic.spaces import PICTURE_SIDE

log = logging.getLogger("actor_critic")

_NEEDED = ("numba", "scipy", "threadpoolctl")

_SPARSE = 8
"""Sparse products are faster if at most one of so many inputs is not 0."""

_FUSED_COEFFICIENTS = {
    "learning_rate",
    "adam_beta1",
    "adam_beta2",
    "adam_epsilon",
    "clip_coef",
    "clip_vloss",
    "normalize_advantages",
    "min_advantage_std",
    "ent_coef",
    "vf_coef",
    "max_grad_norm",
    "target_kl",
}
"""The coefficients that the fused backend supports. Any other must have its default value, off."""


def choose_backend(settings: Settings, policy: PolicyNetwork, device: torch.device) -> str:
    """Return the backend to use: "eager" or "fused".

    "auto" means "fused" where it is faster: multilayer perceptrons and small CNNs on the CPU.

    Raises:
        ConfigError: The setting is "fused", but this backend does not support the networks or a coefficient.
    """
    if settings.backend == "eager":
        return "eager"
    if reason := _what_fused_lacks(settings, policy, device):
        if settings.backend == "fused":
            raise ConfigError(f'backend: "fused" {reason}; expected "auto" or "eager"')
        return "eager"
    if settings.backend == "auto" and _sees_pictures(policy):
        return "eager"
    if missing := [name for name in _NEEDED if importlib.util.find_spec(name) is None]:
        if settings.backend == "fused":
            raise ConfigError(f'backend: "fused" needs {", ".join(missing)}; pip install {" ".join(missing)}')
        log.warning("backend: eager, which is slower, because %s is missing", ", ".join(missing))
        return "eager"
    return "fused"


def make_backend(
    settings: Settings,
    policy: PolicyNetwork,
    value: ValueNetwork,
    parameters: FlatParameters,
    sizes: tuple[int, ...],
) -> Backend:
    """Make the backend that resolved settings name, for two networks and their flat buffer."""
    if settings.backend == "eager":
        return EagerBackend(policy, value, parameters, sizes)
    from actor_critic.backends.fused import FusedBackend  # imported here because it loads Numba

    encoder = policy.trunk.encoder
    assert isinstance(encoder, PartsEncoder)
    keeps_zeros = not (settings.normalize_observations and settings.normalize_encoded)
    is_sparse = encoder.max_nonzeros * _SPARSE <= encoder.output_dim and keeps_zeros
    is_exact = encoder.output_dim <= 2**24  # positions are stored as float32
    entries = encoder.max_nonzeros if is_sparse and is_exact and encoder.is_identity else 0
    return FusedBackend(policy, value, parameters, sizes, settings.threads, entries)


def _sees_pictures(policy: PolicyNetwork) -> bool:
    """Return whether images are so large that the convolutions of PyTorch are faster."""
    encoder = policy.trunk.encoder
    convolutions = encoder.convolutions if isinstance(encoder, PartsEncoder) else None
    return convolutions is not None and min(convolutions.shape[1:]) >= PICTURE_SIDE


def _what_fused_lacks(settings: Settings, policy: PolicyNetwork, device: torch.device) -> str | None:
    """Return why the fused backend cannot be used, or None if it can."""
    encoder = policy.trunk.encoder
    if device.type != "cpu":
        return f"runs on the CPU, and the device is {device}"
    if policy.trunk.memory is not None:
        return "does not support memory"
    if not (isinstance(encoder, PartsEncoder) and (encoder.is_identity or encoder.convolutions is not None)):
        return "supports plain numbers or a single image, not embeddings, images with other parts or custom encoders"
    coefficients = coefficients_of(settings, epoch=1)
    for field in fields(Coefficients):
        value = getattr(coefficients, field.name)
        if field.name not in _FUSED_COEFFICIENTS and value != field.default:
            return f"has no term for {field.name}, which is {value} and not {field.default} (off)"
    return None
