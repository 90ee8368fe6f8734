"""The part of each minibatch that one rank of a data-parallel run has."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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


def portions(
    minibatches: Sequence[Rows],
    advantages: npt.NDArray[np.float32],
    valid: npt.NDArray[np.bool_],
    share: Share,
    steps: int,
    *,
    keeps_invalid: bool,
    min_std: float | None,
) -> list[Portion]:
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
        return []
    borders = np.cumsum([0, *map(len, minibatches)])
    flat = np.concatenate(minibatches)
    if not keeps_invalid and not valid.all():
        flat = np.flatnonzero(valid)[flat]
    counts = valid.reshape(-1)[flat]
    chosen: npt.NDArray[Any] = advantages.reshape(-1)[flat]
    whole = np.add.reduceat(counts.astype(np.float64), borders[:-1])
    if min_std is not None:
        chosen = _normalized(chosen, counts, whole, borders, min_std)
    step, environment = np.divmod(flat, share.total)
    own = (environment >= share.first) & (environment < share.first + share.count) & (step < steps)
    rows = step * share.count + environment - share.first  # in the rank's rollout
    if not keeps_invalid and not valid.all():
        place = np.cumsum(valid[:, share.slice].reshape(-1)) - 1  # in the rank's batch, without pauses
        rows = place[np.where(own, rows, 0)]
    mine = np.add.reduceat((counts & own).astype(np.float64), borders[:-1])
    ends = np.concatenate([[0], np.cumsum(own)])[borders]
    rows, chosen = rows[own], np.ascontiguousarray(chosen[own], np.float32)
    return [
        Portion(rows[first:last], float(part / max(all_of_it, 1.0)), chosen[first:last])
        for first, last, part, all_of_it in zip(ends[:-1], ends[1:], mine, whole, strict=True)
    ]


def _normalized(
    advantages: npt.NDArray[np.float32],
    counts: npt.NDArray[np.bool_],
    sizes: npt.NDArray[np.float64],
    borders: npt.NDArray[np.int64],
    min_std: float,
) -> npt.NDArray[np.float64]:
    """Normalise the advantages of each minibatch, as :func:`actor_critic.ops.losses.normalize_advantages` does."""
    lengths, numbers = np.diff(borders), np.where(counts, advantages, 0.0).astype(np.float64)
    means = np.add.reduceat(numbers, borders[:-1]) / np.maximum(sizes, 1.0)
    centred = np.where(counts, advantages - np.repeat(means, lengths), 0.0)
    squares = np.add.reduceat(centred * centred, borders[:-1])
    scales = 1 / (np.maximum(np.sqrt(squares / np.maximum(sizes - 1, 1.0)), min_std) + 1e-8)
    single = np.repeat(sizes <= 1, lengths)
    return np.where(single, advantages, centred * np.repeat(scales, lengths))
