"""The arguments of the compiled functions, in groups; all arrays are contiguous."""

from typing import NamedTuple

import numpy as np

from actor_critic.compiling import Array


class Transitions(NamedTuple):
    """The transitions of an epoch, as in :class:`actor_critic.algorithm.Batch`.

    ``masks`` is unused without ``has_mask``. With ``is_single`` all ratios are 1, and ``old_log_probs`` is unused.
    """

    features: Array
    actions: Array
    masks: Array
    has_mask: bool
    old_log_probs: Array
    is_single: bool
    old_values: Array
    advantages: Array
    returns: Array


class Outcomes(NamedTuple):
    """What followed from the actions of an epoch, as in :class:`actor_critic.algorithm.Experience`.

    ``valid`` is unused without ``has_valid``; ``decay`` is γλ.
    """

    rewards: Array
    terminated: Array
    ended: Array
    has_valid: bool
    valid: Array
    final_features: Array
    final_steps: Array
    final_envs: Array
    gamma: np.float32
    decay: np.float32


class Networks(NamedTuple):
    """Both networks in flat arrays.

    ``trunk`` contains the layers that both networks share; it may be empty. ``policy`` and ``value`` contain the layers
    above it. ``sizes`` contains the number of choices in each action group. ``table`` contains the addresses of
    functions; see :func:`fused.gradients.learning_addresses`.
    """

    params: Array
    grads: Array
    trunk: Array
    policy: Array
    value: Array
    sizes: Array
    table: Array


class Objective(NamedTuple):
    """The coefficients of the loss; ``clip_coef``, ``value_clip`` and ``target_kl`` are infinite if they are off."""

    clip_coef: float
    value_clip: float
    normalizes: bool
    min_advantage_std: float
    ent_coef: float
    vf_coef: float
    target_kl: float


class Optimizer(NamedTuple):
    """Adam: moments, steps taken so far and coefficients; an infinite ``max_grad_norm`` is off."""

    first_moment: Array
    second_moment: Array
    steps: int
    learning_rate: float
    beta1: float
    beta2: float
    epsilon: float
    max_grad_norm: float


class Share(NamedTuple):
    """What a thread computes of the gradients: those of the policy, the value function, or both.

    They are the entries ``first`` to ``last``; those of the value function alone begin with ``split``. ``metrics`` [6]
    gets the metrics of a minibatch and the squared norm of these entries.

    The other arrays are memory for a chunk of rows: the outputs of all layers before and after activation, and their
    gradients. ``part`` contains the gradients of a chunk after the first one.
    """

    has_policy: bool
    has_value: bool
    first: int
    split: int
    last: int
    metrics: Array
    zt: Array
    yt: Array
    zp: Array
    yp: Array
    zv: Array
    yv: Array
    deltas: Array
    part: Array


class Parts(NamedTuple):
    """A rank's portions of all minibatches, as in :class:`actor_critic.algorithm.Portions`."""

    rows: Array
    advantages: Array
    borders: Array
    weights: Array


class Exchange(NamedTuple):
    """Memory that the ranks of a machine share, as in :class:`actor_critic.ranks.Memory`.

    ``places`` [2, K, numbers] are float32. ``step`` is the number of exchanges before this update.
    """

    flags: Array
    places: Array
    place: int
    step: int
    yields: int
    naps: int


DONE, LATE, NOT_FINITE = range(3)

ADDRESSES = 5
FORWARD, BACKWARD, CONVOLVE, CONVOLVE_BACK, GRADIENTS = range(ADDRESSES)
"""Places in a table of the addresses of compiled functions."""
