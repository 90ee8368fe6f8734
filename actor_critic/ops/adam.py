"""One step of Adam on a flat parameter."""

import torch
from torch import Tensor


def adam_step(
    parameters: Tensor,
    gradients: Tensor,
    first_moment: Tensor,
    second_moment: Tensor,
    step: int,
    learning_rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
) -> None:
    """Take step ``step`` of Adam in place.

    m ← β₁ m + (1 − β₁) g,  v ← β₂ v + (1 − β₂) g²,  θ ← θ − α · m/(1 − β₁ᵗ) / (√(v/(1 − β₂ᵗ)) + ε)
    (Kingma and Ba, 2015, algorithm 1).

    Args:
        parameters: [P] θ, changed.
        gradients: [P] g.
        first_moment: [P] m, changed; zeros before the first step.
        second_moment: [P] v, changed; zeros before the first step.
        step: t, from 1.
        learning_rate: α, at least 0.
        beta1: β₁, in [0, 1).
        beta2: β₂, in [0, 1).
        epsilon: ε, above 0.

    Raises:
        ValueError: Shapes differ, or ``step`` is below 1.
    """
    if step < 1 or any(t.shape != parameters.shape for t in (gradients, first_moment, second_moment)):
        raise ValueError(
            f"expected step of at least 1 and equal shapes [P]; got step {step}, {tuple(parameters.shape)}"
        )
    first_moment.lerp_(gradients, 1 - beta1)
    second_moment.mul_(beta2).addcmul_(gradients, gradients, value=1 - beta2)
    denominator = (second_moment / (1 - beta2**step)).sqrt_().add_(epsilon)
    parameters.addcdiv_(first_moment, denominator, value=-learning_rate / (1 - beta1**step))


def clip_gradient_norm(gradients: Tensor, norm: Tensor, max_norm: float) -> None:
    """Scale a flat gradient in place so that its Euclidean norm is at most ``max_norm``.

    Args:
        gradients: [P], changed.
        norm: Scalar, the current norm.
        max_norm: Above 0.
    """
    gradients.mul_(torch.clamp(max_norm / (norm + 1e-6), max=1.0))
