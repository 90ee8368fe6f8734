"""Whether a run fits in memory, asked before anything is allocated."""

import psutil

from actor_critic.config.settings import Settings
from actor_critic.errors import ConfigError

_FLOAT = 4


def check_fits_in_memory(settings: Settings) -> None:
    """Estimate what a run needs at least and compare it with the memory that is free.

    Args:
        settings: With ``input_dim`` and ``output_dim`` filled in.

    Raises:
        ConfigError: It cannot fit; the message names the setting that asks for most.
    """
    assert settings.input_dim is not None and settings.output_dim is not None
    hidden, layers = settings.hidden_dim, settings.hidden_layers
    inputs, outputs = settings.input_dim, settings.output_dim
    last = hidden if layers else inputs
    weights = 2 * (inputs * hidden * bool(layers) + hidden * hidden * max(layers - 1, 0)) + last * (outputs + 1)
    needs = {
        # value, gradient and both of Adam's moments
        "hidden_dim": 4 * _FLOAT * weights,
        # observations as collected, as features, and the figures of each transition
        "batch_size": _FLOAT * settings.batch_size * (3 * inputs * settings.frame_stack + 16),
        # activations kept for the backward pass, and the logits with their probabilities
        "num_minibatches": _FLOAT * settings.minibatch_size * (4 * hidden * layers + 6 * outputs),
    }
    if settings.is_random_states and inputs >= outputs - 1:
        needs["output_dim"] = 4 * 8 * outputs * outputs  # the reward model's directions
    total, free = sum(needs.values()), psutil.virtual_memory().available
    if total > free:
        culprit = max(needs, key=lambda name: needs[name])
        raise ConfigError(
            f"{culprit}: {getattr(settings, culprit)} cannot fit: the run needs at least {_size(total)} of memory, "
            f"{_size(needs[culprit])} of it for this setting, and {_size(free)} is free; expected a smaller "
            f"{'minibatch (more num_minibatches)' if culprit == 'num_minibatches' else culprit}"
        )


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} PB"
