"""The compiled functions of the fused backend: acting, values, log-probabilities, advantages, and the update.

Each function corresponds to one in :mod:`actor_critic.ops` or :mod:`actor_critic.algorithm`, with the same order of
steps. All arrays are contiguous. Metrics of a minibatch are summed in float64.

The file is long because these functions share their records and call each other within one compiled update.
"""

import math
from typing import NamedTuple

import numpy as np

from actor_critic.backends.fused.layers import BIASES, INPUTS, WEIGHTS, backward, forward, sparse, widths
from actor_critic.compiling import Array, compiled, compiled_with, side_by_side, wait

CHUNK = 512  # rows processed at a time, so that layer outputs fit in the CPU cache


@compiled
def normalize(logits: Array, sizes: Array, masks: Array, has_mask: bool, log_probs: Array, probs: Array) -> None:
    """Compute log-probabilities [n, A] within each group, −∞ where masked, and the probabilities."""
    for r in range(logits.shape[0]):
        first = 0
        for size in sizes:
            top = -np.inf
            for j in range(first, first + size):
                if (not has_mask or masks[r, j]) and logits[r, j] > top:
                    top = logits[r, j]
            total = 0.0
            for j in range(first, first + size):
                weight = math.exp(logits[r, j] - top) if not has_mask or masks[r, j] else 0.0
                probs[r, j] = weight
                total += weight
            shift = top + math.log(total)
            scale = 1.0 / total
            for j in range(first, first + size):
                log_probs[r, j] = logits[r, j] - shift if not has_mask or masks[r, j] else -np.inf
                probs[r, j] *= scale
            first += size


@compiled
def choose(
    logits: Array, sizes: Array, masks: Array, has_mask: bool, uniforms: Array, greedy: bool, action_indices: Array
) -> None:
    """Sample action indices [n, G] at uniform numbers, or take the most probable ones."""
    weights = np.empty(sizes.max(), np.float32)
    for r in range(logits.shape[0]):
        first = 0
        for g in range(sizes.size):
            size = sizes[g]
            best, top = 0, -np.inf
            for j in range(size):
                if (not has_mask or masks[r, first + j]) and logits[r, first + j] > top:
                    best, top = j, logits[r, first + j]
            if not greedy:
                total = np.float32(0.0)
                for j in range(size):
                    allowed = not has_mask or masks[r, first + j]
                    weights[j] = math.exp(logits[r, first + j] - top) if allowed else 0.0
                    total += weights[j]
                limit = uniforms[r, g] * total
                cumulative = np.float32(0.0)
                for j in range(size):
                    cumulative += weights[j]
                    best = j
                    if cumulative > limit:
                        break
            action_indices[r, g] = best
            first += size


@compiled
def log_prob_of(log_probs: Array, sizes: Array, actions: Array, out: Array) -> None:
    """Write the log-probabilities [n] of actions [n, G] into ``out``."""
    for r in range(log_probs.shape[0]):
        first = 0
        total = np.float32(0.0)
        for g in range(sizes.size):
            total += log_probs[r, first + actions[r, g]]
            first += sizes[g]
        out[r] = total


@compiled
def normalize_advantages(advantages: Array, min_std: float) -> None:
    """Normalize in place, like :func:`actor_critic.ops.losses.normalize_advantages`."""
    n = advantages.size
    if n == 1:
        return
    mean, square = 0.0, 0.0
    for r in range(n):
        mean += advantages[r]
    mean /= n
    for r in range(n):
        square += (advantages[r] - mean) ** 2
    scale = 1.0 / (max(math.sqrt(square / (n - 1)), min_std) + 1e-8)
    for r in range(n):
        advantages[r] = (advantages[r] - mean) * scale


@compiled
def policy_slopes(
    log_probs: Array, probs: Array, sizes: Array, actions: Array, old_log_probs: Array, advantages: Array, n: int,
    is_single: bool, clip_coef: float, ent_coef: float, slopes: Array, metrics: Array,
) -> None:  # fmt: skip
    """Write ∂(policy loss − ent_coef · entropy)/∂logits [n, A] into ``slopes``, and add to the policy's metrics.

    The given rows are a chunk of the n rows of a minibatch. With p the probabilities and H the entropy of a group,
    ∂log π(a)/∂logit = 1[a] − p and ∂H/∂logit = −p (log p + H).
    """
    for r in range(log_probs.shape[0]):
        chosen = 0.0
        first = 0
        for g in range(sizes.size):
            chosen += log_probs[r, first + actions[r, g]]
            first += sizes[g]
        log_ratio = 0.0 if is_single else chosen - old_log_probs[r]
        over = math.expm1(log_ratio)
        metrics[3] += (over - log_ratio) / n
        if clip_coef == np.inf:
            metrics[0] -= chosen * advantages[r] / n
            slope = -advantages[r] / n
        else:
            ratio = math.exp(log_ratio)
            free = ratio * advantages[r]
            clipped = min(max(ratio, 1.0 - clip_coef), 1.0 + clip_coef) * advantages[r]
            metrics[0] -= min(free, clipped) / n
            metrics[4] += (1.0 if abs(over) > clip_coef else 0.0) / n
            slope = 0.0 if free > clipped else -free / n
            if math.isnan(free):  # comparisons with NaN are false and would hide it
                slope = free
        first = 0
        for g in range(sizes.size):
            entropy = 0.0
            for j in range(first, first + sizes[g]):
                if log_probs[r, j] != -np.inf:
                    entropy -= probs[r, j] * log_probs[r, j]
            metrics[2] += entropy / n
            for j in range(first, first + sizes[g]):
                slopes[r, j] = 0.0
                if log_probs[r, j] != -np.inf:
                    slopes[r, j] = probs[r, j] * (ent_coef / n * (log_probs[r, j] + entropy) - slope)
            slopes[r, first + actions[r, g]] += slope
            first += sizes[g]


@compiled
def value_slopes(
    values: Array, old_values: Array, returns: Array, n: int, clip: float, vf_coef: float, slopes: Array, metrics: Array
) -> None:
    """Write ∂(vf_coef · value loss)/∂values [rows, 1] into ``slopes``, and add to the value loss in ``metrics``.

    The given rows are a chunk of the n rows of a minibatch. ``clip`` is infinite if it is off.
    """
    for r in range(values.shape[0]):
        error = values[r, 0] - returns[r]
        slope = error
        if clip < np.inf:
            moved = values[r, 0] - old_values[r]
            near = old_values[r] + min(max(moved, -clip), clip) - returns[r]
            if near * near > error * error:
                error = near
                slope = near if abs(moved) <= clip else 0.0
        metrics[1] += 0.5 * error * error / n
        slopes[r, 0] = vf_coef * slope / n


@compiled
def adam_step(
    params: Array, grads: Array, first_moment: Array, second_moment: Array, scale: float,
    step: int, learning_rate: float, beta1: float, beta2: float, epsilon: float,
) -> None:  # fmt: skip
    """Scale the gradients, then update parameters and moments like :func:`actor_critic.ops.adam.adam_step`."""
    size = np.float32(learning_rate / (1.0 - beta1**step))
    root = np.float32(1.0 / math.sqrt(1.0 - beta2**step))
    b1, b2, eps, factor = np.float32(beta1), np.float32(beta2), np.float32(epsilon), np.float32(scale)
    c1, c2 = np.float32(1.0 - beta1), np.float32(1.0 - beta2)
    for j in range(grads.size):
        g = grads[j] * factor
        m = b1 * first_moment[j] + c1 * g
        v = b2 * second_moment[j] + c2 * g * g
        grads[j] = g
        first_moment[j] = m
        second_moment[j] = v
        params[j] -= size * m / (math.sqrt(v) * root + eps)


@compiled_with(fastmath={"reassoc"})  # see layers.plain_sum
def square_sum(numbers: Array) -> float:
    """Return Σ x² in float64."""
    total = 0.0
    for j in range(numbers.size):
        x = np.float64(numbers[j])
        total += x * x
    return total


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


class Networks(NamedTuple):
    """Both networks in flat arrays.

    ``trunk`` contains the layers that both networks share; it may be empty. ``policy`` and ``value`` contain the layers
    above it. ``sizes`` contains the number of choices in each action group.
    """

    params: Array
    grads: Array
    trunk: Array
    policy: Array
    value: Array
    convolves: bool | None
    sizes: Array


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


class Workspace(NamedTuple):
    """Memory for a chunk of rows: the outputs of all layers before and after activation, and their gradients.

    ``part`` contains the gradients of a chunk after the first one.
    """

    zt: Array
    yt: Array
    zp: Array
    yp: Array
    zv: Array
    yv: Array
    deltas: Array
    part: Array


@compiled
def workspace(networks: Networks, borders: Array, has_policy: bool, has_value: bool) -> Workspace:
    """Allocate memory for the largest minibatch."""
    (most_t, sum_t), (most_p, sum_p) = widths(networks.trunk), widths(networks.policy)
    most_v, sum_v = widths(networks.value)
    most = 0
    for k in range(borders.size - 1):
        most = max(most, borders[k + 1] - borders[k])
    room = min(most, CHUNK)
    zt, yt = np.empty(room * sum_t, np.float32), np.empty(room * sum_t, np.float32)
    zp, yp = np.empty(room * sum_p * has_policy, np.float32), np.empty(room * sum_p * has_policy, np.float32)
    zv, yv = np.empty(room * sum_v * has_value, np.float32), np.empty(room * sum_v * has_value, np.float32)
    deltas = np.empty((4, room * max(most_t, most_p, most_v)), np.float32)
    part = np.empty(networks.grads.size if most > CHUNK else 0, np.float32)
    return Workspace(zt, yt, zp, yp, zv, yv, deltas, part)


@compiled
def gradients(
    batch: Transitions, inputs: Array, rows: Array, networks: Networks, objective: Objective, has_policy: bool,
    has_value: bool, work: Workspace, first: int, last: int, metrics: Array,
) -> None:  # fmt: skip
    """Write the gradients of a minibatch, given by its rows of the batch, into entries ``first`` to ``last``.

    ``inputs`` are the features as the first layer takes them. Sets the first five entries of ``metrics``, in the order
    of :class:`actor_critic.algorithm.Metrics`.
    """
    params, trunk, policy, value, sizes = (
        networks.params,
        networks.trunk,
        networks.policy,
        networks.value,
        networks.sizes,
    )
    convolves, deltas, has_mask, is_single = networks.convolves, work.deltas, batch.has_mask, batch.is_single
    is_shared = trunk.shape[0] > 0
    num_logits = sizes.sum()
    n = rows.size
    advantage = batch.advantages[rows] if has_policy else batch.advantages[:0]
    if has_policy and objective.normalizes:
        normalize_advantages(advantage, objective.min_advantage_std)
    metrics[:] = 0.0
    for begin in range(0, n, CHUNK):
        these = rows[begin : begin + CHUNK]
        count = these.size
        into = networks.grads if begin == 0 else work.part
        x = inputs[these]
        seen = forward(x, params, trunk, convolves, work.zt, work.yt) if is_shared else x
        if has_policy:
            action = batch.actions[these]
            mask = batch.masks[these] if has_mask else batch.masks
            logits = forward(seen, params, policy, convolves, work.zp, work.yp)
            log_probs = np.empty_like(logits)
            probs = np.empty_like(logits)
            normalize(logits, sizes, mask, has_mask, log_probs, probs)
            old = batch.old_log_probs if is_single else batch.old_log_probs[these]
            slopes = deltas[0, : count * num_logits].reshape(count, num_logits)
            policy_slopes(
                log_probs, probs, sizes, action, old, advantage[begin : begin + CHUNK], n, is_single,
                objective.clip_coef, objective.ent_coef, slopes, metrics,
            )  # fmt: skip
            above = backward(seen, params, into, policy, convolves, work.zp, work.yp, deltas[0], deltas[1], is_shared)
        if has_value:
            values = forward(seen, params, value, convolves, work.zv, work.yv)
            slopes = deltas[2, :count].reshape(count, 1)
            value_slopes(
                values, batch.old_values[these], batch.returns[these], n, objective.value_clip, objective.vf_coef,
                slopes, metrics,
            )  # fmt: skip
            beside = backward(seen, params, into, value, convolves, work.zv, work.yv, deltas[2], deltas[3], is_shared)
        if is_shared:
            used = count * policy[0, INPUTS]
            above[:used] += beside[:used]
            backward(x, params, into, trunk, convolves, work.zt, work.yt, above, beside, False)
        if begin > 0:
            for j in range(first, last):
                networks.grads[j] += work.part[j]


@compiled
def adam_part(
    params: Array, grads: Array, optimizer: Optimizer, first: int, last: int, scale: float, taken: int
) -> tuple[Array, Array, Array, Array, float, int, float, float, float, float]:
    """Return the arguments of :func:`adam_step` for entries ``first`` to ``last``."""
    return (
        params[first:last], grads[first:last], optimizer.first_moment[first:last], optimizer.second_moment[first:last],
        scale, optimizer.steps + taken, optimizer.learning_rate, optimizer.beta1, optimizer.beta2, optimizer.epsilon,
    )  # fmt: skip


@compiled
def part_of_gradients(
    batch: Transitions, inputs: Array, rows: Array, networks: Networks, objective: Objective, has_policy: bool,
    work: Workspace, first: int, last: int, metrics: Array,
) -> None:  # fmt: skip
    """Write the gradients of one network, entries ``first`` to ``last``; their squared norm is the last metric."""
    gradients(batch, inputs, rows, networks, objective, has_policy, not has_policy, work, first, last, metrics)
    metrics[5] = square_sum(networks.grads[first:last])


two_gradients = side_by_side(part_of_gradients, part_of_gradients)
two_adam_steps = side_by_side(adam_step, adam_step)


@compiled_with(nogil=True)
def update(
    batch: Transitions, rows: Array, borders: Array, networks: Networks, objective: Objective, optimizer: Optimizer,
    post: Array, totals: Array,
) -> tuple[int, bool]:  # fmt: skip
    """Take one optimizer step per minibatch: entries ``borders[k]`` to ``borders[k + 1]`` of ``rows``.

    Adds the metrics of each step to ``totals``: policy loss, value loss, entropy, KL, clip fraction, gradient norm.

    With the ``post`` of a helper, another thread does the part of the value function; the results are the same.

    Returns:
        The steps taken, and whether the gradient of the next step was not finite; ``totals`` then contains the metrics
        of that step.
    """
    params, grads, value = networks.params, networks.grads, networks.value
    has_helper = post.size > 0
    work = workspace(networks, borders, True, not has_helper)
    their_work = workspace(networks, borders if has_helper else borders[:1], False, True)
    inputs = sparse(batch.features, networks.trunk if networks.trunk.shape[0] > 0 else value)
    metrics, theirs = np.empty(6), np.empty(6)
    # The parameters that only the value function has come last.
    split = value[0, WEIGHTS]
    for index in range(value.shape[0]):
        split = min(split, value[index, WEIGHTS], value[index, BIASES])
    # Not constants: Numba compiles a function again for each set of them, for seconds.
    parts, sides = np.array([0, split, params.size]), np.array([True, False])
    taken = 0
    for k in range(borders.size - 1):
        minibatch = rows[borders[k] : borders[k + 1]]
        if minibatch.size == 0:
            continue
        if has_helper:
            two_gradients(
                post,
                (batch, inputs, minibatch, networks, objective, sides[0], work, parts[0], parts[1], metrics),
                (batch, inputs, minibatch, networks, objective, sides[1], their_work, parts[1], parts[2], theirs),
            )
            metrics[1] = theirs[1]
            squares = metrics[5] + theirs[5]
        else:
            gradients(
                batch, inputs, minibatch, networks, objective, sides[0], sides[0], work, parts[0], parts[2], metrics
            )
            squares = square_sum(grads[:split]) + square_sum(grads[split:])
        if metrics[3] > 1.5 * objective.target_kl:
            break
        metrics[5] = norm = math.sqrt(squares)
        if not math.isfinite(norm):
            totals[:] = metrics
            return taken, True
        scale = min(1.0, optimizer.max_grad_norm / (norm + 1e-6))
        taken += 1
        two_adam_steps(
            post,
            adam_part(params, grads, optimizer, parts[0], parts[1], scale, taken),
            adam_part(params, grads, optimizer, parts[1], parts[2], scale, taken),
        )
        totals += metrics
    return taken, False


@compiled
def network_inputs(batch: Transitions, networks: Networks) -> Array:
    """Return the features of a batch as the first layer takes them."""
    return sparse(batch.features, networks.trunk if networks.trunk.shape[0] > 0 else networks.value)


@compiled_with(nogil=True)
def gradient(batch: Transitions, inputs: Array, rows: Array, networks: Networks, objective: Objective) -> Array:
    """Write the gradient of some rows of the batch, and return their metrics [5]; see :func:`gradients`."""
    borders = np.array([0, rows.size])
    work = workspace(networks, borders, True, True)
    metrics = np.empty(5)
    gradients(batch, inputs, rows, networks, objective, True, True, work, 0, networks.grads.size, metrics)
    return metrics


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
    work = workspace(networks, parts.borders, True, True)
    metrics, numbers = np.empty(5), np.empty(6)
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
                gradients(batch, inputs, rows, networks, objective, True, True, work, 0, size, metrics)
                weight = np.float32(parts.weights[k])
                for j in range(size):
                    mine[j] = grads[j] * weight
                for j in range(5):
                    mine[size + j] = metrics[j] * parts.weights[k]
            progress[1] = 1
        if not wait(exchange.flags, count, exchange.place, exchange.step + k + 1, exchange.yields, exchange.naps):
            return LATE
        progress[0], progress[1] = k + 1, 0
        for j in range(5):
            numbers[j] = half[0, size + j]
        grads[:] = half[0, :size]
        for rank in range(1, count):
            theirs = half[rank]
            for j in range(size):
                grads[j] += theirs[j]
            for j in range(5):
                numbers[j] += theirs[size + j]
        if numbers[3] > 1.5 * objective.target_kl:
            break
        numbers[5] = clipped_step(params, grads, optimizer, progress[2])
        if not math.isfinite(numbers[5]):
            totals[:] = numbers
            return NOT_FINITE
        progress[2] += 1
        totals += numbers
    return DONE


@compiled
def act(
    features: Array, uniforms: Array, greedy: bool, masks: Array, has_mask: bool, sizes: Array,
    params: Array, layers: Array, convolves: bool | None,
) -> Array:  # fmt: skip
    """Return action indices [n, G] of a policy whose layers are ``layers``."""
    n = features.shape[0]
    units = widths(layers)[1]
    zs, ys = np.empty(n * units, np.float32), np.empty(n * units, np.float32)
    logits = forward(sparse(features, layers), params, layers, convolves, zs, ys)
    action_indices = np.empty((n, sizes.size), np.int64)
    choose(logits, sizes, masks, has_mask, uniforms, greedy, action_indices)
    return action_indices


@compiled
def write_log_probs(
    features: Array, actions: Array, masks: Array, has_mask: bool, sizes: Array,
    params: Array, layers: Array, convolves: bool | None, found: Array,
) -> None:  # fmt: skip
    """Write the log-probabilities of actions [n, G] into ``found`` [n]."""
    count = features.shape[0]
    units = widths(layers)[1]
    zs, ys = np.empty(min(count, CHUNK) * units, np.float32), np.empty(min(count, CHUNK) * units, np.float32)
    for first in range(0, count, CHUNK):
        rows = slice(first, min(first + CHUNK, count))
        logits = forward(sparse(features[rows], layers), params, layers, convolves, zs, ys)
        log_probs, probs = np.empty_like(logits), np.empty_like(logits)
        normalize(logits, sizes, masks[rows] if has_mask else masks, has_mask, log_probs, probs)
        log_prob_of(log_probs, sizes, actions[rows], found[rows])


@compiled_with(nogil=True)
def action_log_probs(
    features: Array, actions: Array, masks: Array, has_mask: bool, sizes: Array,
    params: Array, layers: Array, convolves: bool | None,
) -> Array:  # fmt: skip
    """Return log-probabilities [n] of actions [n, G]."""
    found = np.empty(features.shape[0], np.float32)
    write_log_probs(features, actions, masks, has_mask, sizes, params, layers, convolves, found)
    return found


@compiled
def write_values(features: Array, params: Array, layers: Array, convolves: bool | None, found: Array) -> None:
    """Write the values of features [n, F] into ``found`` [n]."""
    count = features.shape[0]
    units = widths(layers)[1]
    zs, ys = np.empty(min(count, CHUNK) * units, np.float32), np.empty(min(count, CHUNK) * units, np.float32)
    for first in range(0, count, CHUNK):
        rows = slice(first, min(first + CHUNK, count))
        found[rows] = forward(sparse(features[rows], layers), params, layers, convolves, zs, ys)[:, 0]


@compiled_with(nogil=True)
def state_values(features: Array, params: Array, layers: Array, convolves: bool | None) -> Array:
    """Return the values [n] of features [n, F]."""
    found = np.empty(features.shape[0], np.float32)
    write_values(features, params, layers, convolves, found)
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
    params, convolves, seen = networks.params, networks.convolves, features[: actions.shape[0]]
    log_probs, values = np.empty(seen.shape[0], np.float32), np.empty(features.shape[0], np.float32)
    log_probs_and_values(
        post,
        (seen, actions, masks, has_mask, networks.sizes, params, policy, convolves, log_probs),
        (features, params, value, convolves, values),
    )
    return log_probs, values
