"""Checks of the inputs of an agent: observations, masks, hidden states."""

from typing import Any

import numpy as np
import numpy.typing as npt

from actor_critic.environments import read_masks
from actor_critic.spaces import ActionSpec, ObservationSpec


def read_observations(observation: Any, spec: ObservationSpec) -> tuple[npt.NDArray[Any], bool]:
    """Return observations as a batch [B, *shape], and whether the input was a single one.

    Raises:
        ValueError: The shape or dtype is wrong, or a number is not finite.
    """
    with np.errstate(over="ignore"):  # a number too large for its type is an error below
        batch, is_single = spec.as_batch(observation)
    for numbers in spec.floats(batch):
        if not np.isfinite(numbers).all():
            raise ValueError("observation: a number in it is not finite")
    return batch, is_single


def read_action_mask(
    given: npt.ArrayLike | None, inside: Any, actions: ActionSpec, count: int | None
) -> npt.NDArray[np.bool_] | None:
    """Return the mask [B, A] of a batch; None if all actions are allowed.

    Args:
        given: The mask from the argument, [A] or [B, A]; None allows all.
        inside: The mask inside the observation; None allows all.
        actions: The action space.
        count: B; None for one observation.

    Raises:
        ValueError: The shape or dtype is wrong, no action is allowed, or the two masks differ.
    """
    mask = None if given is None else actions.check_mask(np.asarray(given), count)
    if inside is None:
        return mask
    found = read_masks(inside, actions, count)
    if mask is not None and (mask != found).any():
        raise ValueError("action_mask: it contradicts the mask inside the observation; give one of the two")
    return actions.check_mask(found, len(found))


def read_hidden_state(state: npt.NDArray[np.float32] | None, count: int | None, width: int) -> npt.NDArray[np.float32]:
    """Return hidden states [B, S]; zeros if the caller gave none.

    Args:
        state: The caller's hidden states, [S] or [B, S], or None.
        count: B; None for one observation.
        width: S; 0 without memory.

    Raises:
        ValueError: The shape or dtype is wrong, or the policy has no memory.
    """
    if state is None:
        return np.zeros((1 if count is None else count, width), np.float32)
    if not width:
        raise ValueError("state: this policy has no memory; expected None")
    expected = (width,) if count is None else (count, width)
    array = np.asarray(state)
    if array.shape != expected or array.dtype != np.float32:
        raise ValueError(
            f"state: {array.shape} {array.dtype} does not fit; expected {expected} float32, as the previous call "
            f"returned it"
        )
    if not np.isfinite(array).all():
        raise ValueError("state: a number in it is not finite")
    return np.array(array.reshape(-1, width), order="C")  # PyTorch takes no negative strides, and no read-only memory
