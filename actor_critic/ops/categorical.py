"""The grouped categorical distribution: one distribution for every discrete action space.

An action is G independent choices; group g has ``sizes[g]`` of them. The A = Σ sizes logits of all groups are
concatenated. Discrete(n) is one group of n, MultiDiscrete has a group per entry, MultiBinary(n) is n groups of two. A
mask is boolean over all A logits. A masked choice has probability 0 and adds nothing to entropy or gradient.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


def log_probabilities(logits: Tensor, sizes: tuple[int, ...], mask: Tensor | None = None) -> Tensor:
    """Compute the log-probabilities of every choice, normalised within each group.

    Args:
        logits: [B, A] float.
        sizes: Choices per group, summing to A.
        mask: [B, A] boolean, True where a choice is allowed; at least one per group.

    Returns:
        [B, A]; −∞ where masked.

    Raises:
        ValueError: Shapes do not fit.
    """
    if logits.ndim != 2 or logits.shape[1] != sum(sizes):
        raise ValueError(f"expected logits [B, {sum(sizes)}] for groups {sizes}; got {tuple(logits.shape)}")
    if mask is not None:
        if mask.shape != logits.shape or mask.dtype != torch.bool:
            raise ValueError(f"expected a boolean mask {tuple(logits.shape)}; got {mask.dtype} {tuple(mask.shape)}")
        logits = logits.masked_fill(~mask, -torch.inf)
    if len(sizes) == 1:
        return torch.log_softmax(logits, -1)
    return torch.cat([torch.log_softmax(group, -1) for group in torch.split(logits, list(sizes), -1)], -1)


def log_prob(log_probs: Tensor, sizes: tuple[int, ...], actions: Tensor) -> Tensor:
    """Compute the log-probability of the actions taken, summed over groups.

    Args:
        log_probs: [B, A], from :func:`log_probabilities`.
        sizes: Choices per group.
        actions: [B, G] int64, each in [0, size of its group).

    Returns:
        [B].
    """
    return log_probs.gather(1, actions + _starts(sizes, actions.device)).sum(1)


def entropy(log_probs: Tensor, mask: Tensor | None = None) -> Tensor:
    """Compute the entropy in nats, −Σ p log p, summed over groups; masked choices add 0.

    Args:
        log_probs: [B, A], from :func:`log_probabilities`.
        mask: [B, A] boolean, the mask used for ``log_probs``.

    Returns:
        [B].
    """
    # 0 · −∞ is NaN. So masked entries are replaced before the product, which also removes their gradient.
    finite = log_probs if mask is None else log_probs.masked_fill(~mask, 0.0)
    return -(log_probs.exp() * finite).sum(1)


def choose(
    logits: npt.NDArray[np.float32],
    sizes: tuple[int, ...],
    mask: npt.NDArray[np.bool_] | None,
    uniforms: npt.NDArray[np.float32] | None,
) -> npt.NDArray[np.int64]:
    """Sample a choice per group by inverting the cumulative distribution, or take the most probable choice.

    A sample is the smallest choice whose cumulative probability exceeds u, so its probability is never 0. NumPy is
    faster than PyTorch on small arrays.

    Args:
        logits: [B, A]; a constant added to a group has no effect.
        sizes: Choices per group, summing to A.
        mask: [B, A], True where a choice is allowed; at least one per group. None allows all.
        uniforms: [B, G] in [0, 1); None takes the most probable choice, the first one of equals.

    Returns:
        [B, G].
    """
    if mask is not None:
        logits = np.where(mask, logits, np.float32(-np.inf))
    choices = np.empty((len(logits), len(sizes)), np.int64)
    first = 0
    for g, size in enumerate(sizes):
        group = logits[:, first : first + size]
        first += size
        if uniforms is None:
            choices[:, g] = group.argmax(1)
            continue
        cumulative = np.exp(group - group.max(1, keepdims=True)).cumsum(1)
        # For u < 1 the product is below the total, even after rounding, so some choice always exceeds it.
        choices[:, g] = (cumulative <= uniforms[:, g : g + 1] * cumulative[:, -1:]).sum(1)
    return choices


def _starts(sizes: tuple[int, ...], device: torch.device) -> Tensor:
    """Return the index of each group's first logit, [G]."""
    return torch.tensor((0, *sizes[:-1]), device=device).cumsum(0)
