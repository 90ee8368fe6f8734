"""Actions, log-probabilities and values of a rollout as compiled functions."""

import numpy as np

from actor_critic.backends.fused.categorical import choose, log_prob_of, normalize
from actor_critic.backends.fused.layers import CHUNK, forward, sparse, widths
from actor_critic.backends.fused.records import Networks
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
    features: Array, actions: Array, masks: Array, has_mask: bool, sizes: Array,
    params: Array, layers: Array, table: Array, found: Array,
) -> None:  # fmt: skip
    """Write the log-probabilities of actions [n, G] into ``found`` [n]."""
    count = features.shape[0]
    units = widths(layers)[1]
    zs, ys = np.empty(min(count, CHUNK) * units, np.float32), np.empty(min(count, CHUNK) * units, np.float32)
    for first in range(0, count, CHUNK):
        rows = slice(first, min(first + CHUNK, count))
        logits = forward(sparse(features[rows], layers), params, layers, table, zs, ys)
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
    write_log_probs(features, actions, masks, has_mask, sizes, params, layers, table, found)
    return found


@compiled
def write_values(features: Array, params: Array, layers: Array, table: Array, found: Array) -> None:
    """Write the values of features [n, F] into ``found`` [n]."""
    count = features.shape[0]
    units = widths(layers)[1]
    zs, ys = np.empty(min(count, CHUNK) * units, np.float32), np.empty(min(count, CHUNK) * units, np.float32)
    for first in range(0, count, CHUNK):
        rows = slice(first, min(first + CHUNK, count))
        values = forward(sparse(features[rows], layers), params, layers, table, zs, ys)
        copy(values.reshape(-1), found[rows])


@compiled_with(nogil=True)
def state_values(features: Array, params: Array, layers: Array, table: Array) -> Array:
    """Return the values [n] of features [n, F]."""
    found = np.empty(features.shape[0], np.float32)
    write_values(features, params, layers, table, found)
    return found


log_probs_and_values = side_by_side(write_log_probs, write_values)


@compiled_with(nogil=True)
def estimates(
    features: Array, actions: Array, masks: Array, has_mask: bool, networks: Networks, policy: Array, value: Array,
    post: Array,
) -> tuple[Array, Array]:  # fmt: skip
    """Return the log-probabilities [m] of actions [m, G] for the first m of the features [n, F], and all values [n].

    ``policy`` and ``value`` are all layers of both networks. With the ``post`` of a helper, another thread computes the
    values.
    """
    params, table, seen = networks.params, networks.table, features[: actions.shape[0]]
    log_probs, values = np.empty(seen.shape[0], np.float32), np.empty(features.shape[0], np.float32)
    log_probs_and_values(
        post,
        (seen, actions, masks, has_mask, networks.sizes, params, policy, table, log_probs),
        (features, params, value, table, values),
    )
    return log_probs, values
