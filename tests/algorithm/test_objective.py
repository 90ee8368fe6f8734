"""The loss and its metrics against numbers worked out by hand."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from actor_critic.algorithm import Batch, Coefficients, Metrics, actor_critic_loss, exceeds_target_kl

COEFFICIENTS = Coefficients(
    learning_rate=0.01, adam_beta1=0.9, adam_beta2=0.999, adam_epsilon=1e-5, clip_coef=0.2, clip_vloss=False,
    normalize_advantages=False, min_advantage_std=0.0, ent_coef=0.1, vf_coef=0.5, max_grad_norm=None, target_kl=None,
)  # fmt: skip
LN2, LN3 = math.log(2), math.log(3)
ENTROPY = (LN2 + 2 * LN2 - 0.75 * LN3) / 2  # of (1/2, 1/2) and (1/4, 3/4)


def _logits() -> Tensor:
    return torch.tensor([[0.0, 0.0], [0.0, LN3]], requires_grad=True)  # probabilities (1/2, 1/2) and (1/4, 3/4)


def _batch() -> Batch:
    """Ratios of 2 and 1."""
    return Batch(
        features=torch.zeros(2, 1), actions=torch.tensor([[0], [1]]), masks=None,
        log_probs=torch.tensor([-2 * LN2, LN3 - 2 * LN2]), values=torch.tensor([0.9, 3.0]),
        advantages=torch.tensor([1.0, -1.0]), returns=torch.tensor([2.0, 3.0]),
    )  # fmt: skip


def _loss(batch: Batch, coefficients: Coefficients) -> tuple[float, Metrics]:
    loss, metrics = actor_critic_loss(_logits(), torch.tensor([1.5, 3.0]), batch, (2,), coefficients)
    return float(loss.detach()), metrics


def test_ppo_worked_out_by_hand() -> None:
    loss, metrics = _loss(_batch(), COEFFICIENTS)
    assert metrics.policy_loss == pytest.approx(-(1.2 - 1) / 2)  # the first ratio is clipped
    assert metrics.value_loss == pytest.approx(0.25 / 2 / 2)
    assert metrics.entropy == pytest.approx(ENTROPY)
    assert metrics.approx_kl == pytest.approx((2 - 1 - LN2) / 2)
    assert metrics.clip_fraction == 0.5
    assert loss == pytest.approx(-0.1 - 0.1 * ENTROPY + 0.5 * 0.0625)
    assert not any(metric.requires_grad for metric in metrics)


def test_a2c_worked_out_by_hand() -> None:
    _, metrics = _loss(_batch(), replace(COEFFICIENTS, clip_coef=None))
    assert metrics.policy_loss == pytest.approx((LN2 + LN3 - 2 * LN2) / 2)
    assert metrics.clip_fraction == 0.0


def test_the_value_loss_is_clipped_around_the_old_values() -> None:
    # The first value moved from 0.9 to 1.5; clipped it is 1.1, and its error 0.9 the larger one.
    _, metrics = _loss(_batch(), replace(COEFFICIENTS, clip_vloss=True))
    assert metrics.value_loss == pytest.approx(0.81 / 2 / 2)
    _, metrics = _loss(_batch(), replace(COEFFICIENTS, clip_vloss=True, clip_coef=None))
    assert metrics.value_loss == pytest.approx(0.25 / 2 / 2)


def test_advantages_are_normalized_within_the_minibatch() -> None:
    batch = replace(_batch(), advantages=torch.tensor([5.0, 3.0]))
    _, metrics = _loss(batch, replace(COEFFICIENTS, normalize_advantages=True))
    assert metrics.policy_loss == pytest.approx(-(1.2 - 1) / 2 / math.sqrt(2), rel=1e-5)


@pytest.mark.parametrize("clip_coef", [None, 0.2])
def test_without_old_log_probabilities_all_ratios_are_1(clip_coef: float | None) -> None:
    logits = _logits()
    coefficients = replace(COEFFICIENTS, clip_coef=clip_coef, ent_coef=0.0)
    loss, metrics = actor_critic_loss(
        logits, torch.zeros(2), replace(_batch(), log_probs=None), (2,), coefficients
    )  # fmt: skip
    assert metrics.approx_kl == metrics.clip_fraction == 0.0
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient.tolist() == [pytest.approx([-0.25, 0.25]), pytest.approx([-0.125, 0.125])]


def test_masked_choices_have_neither_entropy_nor_gradient() -> None:
    logits = _logits()
    batch = replace(_batch(), masks=torch.tensor([[True, False], [True, True]]))
    loss, metrics = actor_critic_loss(logits, torch.zeros(2), batch, (2,), COEFFICIENTS)
    assert metrics.entropy == pytest.approx((2 * LN2 - 0.75 * LN3) / 2)
    assert torch.autograd.grad(loss, logits)[0][0].tolist() == [0.0, 0.0]


def test_steps_stop_above_one_and_a_half_times_target_kl() -> None:
    zero = torch.zeros(())
    for kl, target_kl, stops in (
        (0.75, 0.5, False), (0.7501, 0.5, True), (100.0, None, False), (math.nan, 0.5, False),
    ):  # fmt: skip
        metrics = Metrics(zero, zero, zero, torch.tensor(kl), zero)
        assert exceeds_target_kl(metrics, replace(COEFFICIENTS, target_kl=target_kl)) == stops
