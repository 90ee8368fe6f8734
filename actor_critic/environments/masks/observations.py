"""Masks that an environment returns inside its observations."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from actor_critic.environments.masks.reading import KEY, mask_arrays
from actor_critic.spaces import ActionSpec, ObservationSpec, pick


def take_mask(observation: Any, spec: ObservationSpec) -> tuple[Any, Any]:
    """Split an observation, or a batch of them, from the mask in it.

    Args:
        observation: As the environment returns it. An ``"action_mask"`` entry at its top is the mask. If one other
            entry is left, that entry is the observation.
        spec: The observation space of the policy.

    Returns:
        The observation for the policy, and the unchanged mask or None.
    """
    if not isinstance(observation, Mapping) or KEY not in observation:
        return observation, None
    mask = observation[KEY]
    if any(part.path[:1] == (KEY,) for part in spec.parts):  # the policy sees the mask, too
        return observation, mask
    rest = {name: value for name, value in observation.items() if name != KEY}
    if len(rest) == 1:
        (only,) = rest.values()
        if _has_all(only, spec):
            return only, mask
    return rest, mask


def read_masks(given: Any, actions: ActionSpec, count: int | None) -> npt.NDArray[np.bool_]:
    """Convert the masks from an observation or a batch to an array [count or 1, A].

    A wrapper that stacks observations also stacks their masks. An array then has one more axis in front, and the last
    mask is used.

    Args:
        given: The mask entry of the observation or batch: one array, or one for each group or part of an action.
        actions: The action space.
        count: Observations in the batch; None for a single one.

    Raises:
        ValueError: The masks do not fit the action space.
    """
    rows, lead = (1, 0) if count is None else (count, 1)
    arrays = list(mask_arrays(given, actions, lead, f"{KEY} in the observation"))
    if any(array.dtype.kind not in "biuf" or not np.isin(array, (0, 1)).all() for array in arrays):
        raise ValueError(f"{KEY} in the observation: expected only 0 and 1, or false and true")
    frames, left = divmod(sum(array.size for array in arrays), rows * actions.num_logits)
    fits = all(count is None or array.shape[:1] == (count,) for array in arrays)
    fits &= frames == 1 or all(array.shape[lead : lead + 1] == (frames,) for array in arrays)
    if left or not frames or not fits:
        shapes = ", ".join(str(array.shape) for array in arrays)
        expected = (actions.num_logits,) if count is None else (count, actions.num_logits)
        raise ValueError(f"{KEY} in the observation: shape {shapes} does not fit; expected {expected}")
    return np.concatenate([array.reshape(rows, frames, -1)[:, -1] for array in arrays], 1).astype(np.bool_)


def _has_all(value: Any, spec: ObservationSpec) -> bool:
    try:
        for part in spec.parts:
            pick(value, part.path)
    except ValueError:
        return False
    return True
