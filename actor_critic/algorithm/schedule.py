"""The coefficients of an epoch: constant or linearly annealed over the run."""

from dataclasses import dataclass, fields

from actor_critic.config import Settings


@dataclass(frozen=True)
class Coefficients:
    """The coefficients of one update; each is documented at the setting of the same name.

    None turns ``clip_coef``, ``max_grad_norm`` or ``target_kl`` off; without ``clip_coef`` the policy gradient is
    unclipped.

    To add a term, add its coefficient as a field whose default is its off value. A backend without that term is then
    used only if the coefficient is off.
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
    """Return the coefficients of an epoch, from 1; annealed ones fall linearly over the run."""
    left = 1 - (epoch - 1) / settings.num_epochs
    values = {field.name: getattr(settings, field.name) for field in fields(Coefficients)}
    values["learning_rate"] *= left if settings.anneal_lr else 1.0
    values["ent_coef"] *= left if settings.anneal_ent else 1.0
    if settings.clip_coef is not None and settings.anneal_clip:
        values["clip_coef"] *= left
    return Coefficients(**values)
