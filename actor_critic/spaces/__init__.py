"""Action and observation spaces, reduced to what networks and buffers need: sizes, shapes and dtypes."""

from actor_critic.spaces.actions import ActionSpec
from actor_critic.spaces.nesting import Path, assemble, describe, parts_of, pick
from actor_critic.spaces.observations import PICTURE_SIDE, ObservationPart, ObservationSpec, as_array
from actor_critic.spaces.read import Spec, difference, read_spaces, spaces_of
from actor_critic.spaces.stacked import stacked

__all__ = [
    "PICTURE_SIDE",
    "ActionSpec",
    "ObservationPart",
    "ObservationSpec",
    "Path",
    "Spec",
    "as_array",
    "assemble",
    "describe",
    "difference",
    "parts_of",
    "pick",
    "read_spaces",
    "spaces_of",
    "stacked",
]
