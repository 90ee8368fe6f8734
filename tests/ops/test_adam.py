import pytest
import torch

from actor_critic.ops.adam import adam_step, clip_gradient_norm


@pytest.mark.parametrize(
    ("learning_rate", "beta1", "beta2", "epsilon"),
    [(3e-4, 0.9, 0.999, 1e-8), (0.1, 0.0, 0.9, 1e-5), (0.0, 0.9, 0.999, 1e-8)],
)
def test_many_steps_equal_those_of_torch(learning_rate: float, beta1: float, beta2: float, epsilon: float) -> None:
    random = torch.Generator().manual_seed(0)
    parameters = torch.randn(50, generator=random, dtype=torch.float64)
    reference = parameters.clone().requires_grad_()
    optimizer = torch.optim.Adam([reference], learning_rate, (beta1, beta2), epsilon)
    first, second = torch.zeros_like(parameters), torch.zeros_like(parameters)
    for step in range(1, 61):
        # Six orders of magnitude, and entries that are 0 throughout.
        gradients = torch.randn(50, generator=random, dtype=torch.float64) * torch.logspace(-4, 2, 50).double()
        gradients[:3] = 0
        reference.grad = gradients.clone()
        optimizer.step()
        adam_step(parameters, gradients, first, second, step, learning_rate, beta1, beta2, epsilon)
        torch.testing.assert_close(parameters, reference.detach(), rtol=1e-10, atol=1e-12)


def test_first_step_moves_by_the_learning_rate_against_the_sign_of_the_gradient() -> None:
    # m/(1 − β₁) = g and v/(1 − β₂) = g², so the step is α g/(|g| + ε).
    parameters = torch.tensor([1.0, 1.0, 1.0])
    first, second = torch.zeros(3), torch.zeros(3)
    adam_step(parameters, torch.tensor([2.0, -0.5, 0.0]), first, second, 1, 0.1, 0.9, 0.999, 1e-8)
    assert parameters.tolist() == pytest.approx([0.9, 1.1, 1.0])
    assert first.tolist() == pytest.approx([0.2, -0.05, 0])
    assert second.tolist() == pytest.approx([0.004, 0.00025, 0])


def test_step_zero_and_unequal_shapes_are_refused() -> None:
    def step(number: int, *shapes: tuple[int, ...]) -> None:
        parameters, gradients, first, second = map(torch.zeros, shapes)
        adam_step(parameters, gradients, first, second, number, 0.1, 0.9, 0.999, 1e-8)

    with pytest.raises(ValueError, match="step 0"):
        step(0, (3,), (3,), (3,), (3,))
    for spoiled in range(1, 4):
        shapes = [(3,)] * 4
        shapes[spoiled] = (1,)  # would broadcast
        with pytest.raises(ValueError, match="equal shapes"):
            step(1, *shapes)


@pytest.mark.parametrize("max_norm", [1e-3, 0.5, 4.99, 5.0, 5.01, 100.0])
@pytest.mark.parametrize("scale", [1.0, 1e-6])
def test_clipping_equals_that_of_torch(max_norm: float, scale: float) -> None:
    gradients = scale * torch.tensor([3.0, 0.0, -4.0])  # norm 5 · scale
    max_norm *= scale
    reference = torch.zeros(3, requires_grad=True)
    reference.grad = gradients.clone()
    torch.nn.utils.clip_grad_norm_([reference], max_norm)
    clip_gradient_norm(gradients, gradients.norm(), max_norm)
    torch.testing.assert_close(gradients, reference.grad, rtol=1e-6, atol=0)


def test_gradient_within_the_limit_is_left_bit_for_bit() -> None:
    gradients = torch.tensor([0.1, 0.2, 0.3])
    before = gradients.clone()
    clip_gradient_norm(gradients, gradients.norm(), 1.0)
    assert torch.equal(gradients, before)


def test_zero_gradient_stays_zero() -> None:
    gradients = torch.zeros(3)
    clip_gradient_norm(gradients, gradients.norm(), 0.5)
    assert gradients.tolist() == [0, 0, 0]
