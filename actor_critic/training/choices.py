"""Which actions a policy takes during training, for a picture of the run."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from actor_critic.rollouts import Rollout
from actor_critic.spaces import ActionSpec

_COUNTED = 200  # about how many epochs of a run are counted, because counting takes time


@dataclass(frozen=True)
class Choices:
    """The actions of an epoch.

    Attributes:
        frequencies: [A], how often each choice was taken, as a share; the choices of one group add up to 1.
        forced: The share of states in which the mask allowed a single action; 0 without masks.
    """

    frequencies: npt.NDArray[np.float64]
    forced: float


def are_counted(epoch: int, num_epochs: int) -> bool:
    """Return whether the actions of an epoch are counted: those of about 200 epochs of a run, and of the last one."""
    return epoch % max(1, num_epochs // _COUNTED) == 0 or epoch == num_epochs


def count_choices(rollout: Rollout, actions: ActionSpec) -> Choices:
    """Count the actions of a rollout."""
    valid = slice(None) if rollout.valid is None else rollout.valid.reshape(-1)
    taken = rollout.actions.reshape(-1, actions.num_groups)[valid]
    starts = np.cumsum((0, *actions.sizes[:-1]))
    counts = np.bincount((taken + starts).reshape(-1), minlength=actions.num_logits)
    forced = 0.0
    if rollout.masks is not None:
        allowed = rollout.masks[: len(rollout.rewards)].reshape(-1, actions.num_logits)[valid]
        forced = float((allowed.sum(1) == actions.num_groups).mean())
    return Choices(counts / len(taken), forced)
