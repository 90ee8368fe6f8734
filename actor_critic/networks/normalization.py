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
        count: Number of samples.
        mean: [*shape] float64.
        squares: [*shape] float64, sum of squared deviations from the mean.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.count = 0.0
        self.mean: npt.NDArray[np.float64] = np.zeros(shape)
        self.squares: npt.NDArray[np.float64] = np.zeros(shape)

    def summary(self, batch: Tensor) -> npt.NDArray[np.float64]:
        """Return the count, the mean and the squared deviations of a batch [B, *shape], one after the other."""
        size = len(batch)
        batch = batch.to(torch.float64)
        means = batch.mean(0) if size else torch.zeros(self.mean.shape, dtype=torch.float64)
        mean, squares = means.numpy(), (batch - means).square_().sum(0).numpy()
        return np.concatenate([[float(size)], mean.reshape(-1), squares.reshape(-1)])

    def merge(self, summaries: npt.NDArray[np.float64]) -> None:
        """Merge the summaries [K, 1 + 2 · samples' size] of K batches."""
        for row in summaries:
            mean, squares = row[1:].reshape(2, *self.mean.shape)
            self._merge(int(row[0]), mean, squares)

    def _merge(self, size: int, mean: npt.NDArray[np.float64], squares: npt.NDArray[np.float64]) -> None:
        """Merge the count, the mean and the squared deviations of some samples."""
        if not size:
            return
        delta = mean - self.mean
        total = self.count + size
        self.squares = self.squares + (squares + delta * delta * self.count * size / total)
        self.mean = self.mean + delta * size / total
        self.count = total

    @property
    def variance(self) -> npt.NDArray[np.float64]:
        """[*shape] population variance; 1 before the first sample."""
        return self.squares / self.count if self.count else np.ones_like(self.squares)

    def state(self) -> dict[str, Tensor]:
        """Return the statistics as tensors by name."""
        numbers = {"count": self.count, "mean": self.mean, "squares": self.squares}
        return {name: torch.tensor(number, dtype=torch.float64) for name, number in numbers.items()}

    def load(self, state: dict[str, Tensor]) -> None:
        """Load what :meth:`state` returned."""
        self.count = float(state["count"])
        self.mean, self.squares = (state[name].numpy().copy() for name in ("mean", "squares"))


def update_moments(batches: Sequence[tuple[RunningMoments, Tensor]], ranks: Ranks = ALONE) -> None:
    """Merge a batch [B, *shape] into each of some moments, and the batches of the other ranks, with one exchange."""
    if not batches:
        return
    mine = [moments.summary(batch) for moments, batch in batches]
    found = np.split(
        ranks.rows(np.concatenate(mine), "gathering statistics"), np.cumsum([len(one) for one in mine])[:-1], axis=1
    )
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
        self._left_out = np.zeros(num_features, np.bool_) if left_out is None else left_out.numpy()
        self._bound = np.where(self._left_out, np.float32(np.inf), np.float32(_CLIP))
        self._wide_limit = torch.from_numpy(self._bound)
        self._limit, self._low = self._wide_limit.to(device), (-self._wide_limit).to(device)
        self.refresh()

    def copy(self) -> "ObservationNormalizer":
        """Return an independent copy with the same statistics."""
        other = ObservationNormalizer(len(self.moments.mean), self._device, torch.from_numpy(self._left_out))
        other.moments.load(self.moments.state())
        other.refresh()
        return other

    @np.errstate(over="ignore", invalid="ignore")  # numbers beyond 32 bits become infinite
    def refresh(self) -> None:
        """Recompute shift and scale from the moments."""
        self._deviation = np.where(self._left_out, 1.0, np.sqrt(self.moments.variance + _EPSILON))
        self._mean = np.where(self._left_out, 0.0, self.moments.mean)
        self._shifts, self._scales = self._mean.astype(np.float32), (1 / self._deviation).astype(np.float32)
        self._shift = torch.from_numpy(self._shifts).to(self._device)
        self._scale = torch.from_numpy(self._scales).to(self._device)

    @property
    def affine(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float32]] | None:
        """Shift, scale and limit, [F] each, as arrays on the CPU; None before the first update."""
        return (self._shifts, self._scales, self._bound) if self.moments.count else None

    def __call__(self, features: Tensor) -> Tensor:
        """Return normalised features [B, num_features] float32, from float32, or from float64 on the CPU."""
        if features.dtype == torch.float64:
            if self.moments.count:
                mean, deviation = torch.from_numpy(self._mean), torch.from_numpy(self._deviation)
                features = ((features - mean) / deviation).clamp_(-self._wide_limit, self._wide_limit)
            return features.to(self._device, torch.float32)
        if not self.moments.count:
            return features
        return (features - self._shift).mul_(self._scale).clamp_(self._low, self._limit)


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
        return bool(self.moments.count and self.moments.squares)

    @property
    def scale(self) -> float:
        """The divisor of rewards; 1 while all returns are equal."""
        return float(np.sqrt(float(self.moments.variance) + _EPSILON)) if self.has_scale else 1.0
