import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from actor_critic.ops import losses


def leaf(*numbers: float) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float32, requires_grad=True)


def gradient(loss: torch.Tensor, of: torch.Tensor) -> list[float]:
    return torch.autograd.grad(loss, of)[0].tolist()


def test_policy_gradient_loss_worked_out_by_hand() -> None:
    # −(−1·3 + −2·−½)/2 = 1; its gradient is −Â/2.
    log_probs = leaf(-1, -2)
    loss = losses.policy_gradient_loss(log_probs, torch.tensor([3.0, -0.5]))
    assert loss.item() == 1
    assert gradient(loss, log_probs) == [-1.5, 0.25]


def test_clipped_policy_loss_worked_out_by_hand() -> None:
    # ε = 0.2
    #   r    Â    r Â    clip(r) Â  min     gradient of −min by log r: −r Â, or 0 where clipped
    #   1.5  2    3      2.4        2.4     0
    #   0.5  2    1      1.6        1      −1
    #   1.5  −1   −1.5   −1.2       −1.5    1.5
    #   0.5  −1   −0.5   −0.8       −0.8    0
    #   1.1  1    1.1    1.1        1.1    −1.1
    # Σ min = 2.2, so the loss is −2.2/5 = −0.44.
    log_ratios = torch.tensor([1.5, 0.5, 1.5, 0.5, 1.1]).log().requires_grad_()
    loss = losses.clipped_policy_loss(log_ratios, torch.tensor([2.0, 2.0, -1.0, -1.0, 1.0]), 0.2)
    assert loss.item() == pytest.approx(-0.44)
    assert gradient(loss, log_ratios) == pytest.approx([0, -1 / 5, 1.5 / 5, 0, -1.1 / 5])


def test_clipped_policy_loss_at_ratio_one_has_the_gradient_of_the_policy_gradient_loss() -> None:
    advantages = torch.tensor([2.0, -3.0, 0.5])
    log_ratios, log_probs = leaf(0, 0, 0), leaf(-1, -2, -3)
    clipped = gradient(losses.clipped_policy_loss(log_ratios, advantages, 0.1), log_ratios)
    assert clipped == pytest.approx(gradient(losses.policy_gradient_loss(log_probs, advantages), log_probs))


def test_value_loss_worked_out_by_hand() -> None:
    # ½ ((1 − 2)² + (3 − 0)²)/2 = 2.5; its gradient is (V − R)/2.
    values = leaf(1, 3)
    loss = losses.value_loss(values, torch.tensor([2.0, 0.0]))
    assert loss.item() == 2.5
    assert gradient(loss, values) == [-0.5, 1.5]


def test_clipped_value_loss_worked_out_by_hand() -> None:
    # ε = ½, V_old = 1
    #   V     R   (V − R)²  clipped V  (clipped − R)²  max     gradient of ½ max: V − R, or 0 where clipped
    #   2     2   0         1.5        0.25            0.25    0
    #   2     0   4         1.5        2.25            4       2
    #   1.25  1   0.0625    1.25       0.0625          0.0625  0.25
    #   0     0   0         0.5        0.25            0.25    0
    # ½ · 4.5625/4 = 0.5703125
    values = leaf(2, 2, 1.25, 0)
    loss = losses.clipped_value_loss(values, torch.ones(4), torch.tensor([2.0, 0.0, 1.0, 0.0]), 0.5)
    assert loss.item() == 0.5703125
    assert gradient(loss, values) == [0, 2 / 4, 0.25 / 4, 0]


def test_approximate_kl_worked_out_by_hand() -> None:
    # r = 2 and ½: ((2 − 1 − ln 2) + (½ − 1 + ln 2))/2 = ¼
    assert losses.approximate_kl(torch.tensor([2.0, 0.5]).log()).item() == pytest.approx(0.25)


def test_approximate_kl_over_actions_as_frequent_as_the_old_policy_is_the_divergence_from_the_old_to_the_new() -> None:
    # π_old = (¼, ¾), π = (½, ½), and the actions a, b, b, b: KL(π_old ‖ π) = ¼ ln ½ + ¾ ln 3/2.
    ratios = torch.tensor([2.0, 2 / 3, 2 / 3, 2 / 3])
    expected = 0.25 * math.log(0.5) + 0.75 * math.log(1.5)
    assert losses.approximate_kl(ratios.log()).item() == pytest.approx(expected)


@pytest.mark.parametrize("log_ratio", [1e-2, 1e-3, 1e-4, -1e-4])
def test_approximate_kl_keeps_its_digits_near_zero(log_ratio: float) -> None:
    # x²/2 + x³/6: of 5e-9, r − 1 − log r in float32 has not one digit left.
    exact = log_ratio**2 / 2 + log_ratio**3 / 6
    assert losses.approximate_kl(torch.tensor([log_ratio])).item() == pytest.approx(exact, rel=2e-3)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(-80, 80, width=32), min_size=1, max_size=20))
def test_approximate_kl_is_never_negative(log_ratios: list[float]) -> None:
    assert losses.approximate_kl(torch.tensor(log_ratios)).item() >= 0


def test_approximate_kl_of_tiny_log_ratios_is_never_negative() -> None:
    tiny = torch.logspace(-12, 0, 20_001)
    for log_ratios in (tiny, -tiny):
        assert all(losses.approximate_kl(part) >= 0 for part in log_ratios.split(17))


def test_advantages_are_normalised_with_n_minus_one() -> None:
    # 1, 2, 3, 4: mean 2.5, deviation √(5/3)
    expected = [number / math.sqrt(5 / 3) for number in (-1.5, -0.5, 0.5, 1.5)]
    assert losses.normalize_advantages(torch.tensor([1.0, 2.0, 3.0, 4.0])).tolist() == pytest.approx(expected)


def test_advantages_of_a_small_deviation_stay_small() -> None:
    # Mean 2.5 and deviation 1.29: above 1 it is the divisor, and below 2 it is not.
    advantages = torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert torch.equal(losses.normalize_advantages(advantages, 1.0), losses.normalize_advantages(advantages))
    found = losses.normalize_advantages(advantages, 2.0)
    assert found.tolist() == pytest.approx([-0.75, -0.25, 0.25, 0.75])


def test_single_advantage_is_left_as_it_is() -> None:
    assert losses.normalize_advantages(torch.tensor([-3.5])).tolist() == [-3.5]


def test_equal_advantages_become_zero() -> None:
    assert losses.normalize_advantages(torch.full((8,), 5.0)).tolist() == [0.0] * 8


@pytest.mark.parametrize(
    ("loss", "count", "arguments"),
    [
        (losses.policy_gradient_loss, 2, ()),
        (losses.clipped_policy_loss, 2, (0.2,)),
        (losses.value_loss, 2, ()),
        (losses.clipped_value_loss, 3, (0.2,)),
    ],
)
def test_shapes_that_would_broadcast_are_refused(loss: Any, count: int, arguments: tuple[float, ...]) -> None:
    batch = [torch.zeros(4) for _ in range(count)]
    for spoiled in range(count):
        for shape in ((4, 1), (1,), ()):
            tensors = [torch.zeros(shape) if i == spoiled else tensor for i, tensor in enumerate(batch)]
            with pytest.raises(ValueError, match=r"expected equal shapes \[B\]"):
                loss(*tensors, *arguments)
    with pytest.raises(ValueError, match=r"expected equal shapes \[B\]"):
        loss(*[torch.zeros(4, 1)] * count, *arguments)
