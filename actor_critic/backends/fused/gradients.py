"""The gradients of a minibatch as a compiled function."""

import functools

import numpy as np
import numpy.typing as npt
from numba import boolean, float64, int64, void
from numba.core.types import NamedTuple

from actor_critic.backends.fused.adam import square_sum
from actor_critic.backends.fused.categorical import normalize
from actor_critic.backends.fused.layers import (
    BIASES,
    CHUNK,
    FLOATS,
    INPUTS,
    INTEGER_ROWS,
    INTEGERS,
    ROWS,
    WEIGHTS,
    backward,
    forward,
    layer_addresses,
    widths,
)
from actor_critic.backends.fused.losses import normalize_advantages, policy_slopes, value_slopes
from actor_critic.backends.fused.records import GRADIENTS, Networks, Objective, Share, Transitions
from actor_critic.compiling import Array, add, address_of, calling, compiled

_TRANSITIONS = NamedTuple(
    (ROWS, INTEGER_ROWS, boolean[:, ::1], boolean, FLOATS, boolean, FLOATS, FLOATS, FLOATS), Transitions
)
_NETWORKS = NamedTuple((FLOATS, FLOATS, INTEGER_ROWS, INTEGER_ROWS, INTEGER_ROWS, INTEGERS, INTEGERS), Networks)
_OBJECTIVE = NamedTuple((float64, float64, boolean, float64, float64, float64, float64), Objective)
_SHARE = NamedTuple((boolean, boolean, int64, int64, int64, float64[::1]) + (FLOATS,) * 6 + (ROWS, FLOATS), Share)
_GRADIENTS = void(_TRANSITIONS, ROWS, INTEGERS, _NETWORKS, _OBJECTIVE, _SHARE)
_call_gradients = calling(_GRADIENTS)


@functools.cache
def learning_addresses(convolves: bool) -> npt.NDArray[np.int64]:
    """Return the addresses of all functions that :func:`gradients` needs; see
    :func:`fused.layers.layer_addresses`.
    """
    table = layer_addresses(convolves, learns=True).copy()
    table[GRADIENTS] = address_of(_gradients, _GRADIENTS)
    return table


@compiled
def new_share(networks: Networks, borders: Array, has_policy: bool, has_value: bool) -> Share:
    """Return a share of the gradients, with memory for the largest minibatch."""
    (most_t, sum_t), (most_p, sum_p) = widths(networks.trunk), widths(networks.policy)
    most_v, sum_v = widths(networks.value)
    # The parameters that only the value function has come last.
    split = size = networks.grads.size
    for index in range(networks.value.shape[0]):
        split = min(split, networks.value[index, WEIGHTS], networks.value[index, BIASES])
    most = 0
    for k in range(borders.size - 1):
        most = max(most, borders[k + 1] - borders[k])
    room = min(most, CHUNK)
    zt, yt = np.empty(room * sum_t, np.float32), np.empty(room * sum_t, np.float32)
    zp, yp = np.empty(room * sum_p * has_policy, np.float32), np.empty(room * sum_p * has_policy, np.float32)
    zv, yv = np.empty(room * sum_v * has_value, np.float32), np.empty(room * sum_v * has_value, np.float32)
    deltas = np.empty((4, room * max(most_t, most_p, most_v)), np.float32)
    part = np.empty(size if most > CHUNK else 0, np.float32)
    first, last = 0 if has_policy else split, size if has_value else split
    return Share(has_policy, has_value, first, split, last, np.empty(6), zt, yt, zp, yp, zv, yv, deltas, part)


@compiled
def gradients(
    batch: Transitions, inputs: Array, rows: Array, networks: Networks, objective: Objective, share: Share
) -> None:
    """Write the gradients of a minibatch, given by its rows of the batch, and their metrics into a share.

    ``inputs`` are the features as the first layer takes them. The first five metrics have the order of
    :class:`actor_critic.algorithm.Metrics`.
    """
    _call_gradients(networks.table[GRADIENTS], batch, inputs, rows, networks, objective, share)


@compiled
def _gradients(
    batch: Transitions, inputs: Array, rows: Array, networks: Networks, objective: Objective, share: Share
) -> None:
    params, trunk, policy, value, sizes, table = (
        networks.params, networks.trunk, networks.policy, networks.value, networks.sizes, networks.table
    )  # fmt: skip
    grads, deltas, metrics = networks.grads, share.deltas, share.metrics
    has_mask, is_single = batch.has_mask, batch.is_single
    is_shared = trunk.shape[0] > 0
    num_logits = sizes.sum()
    n = rows.size
    advantage = batch.advantages[rows] if share.has_policy else batch.advantages[:0]
    if share.has_policy and objective.normalizes:
        normalize_advantages(advantage, objective.min_advantage_std)
    metrics[:] = 0.0
    for begin in range(0, n, CHUNK):
        these = rows[begin : begin + CHUNK]
        count = these.size
        into = grads if begin == 0 else share.part
        x = inputs[these]
        seen = forward(x, params, trunk, table, share.zt, share.yt) if is_shared else x
        if share.has_policy:
            action = batch.actions[these]
            mask = batch.masks[these] if has_mask else batch.masks
            logits = forward(seen, params, policy, table, share.zp, share.yp)
            log_probs = np.empty_like(logits)
            probs = np.empty_like(logits)
            normalize(logits, sizes, mask, has_mask, log_probs, probs)
            old = batch.old_log_probs if is_single else batch.old_log_probs[these]
            slopes = deltas[0, : count * num_logits].reshape(count, num_logits)
            policy_slopes(
                log_probs, probs, sizes, action, old, advantage[begin : begin + CHUNK], n, is_single,
                objective.clip_coef, objective.ent_coef, slopes, metrics,
            )  # fmt: skip
            above = backward(seen, params, into, policy, table, share.zp, share.yp, deltas[0], deltas[1], is_shared)
        if share.has_value:
            values = forward(seen, params, value, table, share.zv, share.yv)
            slopes = deltas[2, :count].reshape(count, 1)
            value_slopes(
                values, batch.old_values[these], batch.returns[these], n, objective.value_clip, objective.vf_coef,
                slopes, metrics,
            )  # fmt: skip
            beside = backward(seen, params, into, value, table, share.zv, share.yv, deltas[2], deltas[3], is_shared)
        if is_shared:
            used = count * policy[0, INPUTS]
            add(beside[:used], above[:used])
            backward(x, params, into, trunk, table, share.zt, share.yt, above, beside, False)
        if begin > 0:
            add(share.part[share.first : share.last], grads[share.first : share.last])
    # Several ranks ignore it: theirs is the norm of the summed gradient.
    metrics[5] = square_sum(grads[share.first : share.split]) + square_sum(grads[share.split : share.last])
