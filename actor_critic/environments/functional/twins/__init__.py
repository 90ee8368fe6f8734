"""Twins of Gymnasium's own environments, as functional environments that give the same bits."""

from actor_critic.environments.functional.twins.difference import difference_from_original
from actor_critic.environments.functional.twins.make import TWINS, make_twin
from actor_critic.environments.functional.twins.twin import Twin

__all__ = ["TWINS", "Twin", "difference_from_original", "make_twin"]
