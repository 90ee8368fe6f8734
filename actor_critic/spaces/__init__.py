"""Action and observation spaces, reduced to what networks and buffers need: sizes, shapes and dtypes."""

from actor_critic.spaces.actions import ActionSpec
from actor_critic.spaces.left_out import NOT_CHOSEN, leave_out, left_out
from actor_critic.spaces.nesting import Path, assemble, at_path, describe_path, parts_of, pick
from actor_critic.spaces.observation_part import (
    BYTE_SCALE,
    NUMBERS,
    PICTURE_SIDE,
    ObservationPart,
    as_array,
    is_readable,
)
from actor_critic.spaces.observations import ObservationSpec
from actor_critic.spaces.read import Spec, read_spaces, spaces_of, spec_mismatch
from actor_critic.spaces.stacked import stacked

__all__ = [
    "BYTE_SCALE",
    "NOT_CHOSEN",
    "NUMBERS",
    "PICTURE_SIDE",
    "ActionSpec",
    "ObservationPart",
    "ObservationSpec",
    "Path",
    "Spec",
    "as_array",
    "assemble",
    "at_path",
    "describe_path",
    "is_readable",
    "leave_out",
    "left_out",
    "parts_of",
    "pick",
    "read_spaces",
    "spaces_of",
    "spec_mismatch",
    "stacked",
]
