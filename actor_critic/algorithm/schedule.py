"""The coefficients of an epoch: constant or linearly annealed over the run."""

from dataclasses import fields

from actor_critic.algorithm.objective import Coefficients
from actor_critic.config import Settings

_NAMES = tuple(field.name for field in fields(Coefficients))


def coefficients_of(settings: Settings, epoch: int) -> Coefficients:
    """Return the coefficients of an epoch, from 1; annealed ones fall linearly over the run."""
    left = 1 - (epoch - 1) / settings.num_epochs
    values = {name: getattr(settings, name) for name in _NAMES}
    values["learning_rate"] *= left if settings.anneal_lr else 1.0
    values["ent_coef"] *= left if settings.anneal_ent else 1.0
    if settings.clip_coef is not None and settings.anneal_clip:
        values["clip_coef"] *= left
    return Coefficients(**values)
