"""Forward passes and the update of two multilayer perceptrons as compiled functions over flat arrays.

Layers are rows of (inputs, outputs, where their weights begin, where their biases begin) in the flat parameter buffer.
Each function does what the one of the same purpose in :mod:`actor_critic.ops`, with autograd, does, in the same order
of steps; matrix products go to BLAS. All arrays are contiguous; sums over a minibatch are kept in 64 bits.
"""

import math
from typing import Any

import numpy as np

from actor_critic.backends.fused.cache import cache_folder

cache_folder()  # says where compiled code is kept, which Numba reads when it is imported

from numba import njit  # noqa: E402

from actor_critic.backends.fused.meeting import meet  # noqa: E402

Array = Any  # a NumPy array, whose type Numba infers

TANH, RELU, ELU, SILU, GELU = range(5)
POLICY, VALUE, BOTH = range(3)

CHUNK = 512  # rows that pass the layers at a time: what they put out stays in the processor's cache

compiled = njit(cache=cache_folder() is not None, error_model="numpy")


@compiled
def activate(z: Array, y: Array, kind: int) -> None:
    """Y ← f(z), element by element; both 2-D and contiguous. tanh is a rational function of it (degree 13 over 6)."""
    a = z.ravel()
    b = y.ravel()
    if kind == TANH:
        for i in range(a.size):
            x = min(max(a[i], np.float32(-7.90531110763549805)), np.float32(7.90531110763549805))
            s = x * x
            p = np.float32(-2.76076847742355e-16)
            p = p * s + np.float32(2.00018790482477e-13)
            p = p * s + np.float32(-8.60467152213735e-11)
            p = p * s + np.float32(5.12229709037114e-08)
            p = p * s + np.float32(1.48572235717979e-05)
            p = p * s + np.float32(6.37261928875436e-04)
            p = p * s + np.float32(4.89352455891786e-03)
            q = np.float32(1.19825839466702e-06)
            q = q * s + np.float32(1.18534705686654e-04)
            q = q * s + np.float32(2.26843463243900e-03)
            q = q * s + np.float32(4.89352518554385e-03)
            b[i] = x * p / q
    elif kind == RELU:
        for i in range(a.size):
            b[i] = max(a[i], np.float32(0.0))
    elif kind == ELU:
        for i in range(a.size):
            b[i] = a[i] if a[i] > 0 else np.float32(math.expm1(a[i]))
    elif kind == SILU:
        for i in range(a.size):
            b[i] = a[i] / (np.float32(1.0) + np.float32(math.exp(-a[i])))
    else:
        for i in range(a.size):
            b[i] = np.float32(0.5) * a[i] * (np.float32(1.0) + np.float32(math.erf(a[i] * np.float32(math.sqrt(0.5)))))


@compiled
def deactivate(d: Array, z: Array, y: Array, kind: int) -> None:
    """D ← d · f'(z), given z and y = f(z)."""
    g = d.ravel()
    a = z.ravel()
    b = y.ravel()
    one = np.float32(1.0)
    if kind == TANH:
        for i in range(g.size):
            g[i] *= one - b[i] * b[i]
    elif kind == RELU:
        for i in range(g.size):
            g[i] = g[i] if b[i] > 0 else np.float32(0.0)
    elif kind == ELU:
        for i in range(g.size):
            g[i] *= one if a[i] > 0 else b[i] + one
    elif kind == SILU:
        for i in range(g.size):
            s = one / (one + np.float32(math.exp(-a[i])))
            g[i] *= s * (one + a[i] * (one - s))
    else:
        for i in range(g.size):
            x = a[i]
            cdf = np.float32(0.5) * (one + np.float32(math.erf(x * np.float32(math.sqrt(0.5)))))
            pdf = np.float32(math.exp(-0.5 * x * x)) * np.float32(0.3989422804014327)
            g[i] *= cdf + x * pdf


@compiled
def forward(x: Array, params: Array, layers: Array, activated: int, kind: int, zs: Array, ys: Array) -> Array:
    """Run layers over x [n, F], ``activated`` of them followed by the activation, and return what comes out.

    zs and ys are flat workspaces for each layer's [n, outputs] before and after it.
    """
    n = x.shape[0]
    h = x
    at = 0
    for layer in range(layers.shape[0]):
        i, o, w, b = layers[layer]
        weight = params[w : w + i * o].reshape(o, i)
        z = zs[at : at + n * o].reshape(n, o)
        np.dot(h, weight.T, z)
        for r in range(n):
            for c in range(o):
                z[r, c] += params[b + c]
        if layer < activated:
            y = ys[at : at + n * o].reshape(n, o)
            activate(z, y, kind)
            h = y
        else:
            h = z
        at += n * o
    return h


@compiled
def column_sums(d: Array, sums: Array) -> None:
    """Sums [o] ← Σ over rows of d [n, o]."""
    sums[:] = np.float32(0.0)
    for r in range(d.shape[0]):
        row = d[r]
        for c in range(row.size):
            sums[c] += row[c]


# Several sums side by side, in an order that the processor's vectors fix: one after the other is ten times slower.
@njit(cache=cache_folder() is not None, error_model="numpy", fastmath={"reassoc"})
def square_sum(numbers: Array) -> float:
    """Σ x² in 64 bits."""
    total = 0.0
    for j in range(numbers.size):
        x = np.float64(numbers[j])
        total += x * x
    return total


@compiled
def backward(
    x: Array, params: Array, grads: Array, layers: Array, activated: int, kind: int, zs: Array, ys: Array,
    d: Array, other: Array, wants_input: bool,
) -> Array:  # fmt: skip
    """Add up gradients of layers, from d = ∂L/∂(last output) in a flat workspace; ``other`` is another of its size.

    Writes weights and biases into grads. Returns ∂L/∂x in a workspace if it is wanted, else anything.
    """
    n = x.shape[0]
    ends = 0
    for layer in range(layers.shape[0]):
        ends += n * layers[layer, 1]
    for layer in range(layers.shape[0] - 1, -1, -1):
        i, o, w, b = layers[layer]
        ends -= n * o
        delta = d[: n * o].reshape(n, o)
        if layer < activated:
            deactivate(delta, zs[ends : ends + n * o].reshape(n, o), ys[ends : ends + n * o].reshape(n, o), kind)
        below = x if layer == 0 else ys[ends - n * i : ends].reshape(n, i)
        np.dot(delta.T, below, grads[w : w + i * o].reshape(o, i))
        column_sums(delta, grads[b : b + o])
        if layer > 0 or wants_input:
            np.dot(delta, params[w : w + i * o].reshape(o, i), other[: n * i].reshape(n, i))
            d, other = other, d
    return d


@compiled
def normalize(logits: Array, sizes: Array, masks: Array, has_mask: bool, log_probs: Array, probs: Array) -> None:
    """Log-probabilities [n, A] within each group, −∞ where masked, and the probabilities themselves."""
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
    logits: Array, sizes: Array, masks: Array, has_mask: bool, uniforms: Array, greedy: bool, choices: Array
) -> None:
    """The most probable choices [n, G], or those where the cumulative distribution first exceeds uniform numbers."""
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
            choices[r, g] = best
            first += size


@compiled
def log_prob_of(log_probs: Array, sizes: Array, actions: Array, out: Array) -> None:
    """Log-probability [n] of actions [n, G]."""
    for r in range(log_probs.shape[0]):
        first = 0
        total = np.float32(0.0)
        for g in range(sizes.size):
            total += log_probs[r, first + actions[r, g]]
            first += sizes[g]
        out[r] = total


@compiled
def normalize_advantages(advantages: Array) -> None:
    """Shift and scale to mean 0 and deviation 1 (n − 1, ε 1e-8), in place; a single one is left as it is."""
    n = advantages.size
    if n == 1:
        return
    mean, square = 0.0, 0.0
    for r in range(n):
        mean += advantages[r]
    mean /= n
    for r in range(n):
        square += (advantages[r] - mean) ** 2
    scale = 1.0 / (math.sqrt(square / (n - 1)) + 1e-8)
    for r in range(n):
        advantages[r] = (advantages[r] - mean) * scale


@compiled
def policy_slopes(
    log_probs: Array, probs: Array, sizes: Array, actions: Array, old_log_probs: Array, advantages: Array, n: int,
    is_single: bool, clip_coef: float, ent_coef: float, slopes: Array, figures: Array,
) -> None:  # fmt: skip
    """∂(policy loss − ent_coef · entropy)/∂logits [n, A] into ``slopes``; loss, entropy, KL and clip fraction added.

    These are some of the n rows of a minibatch. With p the probabilities and H the entropy of a group,
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
        figures[3] += (over - log_ratio) / n
        if clip_coef == np.inf:
            figures[0] -= chosen * advantages[r] / n
            slope = -advantages[r] / n
        else:
            ratio = math.exp(log_ratio)
            free = ratio * advantages[r]
            clipped = min(max(ratio, 1.0 - clip_coef), 1.0 + clip_coef) * advantages[r]
            figures[0] -= min(free, clipped) / n
            figures[4] += (1.0 if abs(over) > clip_coef else 0.0) / n
            slope = 0.0 if free > clipped else -free / n
            if math.isnan(free):  # a comparison would hide it
                slope = free
        first = 0
        for g in range(sizes.size):
            entropy = 0.0
            for j in range(first, first + sizes[g]):
                if log_probs[r, j] != -np.inf:
                    entropy -= probs[r, j] * log_probs[r, j]
            figures[2] += entropy / n
            for j in range(first, first + sizes[g]):
                slopes[r, j] = 0.0
                if log_probs[r, j] != -np.inf:
                    slopes[r, j] = probs[r, j] * (ent_coef / n * (log_probs[r, j] + entropy) - slope)
            slopes[r, first + actions[r, g]] += slope
            first += sizes[g]


@compiled
def value_slopes(
    values: Array, old_values: Array, returns: Array, n: int, clip: float, vf_coef: float, slopes: Array, figures: Array
) -> None:
    """∂(vf_coef · value loss)/∂values [rows, 1] into ``slopes``; the loss added. ``clip`` is infinite where it is off.

    These are some of the n rows of a minibatch.
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
        figures[1] += 0.5 * error * error / n
        slopes[r, 0] = vf_coef * slope / n


@compiled
def adam_step(
    params: Array, grads: Array, first_moment: Array, second_moment: Array, scale: float,
    step: int, learning_rate: float, beta1: float, beta2: float, epsilon: float,
) -> None:  # fmt: skip
    """Scale the gradients, and move parameters and moments as :func:`actor_critic.ops.adam.adam_step` does."""
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


@compiled
def widths(layers: Array) -> tuple[int, int]:
    """The most and the sum of what layers put out; the most counts what they take in, too."""
    most, total = 1, 0
    for layer in range(layers.shape[0]):
        most = max(most, layers[layer, 0], layers[layer, 1])
        total += layers[layer, 1]
    return most, total


@njit(cache=cache_folder() is not None, error_model="numpy", nogil=True)
def update(
    features: Array, actions: Array, masks: Array, has_mask: bool, old_log_probs: Array, is_single: bool,
    old_values: Array, advantages: Array, returns: Array, rows: Array, borders: Array, sizes: Array,
    params: Array, grads: Array, first_moment: Array, second_moment: Array,
    trunk: Array, policy: Array, value: Array, activated: int, kind: int,
    steps: int, learning_rate: float, beta1: float, beta2: float, epsilon: float,
    clip_coef: float, value_clip: float, normalizes: bool, ent_coef: float, vf_coef: float,
    max_grad_norm: float, target_kl: float, side: int, board: Array, shared_figures: Array, totals: Array,
) -> tuple[int, bool]:  # fmt: skip
    """One optimizer step per minibatch: entries ``borders[k]`` to ``borders[k + 1]`` of ``rows``, rows of the batch.

    ``trunk`` holds the layers that both networks share, none where they share nothing; ``policy`` and ``value`` are
    what follows it, ``activated`` of them before an activation. Where ``is_single`` the ratios are 1, and nobody knows
    old log-probabilities. ``clip_coef``, ``value_clip``, ``max_grad_norm`` and ``target_kl`` are infinite where they
    are off. Sums over the steps taken go into ``totals``: policy loss, value loss, entropy, KL, clip fraction, gradient
    norm.

    ``side`` is BOTH, or two threads call this at once, one for the POLICY and one for the VALUE function: each then
    keeps to its own network, and they meet at ``board`` [16] to tell each other in ``shared_figures`` [steps, 3] the
    squared norms of their gradients, and whether to stop. The numbers are the same either way.

    Returns:
        The steps taken, and whether the gradient of the next one was not finite; the totals are then its figures.
    """
    is_shared = trunk.shape[0] > 0
    has_policy, has_value = side != VALUE, side != POLICY
    (most_t, sum_t), (most_p, sum_p), (most_v, sum_v) = widths(trunk), widths(policy), widths(value)
    most = 0
    for k in range(borders.size - 1):
        most = max(most, borders[k + 1] - borders[k])
    room = min(most, CHUNK)
    zt, yt = np.empty(room * sum_t, np.float32), np.empty(room * sum_t, np.float32)
    zp, yp = np.empty(room * sum_p * has_policy, np.float32), np.empty(room * sum_p * has_policy, np.float32)
    zv, yv = np.empty(room * sum_v * has_value, np.float32), np.empty(room * sum_v * has_value, np.float32)
    deltas = np.empty((4, room * max(most_t, most_p, most_v)), np.float32)
    part = np.empty(grads.size if most > CHUNK else 0, np.float32)  # gradients of a chunk after the first
    figures = np.empty(6)
    num_logits = sizes.sum()
    # The value function's own parameters lie behind all others.
    split = value[0, 2]
    for layer in range(value.shape[0]):
        split = min(split, value[layer, 2], value[layer, 3])
    first, last = (split if side == VALUE else 0), (split if side == POLICY else params.size)
    taken = 0
    for k in range(borders.size - 1):
        whole = rows[borders[k] : borders[k + 1]]
        n = whole.size
        if n == 0:
            continue
        advantage = advantages[whole] if has_policy else advantages[:0]
        if has_policy and normalizes:
            normalize_advantages(advantage)
        figures[:] = 0.0
        for begin in range(0, n, CHUNK):
            these = whole[begin : begin + CHUNK]
            count = these.size
            into = grads if begin == 0 else part
            x = features[these]
            seen = forward(x, params, trunk, trunk.shape[0], kind, zt, yt) if is_shared else x
            if has_policy:
                action = actions[these]
                mask = masks[these] if has_mask else masks
                logits = forward(seen, params, policy, activated, kind, zp, yp)
                log_probs = np.empty_like(logits)
                probs = np.empty_like(logits)
                normalize(logits, sizes, mask, has_mask, log_probs, probs)
                old = old_log_probs if is_single else old_log_probs[these]
                slopes = deltas[0, : count * num_logits].reshape(count, num_logits)
                policy_slopes(
                    log_probs, probs, sizes, action, old, advantage[begin : begin + CHUNK], n, is_single,
                    clip_coef, ent_coef, slopes, figures,
                )  # fmt: skip
                above = backward(seen, params, into, policy, activated, kind, zp, yp, deltas[0], deltas[1], is_shared)
            if has_value:
                values = forward(seen, params, value, activated, kind, zv, yv)
                slopes = deltas[2, :count].reshape(count, 1)
                value_slopes(values, old_values[these], returns[these], n, value_clip, vf_coef, slopes, figures)
                beside = backward(seen, params, into, value, activated, kind, zv, yv, deltas[2], deltas[3], is_shared)
            if is_shared:
                above += beside
                backward(x, params, into, trunk, trunk.shape[0], kind, zt, yt, above, beside, False)
            if begin > 0:
                for j in range(first, last):
                    grads[j] += part[j]

        if has_policy:
            shared_figures[k, 2] = 1.0 if figures[3] > 1.5 * target_kl else 0.0
            shared_figures[k, 0] = square_sum(grads[:split])
        if has_value:
            shared_figures[k, 1] = square_sum(grads[split:])
        if side != BOTH:
            meet(board, side, k + 1)
        if shared_figures[k, 2] > 0:
            break
        norm = math.sqrt(shared_figures[k, 0] + shared_figures[k, 1])
        if has_policy:
            figures[5] = norm
        if not math.isfinite(norm):
            totals[:] = figures
            return taken, True
        scale = min(1.0, max_grad_norm / (norm + 1e-6))
        taken += 1
        adam_step(
            params[first:last], grads[first:last], first_moment[first:last], second_moment[first:last], scale,
            steps + taken, learning_rate, beta1, beta2, epsilon,
        )  # fmt: skip
        totals += figures
    return taken, False


@compiled
def act(
    features: Array, uniforms: Array, greedy: bool, masks: Array, has_mask: bool, sizes: Array,
    params: Array, layers: Array, activated: int, kind: int,
) -> Array:  # fmt: skip
    """Choices [n, G] of a policy whose layers are ``layers``."""
    n = features.shape[0]
    units = widths(layers)[1]
    logits = forward(
        features, params, layers, activated, kind, np.empty(n * units, np.float32), np.empty(n * units, np.float32)
    )
    choices = np.empty((n, sizes.size), np.int64)
    choose(logits, sizes, masks, has_mask, uniforms, greedy, choices)
    return choices


@compiled
def assess_actions(
    features: Array, actions: Array, masks: Array, has_mask: bool, sizes: Array,
    params: Array, layers: Array, activated: int, kind: int,
) -> Array:  # fmt: skip
    """Log-probabilities [n] of actions [n, G]."""
    count = features.shape[0]
    units = widths(layers)[1]
    zs, ys = np.empty(min(count, CHUNK) * units, np.float32), np.empty(min(count, CHUNK) * units, np.float32)
    found = np.empty(count, np.float32)
    for first in range(0, count, CHUNK):
        rows = slice(first, min(first + CHUNK, count))
        logits = forward(features[rows], params, layers, activated, kind, zs, ys)
        log_probs, probs = np.empty_like(logits), np.empty_like(logits)
        normalize(logits, sizes, masks[rows] if has_mask else masks, has_mask, log_probs, probs)
        log_prob_of(log_probs, sizes, actions[rows], found[rows])
    return found


@compiled
def advantages(
    rewards: Array, values: Array, next_values: Array, terminated: Array, ended: Array, gamma: Array, decay: Array
) -> Array:
    """Generalized advantage estimates [T, N]; ``decay`` is γλ. Each number is rounded as NumPy does it."""
    found = np.empty_like(rewards)
    running = np.zeros(rewards.shape[1], np.float32)
    for t in range(rewards.shape[0] - 1, -1, -1):
        for i in range(running.size):
            following = np.float32(0.0) if terminated[t, i] else gamma * next_values[t, i]
            delta = rewards[t, i] + following - values[t, i]
            kept = np.float32(0.0) if ended[t, i] else decay * running[i]
            running[i] = delta + kept
            found[t, i] = running[i]
    return found


@compiled
def assess_states(features: Array, params: Array, layers: Array, activated: int, kind: int) -> Array:
    """Values [n]."""
    count = features.shape[0]
    units = widths(layers)[1]
    zs, ys = np.empty(min(count, CHUNK) * units, np.float32), np.empty(min(count, CHUNK) * units, np.float32)
    found = np.empty(count, np.float32)
    for first in range(0, count, CHUNK):
        rows = slice(first, min(first + CHUNK, count))
        found[rows] = forward(features[rows], params, layers, activated, kind, zs, ys)[:, 0]
    return found
