"""Masks in ``info["action_mask"]``: checks and conversion."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from actor_critic.spaces import ActionSpec, as_array, pick

KEY = "action_mask"


def read_mask(info: dict[str, Any], actions: ActionSpec) -> npt.NDArray[np.bool_] | None:
    """Return the mask [A] of the observation just returned, or None if the environment gives none.

    A mask may be one array of A entries, or one array for each group of the action space. For a Dict or Tuple space it
    may be a dict or tuple of masks.

    Raises:
        ValueError: The mask has another length, or entries that are neither 0 nor 1.
    """
    if info.get(KEY) is None:
        return None
    mask = np.concatenate([array.reshape(-1) for array in mask_arrays(info[KEY], actions)])
    if mask.shape != (actions.num_logits,):
        raise ValueError(f"{KEY} has {mask.size} entries; expected {actions.num_logits}")
    if mask.dtype != np.bool_ and not (mask.dtype.kind in "iuf" and np.isin(mask, (0, 1)).all()):
        raise ValueError(f"{KEY} is {mask.tolist()}; expected only 0 and 1, or false and true")
    return mask.astype(np.bool_)


def random_action_indices(
    actions: ActionSpec, mask: npt.NDArray[np.bool_] | None, random: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Draw allowed action indices [1, G] uniformly; where a mask allows none, draw from all."""
    weights = random.random(actions.num_logits)
    weights = weights if mask is None else np.where(mask, weights, -1.0)
    groups = np.split(weights, np.cumsum(actions.sizes)[:-1])
    return np.array([[group.argmax() for group in groups]])


def mask_arrays(
    given: Any, actions: ActionSpec, lead: int = 0, where: str = KEY, is_part: bool = False
) -> Iterator[npt.NDArray[Any]]:
    """Yield every array of a mask, in the order of the action space's parts.

    Args:
        given: One array, or one for each group of action indices, or a dict or tuple of these.
        actions: The action space.
        lead: 1 for a batch of masks, 0 for a single one.
        where: Name of the mask in error messages.
        is_part: Whether ``given`` is the mask of one part of the action space.

    Raises:
        ValueError: The mask is a dict, but the action space has no parts.
    """
    if type(given) is np.ndarray:
        yield given
    elif isinstance(given, Mapping):
        if is_part or not actions.is_nested:
            raise ValueError(f"{where} is a dict, and the action space has no parts")
        for part in actions.parts:
            yield from mask_arrays(pick(given, part.path), actions, lead, where, is_part=True)
    elif isinstance(given, (tuple, list)):
        try:  # a list of numbers, or of masks: one for each observation or stacked frame
            whole = as_array(given)
        except ValueError:  # arrays of different sizes, one for each group
            whole = np.zeros(())
        if whole.ndim == lead + 1 or (whole.ndim == lead + 2 and whole.shape[-1] == actions.num_logits):
            yield whole
        else:
            for part in given:
                yield from mask_arrays(part, actions, lead, where, is_part)
    else:
        yield as_array(given)
