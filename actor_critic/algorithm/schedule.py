"""The coefficients of an epoch: constant, or falling linearly over the run."""

from dataclasses import dataclass

from actor_critic.config import Settings


@dataclass(frozen=True)
class Coefficients:
    """The numbers of one epoch's update; meanings and ranges are those of the settings of the same name.

    ``clip_coef`` None is the unclipped policy gradient; ``max_grad_norm`` and ``target_kl`` None are off.
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
    """The coefficients of an epoch, counted from 1; what is annealed falls linearly over the run."""
    left = 1 - (epoch - 1) / settings.num_epochs
    clip_coef = settings.clip_coef
    return Coefficients(
        learning_rate=settings.learning_rate * (left if settings.anneal_lr else 1.0),
        adam_beta1=settings.adam_beta1,
        adam_beta2=settings.adam_beta2,
        adam_epsilon=settings.adam_epsilon,
        clip_coef=clip_coef * left if clip_coef is not None and settings.anneal_clip else clip_coef,
        clip_vloss=settings.clip_vloss,
        normalize_advantages=settings.normalize_advantages,
        ent_coef=settings.ent_coef * (left if settings.anneal_ent else 1.0),
        vf_coef=settings.vf_coef,
        max_grad_norm=settings.max_grad_norm,
        target_kl=settings.target_kl,
    )
