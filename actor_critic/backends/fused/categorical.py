"""Categorical distributions as compiled functions, as in :mod:`actor_critic.ops.distributions`."""

import math

import numpy as np

from actor_critic.compiling import Array, compiled


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
def choose(logits: Array, sizes: Array, masks: Array, has_mask: bool, uniforms: Array, action_indices: Array) -> None:
    """Sample action indices [n, G] at uniform numbers [n, G], or take the most probable ones if there are none."""
    weights = np.empty(sizes.max(), np.float32)
    for r in range(logits.shape[0]):
        first = 0
        for g in range(sizes.size):
            size = sizes[g]
            best, top = 0, -np.inf
            for j in range(size):
                if (not has_mask or masks[r, first + j]) and logits[r, first + j] > top:
                    best, top = j, logits[r, first + j]
            if uniforms.size:
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
