"""Check that a run fits in memory before it allocates anything."""

import psutil

from actor_critic.config.settings import FEWER_ACTIONS, SMALLER_OBSERVATIONS, Settings
from actor_critic.errors import ConfigError

_FLOAT, _DOUBLE = 4, 8
_STATES_AT_A_TIME = 4096  # size of a block of random states; a block has at least one state per environment


def check_fits_in_memory(settings: Settings, is_flattened: bool = True, ranks: int = 1, here: int = 1) -> None:
    """Estimate the least memory that a run needs, and compare it with the free memory.

    Args:
        settings: With ``input_dim`` and ``output_dim`` filled in.
        is_flattened: Whether the hidden layers see all ``input_dim`` numbers; False if they see the output of a CNN.
        ranks: Number of ranks, which divide the batch.
        here: How many of them run on this machine; each has all weights.

    Raises:
        ConfigError: The run cannot fit; the message names the setting that needs the most memory.
    """
    assert settings.input_dim is not None and settings.output_dim is not None
    hidden, layers = settings.hidden_dim, settings.hidden_layers
    inputs, outputs = settings.input_dim, settings.output_dim
    seen = inputs if is_flattened else 0
    last = hidden if layers or settings.memory else seen
    trunk = seen * hidden * bool(layers) + hidden * hidden * max(layers - 1, 0)
    trunks = 1 if settings.shared_encoder else 2
    if settings.memory:
        gates = {"gru": 3, "lstm": 4}[settings.memory]
        trunk += gates * hidden * ((hidden if layers else seen) + hidden)
    weights = trunks * trunk + last * (outputs + 1)
    # A forward pass over the whole batch keeps the input and output of one layer, values and probabilities.
    batch_size, minibatch_size = (size * here // ranks for size in (settings.batch_size, settings.minibatch_size))
    one_pass = _FLOAT * batch_size * (2 * hidden * bool(layers) + 2 * outputs)
    # An optimizer step keeps the outputs of all layers and several arrays of the size of the logits.
    one_step = _FLOAT * minibatch_size * (trunks * hidden * layers + 6 * outputs)
    needs = {
        # value, gradient and both of Adam's moments
        "hidden_dim": here * 4 * _FLOAT * weights,
        # observations, features and the other numbers of each transition; overlap adds a second rollout
        "batch_size": _FLOAT * batch_size * ((3 + settings.overlap) * inputs + 16) + one_pass,
        "num_minibatches": max(one_step - one_pass, 0),
    }
    if settings.is_random_states:
        # a block of states for training, and one for evaluation
        needs["input_dim"] = 2 * _FLOAT * inputs * max(_STATES_AT_A_TIME, settings.num_envs)
        # the reward of every action in every state: an evaluation compares with the best one
        needs["evaluation_episodes"] = 2 * _FLOAT * settings.evaluation_episodes * outputs
        if settings.reward_model == "linear":
            needs["output_dim"] = 2 * _DOUBLE * outputs * inputs  # the directions, and their orientation
    total, free = sum(needs.values()), psutil.virtual_memory().available
    if total > free:
        culprit = max(needs, key=lambda name: needs[name])
        if culprit == "hidden_dim" and not settings.is_random_states and max(seen, outputs) > hidden:
            space, size, remedy = "observation", f"{inputs} numbers for the networks", SMALLER_OBSERVATIONS
            if outputs > seen:
                space, size, remedy = "action", f"{outputs} choices", FEWER_ACTIONS
            raise ConfigError(
                f"environment: the {space} space of {settings.environment} has {size}, which cannot fit: the run needs "
                f"at least {_size(total)} of memory, and {_size(free)} is free; {remedy}"
            )
        raise ConfigError(
            f"{culprit}: {getattr(settings, culprit)} cannot fit: the run needs at least {_size(total)} of memory, "
            f"{_size(needs[culprit])} of it for this setting, and {_size(free)} is free; expected a smaller "
            f"{'minibatch (more num_minibatches)' if culprit == 'num_minibatches' else culprit}"
        )


def check_evaluation_fits_in_memory(settings: Settings, episodes: int) -> None:
    """Estimate the least memory of an evaluation on random states, which runs all episodes in one batch.

    Args:
        settings: With ``input_dim`` and ``output_dim`` filled in.
        episodes: Number of episodes.

    Raises:
        ConfigError: It does not fit in the free memory.
    """
    assert settings.input_dim is not None and settings.output_dim is not None
    widest = max(settings.input_dim, settings.hidden_dim if settings.hidden_layers else 0, settings.output_dim)
    needed = _FLOAT * episodes * (settings.input_dim + widest + 2 * settings.output_dim)
    if settings.reward_model == "linear":
        needed += 2 * _DOUBLE * settings.output_dim * settings.input_dim
    free = psutil.virtual_memory().available
    if needed > free:
        raise ConfigError(
            f"evaluation_episodes: {episodes} cannot fit: the evaluation needs at least {_size(needed)} of memory, and "
            f"{_size(free)} is free; expected fewer episodes, or a machine with more memory"
        )


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} PB"
