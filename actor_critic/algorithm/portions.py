"""The part of each minibatch that one rank of a data-parallel run has."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from actor_critic.ranks import Share

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Portion:
    """The transitions of a minibatch that one rank collected.

    All ranks draw the same minibatches of the whole batch, so that K ranks take the optimizer steps of one process.

    Attributes:
        rows: [B], indices into the rank's own batch.
        weight: The share of the minibatch's transitions that these are. The sum over all ranks of weight · gradient is
            the gradient of the minibatch.
        advantages: [B], normalised over the whole minibatch if the settings say so.
    """

    rows: Rows
    weight: float
    advantages: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Portions:
    """A rank's portions of all minibatches of an epoch, one after the other.

    Attributes:
        rows: [M], of all portions.
        advantages: [M], of all portions.
        borders: [S + 1], where each of the S portions begins and ends.
        weights: [S], of each portion.
    """

    rows: Rows
    advantages: npt.NDArray[np.float32]
    borders: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]

    def __iter__(self) -> Iterator[Portion]:
        """Yield each portion."""
        for (first, last), weight in zip(pairwise(self.borders.tolist()), self.weights.tolist(), strict=True):
            yield Portion(self.rows[first:last], weight, self.advantages[first:last])


def portions(
    minibatches: Sequence[Rows],
    advantages: npt.NDArray[np.float32],
    valid: npt.NDArray[np.bool_],
    share: Share,
    steps: int,
    *,
    keeps_invalid: bool,
    min_std: float | None,
) -> Portions:
    """Return a rank's portion of each minibatch.

    Args:
        minibatches: Indices into the batch of all ranks, as :func:`minibatches` returns them.
        advantages: [T, N], of all ranks.
        valid: [T, N], of all ranks: False where an environment paused.
        share: The environments of this rank.
        steps: Steps of this rank's rollout; T is the most of any rank.
        keeps_invalid: Whether batches keep the steps that are not valid, as sequences do.
        min_std: The least standard deviation to divide by; None if advantages are not normalised.
    """
    if not minibatches:
        none = np.zeros(0, np.int64)
        return Portions(none, none.astype(np.float32), np.zeros(1, np.int64), none.astype(np.float64))
    borders = np.cumsum([0, *map(len, minibatches)])
    flat, has_pauses = np.concatenate(minibatches), not valid.all()
    if has_pauses and not keeps_invalid:
        flat = np.flatnonzero(valid)[flat]
    # The row in the rank's own batch of every step of all ranks; −1 for steps of others.
    table = np.full(advantages.shape, -1, np.int64)
    mine = table[:steps, share.slice]
    if has_pauses and not keeps_invalid:
        mine[valid[:steps, share.slice]] = np.arange(int(valid[:steps, share.slice].sum()))
    else:
        mine[:] = np.arange(mine.size).reshape(mine.shape)
    rows = table.reshape(-1)[flat]
    own = np.flatnonzero(rows >= 0)
    chosen = advantages.reshape(-1)[flat]
    counts = valid.reshape(-1)[flat] if has_pauses else None
    sizes = _sums(counts, borders)
    if min_std is not None:
        chosen = _normalized(chosen, counts, sizes, borders, min_std)
    ends = np.searchsorted(own, borders)
    parts = np.diff(ends).astype(np.float64) if counts is None else _sums(counts[own], ends)
    return Portions(rows[own], np.ascontiguousarray(chosen[own], np.float32), ends, parts / np.maximum(sizes, 1.0))


def _sums(counts: npt.NDArray[np.bool_] | None, borders: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return how many rows of each part count; all do if ``counts`` is None."""
    if counts is None:
        return np.diff(borders).astype(np.float64)
    found: npt.NDArray[np.float64] = np.diff(np.concatenate([[0], np.cumsum(counts)])[borders]).astype(np.float64)
    return found


def _normalized(
    advantages: npt.NDArray[np.float32],
    counts: npt.NDArray[np.bool_] | None,
    sizes: npt.NDArray[np.float64],
    borders: npt.NDArray[np.int64],
    min_std: float,
) -> npt.NDArray[np.float32]:
    """Normalise the advantages of each minibatch, as :func:`actor_critic.ops.losses.normalize_advantages` does."""
    lengths = np.diff(borders)
    numbers = advantages.astype(np.float64)
    if counts is not None:
        numbers[~counts] = 0.0
    centred = numbers - np.repeat(np.add.reduceat(numbers, borders[:-1]) / np.maximum(sizes, 1.0), lengths)
    if counts is not None:
        centred[~counts] = 0.0
    squares = np.add.reduceat(centred * centred, borders[:-1])
    scales = 1 / (np.maximum(np.sqrt(squares / np.maximum(sizes - 1, 1.0)), min_std) + 1e-8)
    centred *= np.repeat(scales, lengths)
    if (sizes <= 1).any():  # a single number stays as it is
        centred = np.where(np.repeat(sizes <= 1, lengths), advantages, centred)
    return centred.astype(np.float32)
