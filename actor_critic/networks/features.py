"""Turn observations into features: encode them and, if enabled, normalise them with running statistics."""

from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from actor_critic.config import Settings
from actor_critic.networks.encoders import encode
from actor_critic.networks.normalization import ObservationNormalizer, RunningMoments
from actor_critic.spaces import ObservationSpec


def make_observation_normalizer(
    settings: Settings, observations: ObservationSpec, device: torch.device
) -> ObservationNormalizer | None:
    """Return the normaliser that settings ask for; None for none, also if there is nothing that it would normalise."""
    is_left_out = [not part.is_unscaled and not settings.normalize_encoded for part in observations.parts]
    if not settings.normalize_observations or all(is_left_out):
        return None
    widths = torch.tensor([part.num_features for part in observations.parts])
    left_out = torch.tensor(is_left_out).repeat_interleave(widths)
    return ObservationNormalizer(observations.num_features, device, left_out)


class FeatureMaker:
    """Make features from observations.

    Attributes:
        normalizer: Running statistics; None if features are not normalised.
        num_features: F.
        is_identity: Whether features equal the observations, so that acting needs no tensor.
    """

    def __init__(
        self, observations: ObservationSpec, device: torch.device, normalizer: ObservationNormalizer | None
    ) -> None:
        self.normalizer = normalizer
        self.num_features = observations.num_features
        self._observations = observations
        self._device = device
        self._is_plain = observations.is_plain and device.type == "cpu"
        # Values too large for the precision of float32, such as seconds since 1970, are centred in float64 first.
        self._is_wide = observations.is_wide and normalizer is not None
        self.is_identity = self._is_plain and normalizer is None

    def __call__(self, observations: npt.NDArray[Any]) -> Tensor:
        """Return features [B, F] of observations [B, *shape]; both may share memory."""
        features = self._encode(observations)
        return self.normalizer(features) if self.normalizer else features

    def seen(self, observations: npt.NDArray[Any]) -> list[tuple[RunningMoments, Tensor]]:
        """Return the running statistics and what observations [B, *shape] add to them; nothing without statistics."""
        return [(self.normalizer.moments, self._encode(observations).cpu())] if self.normalizer else []

    def refresh(self) -> None:
        """Follow the running statistics after they have changed."""
        if self.normalizer:
            self.normalizer.refresh()

    def frozen(self) -> "FeatureMaker":
        """Return a copy with the current statistics, which later updates do not change."""
        return FeatureMaker(self._observations, self._device, self.normalizer.copy() if self.normalizer else None)

    def _encode(self, observations: npt.NDArray[Any]) -> Tensor:
        if self._is_plain:
            return torch.from_numpy(observations)
        if self._is_wide:
            return encode(observations, self._observations, dtype=torch.float64)
        return encode(observations, self._observations, self._device)
