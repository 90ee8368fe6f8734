"""Running statistics of observations and returns. The agent saves them; evaluation does not update them."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from actor_critic.ops.returns import discounted_sums
from actor_critic.ranks import ALONE, Ranks

_CLIP = 10.0
_EPSILON = 1e-8


class RunningMoments:
    """Mean and variance of all samples so far; :func:`update_moments` merges batches into them.

    (Chan, Golub and LeVeque, 1979, "Updating formulae and a pairwise algorithm for computing sample variances".)

    Attributes:
        count: Number of samples; a float64 scalar tensor.
        mean: [*shape] float64.
        squares: [*shape] float64, sum of squared deviations from the mean.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.count = torch.zeros((), dtype=torch.float64)
        self.mean = torch.zeros(shape, dtype=torch.float64)
        self.squares = torch.zeros(shape, dtype=torch.float64)

    def summary(self, batch: Tensor) -> npt.NDArray[np.float64]:
        """Return the count, the mean and the squared deviations of a batch [B, *shape], one after the other."""
        size = len(batch)
        batch = batch.to(torch.float64)
        mean = batch.mean(0) if size else torch.zeros_like(self.mean)
        squares = (batch - mean).square().sum(0)
        return np.concatenate([[float(size)], mean.reshape(-1).numpy(), squares.reshape(-1).numpy()])

    def merge(self, summaries: npt.NDArray[np.float64]) -> None:
        """Merge the summaries [K, 1 + 2 · samples' size] of K batches."""
        for row in torch.from_numpy(summaries):
            mean, squares = (part.reshape(self.mean.shape) for part in row[1:].chunk(2))
            self._merge(int(row[0]), mean, squares)

    def _merge(self, size: int, mean: Tensor, squares: Tensor) -> None:
        """Merge the count, the mean and the squared deviations of some samples."""
        if not size:
            return
        delta = mean - self.mean
        total = self.count + size
        self.squares += squares + delta.square() * self.count * size / total
        self.mean += delta * size / total
        self.count = total

    @property
    def variance(self) -> Tensor:
        """[*shape] population variance; 1 before the first sample."""
        return self.squares / self.count if self.count > 0 else torch.ones_like(self.squares)

    def state(self) -> dict[str, Tensor]:
        """Return the statistics as tensors by name."""
        return {"count": self.count, "mean": self.mean, "squares": self.squares}

    def load(self, state: dict[str, Tensor]) -> None:
        """Load what :meth:`state` returned."""
        self.count, self.mean, self.squares = (state[name].clone() for name in ("count", "mean", "squares"))


def update_moments(batches: Sequence[tuple[RunningMoments, Tensor]], ranks: Ranks = ALONE) -> None:
    """Merge a batch [B, *shape] into each of some moments, and the batches of the other ranks, with one exchange."""
    if not batches:
        return
    mine = [moments.summary(batch) for moments, batch in batches]
    found = np.split(ranks.rows(np.concatenate(mine)), np.cumsum([len(one) for one in mine])[:-1], axis=1)
    for (moments, _), summaries in zip(batches, found, strict=True):
        moments.merge(summaries)


class ObservationNormalizer:
    """Normalise features with their running moments and clip them to ±10; no change before the first update."""

    def __init__(self, num_features: int, device: torch.device, left_out: Tensor | None = None) -> None:
        """Start without statistics.

        Args:
            num_features: F.
            device: The device of the features.
            left_out: [F] bool, True for features that stay as they are; None normalises all.
        """
        self.moments = RunningMoments((num_features,))
        self._device = device
        self._left_out = torch.zeros(num_features, dtype=torch.bool) if left_out is None else left_out
        self._wide_limit = torch.full((num_features,), _CLIP).masked_fill(self._left_out, torch.inf)  # on the CPU
        self._limit = self._wide_limit.to(device)
        self.refresh()

    def copy(self) -> "ObservationNormalizer":
        """Return an independent copy with the same statistics."""
        other = ObservationNormalizer(len(self.moments.mean), self._device, self._left_out)
        other.moments.load(self.moments.state())
        other.refresh()
        return other

    def refresh(self) -> None:
        """Recompute shift and scale from the moments."""
        self._deviation = (self.moments.variance + _EPSILON).sqrt().masked_fill(self._left_out, 1.0)
        self._mean = self.moments.mean.masked_fill(self._left_out, 0.0)
        self._shift = self._mean.to(self._device, torch.float32)
        self._scale = (1 / self._deviation).to(self._device, torch.float32)

    @property
    def affine(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float32]] | None:
        """Shift, scale and limit, [F] each, as arrays on the CPU; None before the first update."""
        if not self.moments.count:
            return None
        return self._shift.cpu().numpy(), self._scale.cpu().numpy(), self._limit.cpu().numpy()

    def __call__(self, features: Tensor) -> Tensor:
        """Return normalised features [B, num_features] float32, from float32, or from float64 on the CPU."""
        if features.dtype == torch.float64:
            if self.moments.count:
                features = ((features - self._mean) / self._deviation).clamp(-self._wide_limit, self._wide_limit)
            return features.to(self._device, torch.float32)
        if not self.moments.count:
            return features
        return ((features - self._shift) * self._scale).clamp(-self._limit, self._limit)


class RewardNormalizer:
    """Divide rewards by the running standard deviation of the discounted return (Engstrom et al., 2020, section 3)."""

    def __init__(self, num_envs: int, gamma: float) -> None:
        self.moments = RunningMoments(())
        self.sums: npt.NDArray[np.float64] = np.zeros(num_envs)
        self._gamma = gamma

    def returns_of(
        self,
        rewards: npt.NDArray[np.float32],
        ended: npt.NDArray[np.bool_],
        live: npt.NDArray[np.bool_] | None = None,
    ) -> Tensor:
        """Continue the discounted sums with the rewards [T, N] of a rollout, and return them (only ``live`` steps)."""
        sums, self.sums = discounted_sums(rewards, ended, self.sums, self._gamma)
        return torch.from_numpy(sums.reshape(-1) if live is None else sums[live])

    def __call__(self, rewards: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return rewards scaled by the moments so far."""
        scale = self.scale
        return rewards if scale == 1.0 else (rewards / np.float64(scale)).astype(np.float32)

    @property
    def has_scale(self) -> bool:
        """Whether returns have differed, as they do after the first reward."""
        return bool(self.moments.count > 0 and self.moments.variance != 0)

    @property
    def scale(self) -> float:
        """The divisor of rewards; 1 while all returns are equal."""
        return float(np.sqrt(float(self.moments.variance) + _EPSILON)) if self.has_scale else 1.0
