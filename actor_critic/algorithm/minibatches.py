"""The minibatches of an epoch: the transitions of each optimizer step."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from actor_critic.config import Settings
from actor_critic.seeding import Purpose, generator


def minibatches(
    settings: Settings, epoch: int, valid: npt.NDArray[np.bool_] | None = None
) -> list[npt.NDArray[np.int64]]:
    """Return the minibatches of all passes of an epoch, each as indices into the batch.

    If environments paused, the batch contains only the valid transitions. Minibatch sizes may then differ by one, and
    empty minibatches are dropped. With memory, a minibatch is whole environments of the time-major batch [T · N].

    Args:
        settings: The resolved settings.
        epoch: Number of the epoch, from 1.
        valid: [T, N], False where an environment paused; None if none paused.
    """
    has_memory = settings.memory is not None
    count = settings.batch_size if valid is None else int(valid.sum())
    units = settings.num_envs if has_memory else count
    if settings.num_minibatches == 1:
        parts = [np.arange(units)] * settings.update_epochs
    else:
        random = generator(settings.seed, Purpose.MINIBATCHES, epoch)
        passes = [random.permutation(units) for _ in range(settings.update_epochs)]
        borders = _borders(units, settings.num_minibatches)
        parts = [order[first:last] for order in passes for first, last in pairwise(borders)]
    if not has_memory:
        return [part for part in parts if len(part)]
    if valid is not None:
        parts = [part for part in parts if valid[:, part].any()]
    steps = settings.num_steps if valid is None else len(valid)
    first = np.arange(steps)[:, None] * settings.num_envs  # first row of each step
    return [(first + envs).reshape(-1) for envs in parts]


def _borders(units: int, parts: int) -> list[int]:
    """Return the borders of parts whose sizes differ by at most one, larger ones first."""
    size, larger = divmod(units, parts)
    return [k * size + min(k, larger) for k in range(parts + 1)]
