"""From observations to what the networks see: encoded, then normalised by running statistics if that is wanted."""

from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from actor_critic.networks.encoders import encode
from actor_critic.networks.normalization import ObservationNormalizer
from actor_critic.spaces import ObservationSpec


class FeatureMaker:
    """Makes features of observations.

    Attributes:
        normalizer: Running statistics; None where features stay as they are.
        is_identity: Whether features are the observations themselves: what acts on them then needs no tensor.
    """

    def __init__(
        self, observations: ObservationSpec, device: torch.device, normalizer: ObservationNormalizer | None
    ) -> None:
        self.normalizer = normalizer
        self._observations = observations
        self._device = device
        self._is_plain = observations.is_plain and device.type == "cpu"
        # What 32-bit floats cannot hold, such as seconds since 1970, is centred before it becomes one.
        self._is_wide = observations.is_wide and normalizer is not None
        self.is_identity = self._is_plain and normalizer is None

    def __call__(self, observations: npt.NDArray[Any]) -> Tensor:
        """Features [B, F] of observations [B, *shape]; they may share memory with them."""
        features = self._encode(observations)
        return self.normalizer(features) if self.normalizer else features

    def update(self, observations: npt.NDArray[Any]) -> None:
        """Merge observations [B, *shape] into the running statistics."""
        if self.normalizer and len(observations):
            self.normalizer.update(self._encode(observations))

    def frozen(self) -> "FeatureMaker":
        """One that goes on with the statistics as they are now."""
        return FeatureMaker(self._observations, self._device, self.normalizer.copy() if self.normalizer else None)

    def _encode(self, observations: npt.NDArray[Any]) -> Tensor:
        if self._is_plain:
            return torch.from_numpy(observations)
        if self._is_wide:
            return encode(observations, self._observations, dtype=torch.float64)
        return encode(observations, self._observations, self._device)
