"""Action and observation spaces, reduced to what networks and buffers need: sizes, shapes and dtypes."""

from actor_critic.spaces.actions import ActionSpec
from actor_critic.spaces.observations import ObservationPart, ObservationSpec
from actor_critic.spaces.read import Spec, difference, read_spaces, spaces_of

__all__ = ["ActionSpec", "ObservationPart", "ObservationSpec", "Spec", "difference", "read_spaces", "spaces_of"]
