"""Which transitions each optimizer step of an epoch sees."""

import numpy as np
import numpy.typing as npt

from actor_critic.config import Settings
from actor_critic.seeding import Purpose, generator


def minibatches(
    settings: Settings, epoch: int, live: npt.NDArray[np.bool_] | None = None
) -> list[npt.NDArray[np.int64]]:
    """The minibatches of an epoch's passes, each as indices into the batch.

    Where environments paused, the batch holds the live transitions alone: minibatches then differ in size by one, and
    one that would be empty is left out. With memory they are whole environments of the time-major batch [T · N].

    Args:
        settings: How many, and of what.
        epoch: Whose, counted from 1.
        live: [T, N], False where an environment paused; None where none did.
    """
    has_memory = settings.memory is not None
    count = settings.batch_size if live is None else int(live.sum())
    units = settings.num_envs if has_memory else count
    if settings.num_minibatches == 1:
        parts = [np.arange(units)] * settings.update_epochs
    else:
        random = generator(settings.seed, Purpose.MINIBATCHES, epoch)
        passes = [random.permutation(units) for _ in range(settings.update_epochs)]
        parts = [part for order in passes for part in np.array_split(order, settings.num_minibatches)]
    if not has_memory:
        return [part for part in parts if len(part)]
    if live is not None:
        parts = [part for part in parts if live[:, part].any()]
    steps = settings.num_steps if live is None else len(live)
    first = np.arange(steps)[:, None] * settings.num_envs  # of each step
    return [(first + envs).reshape(-1) for envs in parts]
