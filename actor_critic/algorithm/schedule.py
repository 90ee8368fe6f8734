"""The coefficients of an epoch: constant, or falling linearly over the run."""

from dataclasses import dataclass, fields

from actor_critic.config import Settings


@dataclass(frozen=True)
class Coefficients:
    """The numbers of one epoch's update; meanings and ranges are those of the settings of the same name.

    ``clip_coef`` None is the unclipped policy gradient; ``max_grad_norm`` and ``target_kl`` None are off.

    A new term's coefficient is a field with its off value as default. A backend without that term is then used only
    where the coefficient is off.
    """

    learning_rate: float
    adam_beta1: float
    adam_beta2: float
    adam_epsilon: float
    clip_coef: float | None
    clip_vloss: bool
    normalize_advantages: bool
    ent_coef: float
    vf_coef: float
    max_grad_norm: float | None
    target_kl: float | None


def coefficients_of(settings: Settings, epoch: int) -> Coefficients:
    """Return the coefficients of an epoch, counted from 1; an annealed one falls linearly over the run."""
    left = 1 - (epoch - 1) / settings.num_epochs
    values = {field.name: getattr(settings, field.name) for field in fields(Coefficients)}
    values["learning_rate"] *= left if settings.anneal_lr else 1.0
    values["ent_coef"] *= left if settings.anneal_ent else 1.0
    if settings.clip_coef is not None and settings.anneal_clip:
        values["clip_coef"] *= left
    return Coefficients(**values)
