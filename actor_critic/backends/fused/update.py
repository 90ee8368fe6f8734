"""All optimizer steps of an epoch as a compiled function."""

import math

import numpy as np

from actor_critic.backends.fused.adam import adam_part, adam_step, square_sum
from actor_critic.backends.fused.estimates import write_estimates
from actor_critic.backends.fused.gradients import gradients, new_share
from actor_critic.backends.fused.layers import sparse
from actor_critic.backends.fused.records import (
    DONE,
    LATE,
    NOT_FINITE,
    Exchange,
    Networks,
    Objective,
    Optimizer,
    Outcomes,
    Parts,
    Transitions,
)
from actor_critic.compiling import Array, add, compiled, compiled_with, copy, side_by_side, wait


@compiled
def network_inputs(batch: Transitions, networks: Networks) -> Array:
    """Return the features of a batch as the first layer takes them."""
    return sparse(batch.features, networks.trunk if networks.trunk.shape[0] > 0 else networks.value)


two_gradients = side_by_side(gradients, gradients)
two_adam_steps = side_by_side(adam_step, adam_step)


@compiled_with(nogil=True)
def learn(
    batch: Transitions, outcomes: Outcomes, wants_log_probs: bool, rows: Array, borders: Array, networks: Networks,
    policy: Array, value: Array, objective: Objective, optimizer: Optimizer, post: Array, update_post: Array,
    totals: Array,
) -> tuple[int, bool, tuple[float, float, float, float]]:  # fmt: skip
    """Write the estimates into the batch, then take one optimizer step per minibatch.

    Returns:
        What :func:`take_steps` returns, and the moments of :func:`fused.estimates.write_estimates`.
    """
    inputs = network_inputs(batch, networks)
    moments = write_estimates(batch, inputs, outcomes, networks, policy, value, wants_log_probs, post)
    taken, is_bad = take_steps(batch, inputs, rows, borders, networks, objective, optimizer, update_post, totals)
    return taken, is_bad, moments


@compiled_with(nogil=True)
def update(
    batch: Transitions, rows: Array, borders: Array, networks: Networks, objective: Objective, optimizer: Optimizer,
    post: Array, totals: Array,
) -> tuple[int, bool]:  # fmt: skip
    """Take one optimizer step per minibatch; see :func:`take_steps`."""
    inputs = network_inputs(batch, networks)
    return take_steps(batch, inputs, rows, borders, networks, objective, optimizer, post, totals)


@compiled
def take_steps(
    batch: Transitions, inputs: Array, rows: Array, borders: Array, networks: Networks, objective: Objective,
    optimizer: Optimizer, post: Array, totals: Array,
) -> tuple[int, bool]:  # fmt: skip
    """Take one optimizer step per minibatch: entries ``borders[k]`` to ``borders[k + 1]`` of ``rows``.

    Adds the metrics of each step to ``totals``: policy loss, value loss, entropy, KL, clip fraction, gradient norm.

    With the ``post`` of a helper, another thread does the part of the value function; the results are the same.

    Returns:
        The steps taken, and whether the gradient of the next step was not finite; ``totals`` then contains the metrics
        of that step.
    """
    params, grads, has_helper = networks.params, networks.grads, post.size > 0
    # Not constants: Numba compiles a function again for each set of them, for seconds.
    flags = np.array([True, False])
    yes, no = flags[0], flags[1]
    mine = new_share(networks, borders, yes, not has_helper)
    theirs = new_share(networks, borders if has_helper else borders[:1], no, yes)
    metrics = mine.metrics
    taken = 0
    for k in range(borders.size - 1):
        minibatch = rows[borders[k] : borders[k + 1]]
        if minibatch.size == 0:
            continue
        if has_helper:
            two_gradients(
                post,
                (batch, inputs, minibatch, networks, objective, mine),
                (batch, inputs, minibatch, networks, objective, theirs),
            )
            metrics[1] = theirs.metrics[1]
            metrics[5] += theirs.metrics[5]
        else:
            gradients(batch, inputs, minibatch, networks, objective, mine)
        if metrics[3] > 1.5 * objective.target_kl:
            break
        metrics[5] = norm = math.sqrt(metrics[5])
        if not math.isfinite(norm):
            copy(metrics, totals)
            return taken, True
        scale = min(1.0, optimizer.max_grad_norm / (norm + 1e-6))
        taken += 1
        two_adam_steps(
            post,
            adam_part(params, grads, optimizer, mine.first, mine.split, scale, taken),
            adam_part(params, grads, optimizer, theirs.split, theirs.last, scale, taken),
        )
        add(metrics, totals)
    return taken, False


@compiled_with(nogil=True)
def gradient(batch: Transitions, inputs: Array, rows: Array, networks: Networks, objective: Objective) -> Array:
    """Write the gradient of some rows of the batch, and return their metrics [5]; see :func:`gradients`."""
    whole = new_share(networks, np.array([0, rows.size]), True, True)
    gradients(batch, inputs, rows, networks, objective, whole)
    return whole.metrics[:5]


@compiled_with(nogil=True)
def clipped_step(params: Array, grads: Array, optimizer: Optimizer, taken: int) -> float:
    """Clip the gradient, take a step with it unless it is not finite, and return its norm before clipping.

    ``taken`` is the number of steps that were taken since ``optimizer`` was made.
    """
    norm = math.sqrt(square_sum(grads))
    if math.isfinite(norm):
        scale = min(1.0, optimizer.max_grad_norm / (norm + 1e-6))
        adam_step(*adam_part(params, grads, optimizer, 0, params.size, scale, taken + 1))
    return norm


@compiled_with(nogil=True)
def update_in_memory(
    batch: Transitions, inputs: Array, parts: Parts, networks: Networks, objective: Objective, optimizer: Optimizer,
    exchange: Exchange, progress: Array, totals: Array,
) -> int:  # fmt: skip
    """Take one optimizer step per minibatch, with the gradients and metrics of all ranks summed in order of rank.

    Adds the metrics of each step to ``totals``: policy loss, value loss, entropy, KL, clip fraction, gradient norm.

    ``progress`` [3] holds the exchanges done, whether the next one is waited for, and the steps taken. With it, this
    function continues where it returned LATE.

    Returns:
        DONE; LATE if another rank did not come for some time; or NOT_FINITE, with the metrics of the step that was not
        taken in ``totals``.
    """
    params, grads = networks.params, networks.grads
    size, count = grads.size, exchange.places.shape[1]
    whole, numbers = new_share(networks, parts.borders, True, True), np.empty(6)
    while progress[0] < parts.borders.size - 1:
        k = progress[0]
        half = exchange.places[(exchange.step + k) % 2]
        if progress[1] == 0:
            mine = half[exchange.place]
            mine[: size + 5] = np.float32(0.0)
            first, last = parts.borders[k], parts.borders[k + 1]
            if last > first:
                rows = parts.rows[first:last]
                for r in range(rows.size):
                    batch.advantages[rows[r]] = parts.advantages[first + r]
                gradients(batch, inputs, rows, networks, objective, whole)
                weight = np.float32(parts.weights[k])
                for j in range(size):
                    mine[j] = grads[j] * weight
                for j in range(5):
                    mine[size + j] = whole.metrics[j] * parts.weights[k]
            progress[1] = 1
        if not wait(exchange.flags, count, exchange.place, exchange.step + k + 1, exchange.yields, exchange.naps):
            return LATE
        progress[0], progress[1] = k + 1, 0
        for j in range(5):
            numbers[j] = half[0, size + j]
        copy(half[0, :size], grads)
        for rank in range(1, count):
            theirs = half[rank]
            add(theirs[:size], grads)
            for j in range(5):
                numbers[j] += theirs[size + j]
        if numbers[3] > 1.5 * objective.target_kl:
            break
        numbers[5] = clipped_step(params, grads, optimizer, progress[2])
        if not math.isfinite(numbers[5]):
            copy(numbers, totals)
            return NOT_FINITE
        progress[2] += 1
        add(numbers, totals)
    return DONE
