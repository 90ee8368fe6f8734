"""The minibatches of an epoch: which transitions each optimizer step sees."""

import numpy as np
import numpy.typing as npt

from actor_critic.config import Settings
from actor_critic.seeding import Purpose, generator


def minibatches(
    settings: Settings, epoch: int, valid: npt.NDArray[np.bool_] | None = None
) -> list[npt.NDArray[np.int64]]:
    """Return the minibatches of an epoch's passes, each as indices into the batch.

    Where environments paused, the batch holds the valid transitions alone: minibatches then differ in size by one, and
    an empty one is left out. With memory, minibatches are whole environments of the time-major batch [T · N].

    Args:
        settings: The resolved settings.
        epoch: Number of the epoch, from 1.
        valid: [T, N], False where an environment paused; None where none did.
    """
    has_memory = settings.memory is not None
    count = settings.batch_size if valid is None else int(valid.sum())
    units = settings.num_envs if has_memory else count
    if settings.num_minibatches == 1:
        parts = [np.arange(units)] * settings.update_epochs
    else:
        random = generator(settings.seed, Purpose.MINIBATCHES, epoch)
        passes = [random.permutation(units) for _ in range(settings.update_epochs)]
        parts = [part for order in passes for part in np.array_split(order, settings.num_minibatches)]
    if not has_memory:
        return [part for part in parts if len(part)]
    if valid is not None:
        parts = [part for part in parts if valid[:, part].any()]
    steps = settings.num_steps if valid is None else len(valid)
    first = np.arange(steps)[:, None] * settings.num_envs  # of each step
    return [(first + envs).reshape(-1) for envs in parts]
