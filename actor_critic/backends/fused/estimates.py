"""Actions, log-probabilities, values and targets of a rollout as compiled functions."""

import numpy as np

from actor_critic.backends.fused.categorical import choose, log_prob_of, normalize
from actor_critic.backends.fused.layers import CHUNK, forward, sparse, widths
from actor_critic.backends.fused.records import Networks, Outcomes, Transitions
from actor_critic.backends.fused.targets import write_targets
from actor_critic.compiling import Array, compiled, compiled_with, copy, side_by_side


@compiled
def act(
    features: Array, uniforms: Array, masks: Array, has_mask: bool, sizes: Array,
    params: Array, layers: Array, table: Array,
) -> Array:  # fmt: skip
    """Return action indices [n, G] of a policy whose layers are ``layers``; see :func:`fused.categorical.choose`."""
    n = features.shape[0]
    units = widths(layers)[1]
    zs, ys = np.empty(n * units, np.float32), np.empty(n * units, np.float32)
    logits = forward(sparse(features, layers), params, layers, table, zs, ys)
    action_indices = np.empty((n, sizes.size), np.int64)
    choose(logits, sizes, masks, has_mask, uniforms, action_indices)
    return action_indices


@compiled
def write_log_probs(
    inputs: Array, actions: Array, masks: Array, has_mask: bool, sizes: Array,
    params: Array, layers: Array, table: Array, found: Array,
) -> None:  # fmt: skip
    """Write the log-probabilities of actions [n, G] into ``found`` [n]."""
    count = inputs.shape[0]
    units = widths(layers)[1]
    zs, ys = np.empty(min(count, CHUNK) * units, np.float32), np.empty(min(count, CHUNK) * units, np.float32)
    for first in range(0, count, CHUNK):
        rows = slice(first, min(first + CHUNK, count))
        logits = forward(inputs[rows], params, layers, table, zs, ys)
        log_probs, probs = np.empty_like(logits), np.empty_like(logits)
        normalize(logits, sizes, masks[rows] if has_mask else masks, has_mask, log_probs, probs)
        log_prob_of(log_probs, sizes, actions[rows], found[rows])


@compiled_with(nogil=True)
def action_log_probs(
    features: Array, actions: Array, masks: Array, has_mask: bool, sizes: Array,
    params: Array, layers: Array, table: Array,
) -> Array:  # fmt: skip
    """Return log-probabilities [n] of actions [n, G]."""
    found = np.empty(features.shape[0], np.float32)
    write_log_probs(sparse(features, layers), actions, masks, has_mask, sizes, params, layers, table, found)
    return found


@compiled
def write_values(inputs: Array, params: Array, layers: Array, table: Array, found: Array) -> None:
    """Write the values of inputs, which are features as the first layer takes them, into ``found`` [n]."""
    count = inputs.shape[0]
    units = widths(layers)[1]
    zs, ys = np.empty(min(count, CHUNK) * units, np.float32), np.empty(min(count, CHUNK) * units, np.float32)
    for first in range(0, count, CHUNK):
        rows = slice(first, min(first + CHUNK, count))
        values = forward(inputs[rows], params, layers, table, zs, ys)
        copy(values.reshape(-1), found[rows])


@compiled_with(nogil=True)
def state_values(features: Array, params: Array, layers: Array, table: Array) -> Array:
    """Return the values [n] of features [n, F]."""
    found = np.empty(features.shape[0], np.float32)
    write_values(sparse(features, layers), params, layers, table, found)
    return found


log_probs_and_values = side_by_side(write_log_probs, write_values)


@compiled
def write_estimates(
    batch: Transitions, inputs: Array, outcomes: Outcomes, networks: Networks, policy: Array, value: Array,
    wants_log_probs: bool, post: Array,
) -> tuple[float, float, float, float]:  # fmt: skip
    """Write values, targets and, if wanted, log-probabilities of the actions into the batch; return the moments of
    :func:`fused.targets.write_targets`.

    ``policy`` and ``value`` are all layers of both networks, and ``inputs`` the features as the first layer takes them.
    With the ``post`` of a helper, another thread computes the values if log-probabilities are wanted.
    """
    params, table, finals = networks.params, networks.table, outcomes.final_features
    seen = inputs[: batch.actions.shape[0]]
    if wants_log_probs:
        log_probs_and_values(
            post,
            (
                seen, batch.actions, batch.masks, batch.has_mask, networks.sizes, params, policy, table,
                batch.old_log_probs,
            ),
            (inputs, params, value, table, batch.old_values),
        )  # fmt: skip
    else:
        write_values(inputs, params, value, table, batch.old_values)
    final_values = np.empty(finals.shape[0], np.float32)
    if final_values.size > 0:
        write_values(sparse(finals, value), params, value, table, final_values)
    return write_targets(batch, outcomes, final_values)


@compiled_with(nogil=True)
def estimate(
    batch: Transitions, outcomes: Outcomes, networks: Networks, policy: Array, value: Array, wants_log_probs: bool,
    post: Array,
) -> tuple[float, float, float, float]:  # fmt: skip
    """Write estimates and targets into the batch; see :func:`write_estimates`."""
    inputs = sparse(batch.features, value)
    return write_estimates(batch, inputs, outcomes, networks, policy, value, wants_log_probs, post)
