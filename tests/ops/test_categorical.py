import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Bernoulli, Categorical, Independent

from actor_critic.ops import categorical

# The largest float32 below 1, and the smallest above 0.
ALMOST_ONE = torch.nextafter(torch.tensor(1.0), torch.tensor(0.0)).item()
TINY = torch.finfo(torch.float32).tiny

group_sizes = st.lists(st.integers(1, 6), min_size=1, max_size=5).map(tuple)
seeds = st.integers(0, 2**32 - 1)


def random_logits(seed: int, rows: int, sizes: tuple[int, ...], scale: float = 3.0) -> torch.Tensor:
    return scale * torch.randn(rows, sum(sizes), generator=torch.Generator().manual_seed(seed))


def random_mask(seed: int, rows: int, sizes: tuple[int, ...]) -> torch.Tensor:
    """Half of the choices allowed, and one of each group for certain."""
    random = torch.Generator().manual_seed(seed + 1)
    groups = []
    for size in sizes:
        mask = torch.rand(rows, size, generator=random) < 0.5
        mask[torch.arange(rows), torch.randint(size, (rows,), generator=random)] = True
        groups.append(mask)
    return torch.cat(groups, 1)


def choose(
    logits: torch.Tensor, sizes: tuple[int, ...], mask: torch.Tensor | None = None, uniforms: torch.Tensor | None = None
) -> torch.Tensor:
    arrays = [None if tensor is None else tensor.numpy() for tensor in (mask, uniforms)]
    return torch.from_numpy(categorical.choose(logits.numpy(), sizes, *arrays))


def references(logits: torch.Tensor, sizes: tuple[int, ...]) -> list[Categorical]:
    return [Categorical(logits=group) for group in logits.split(list(sizes), 1)]


@settings(deadline=None, max_examples=25)
@given(seeds, group_sizes)
def test_log_prob_entropy_and_greedy_choice_agree_with_torch(seed: int, sizes: tuple[int, ...]) -> None:
    logits = random_logits(seed, 4, sizes)
    log_probs = categorical.log_probabilities(logits, sizes)
    groups = references(logits, sizes)
    random = torch.Generator().manual_seed(seed)
    actions = torch.stack([torch.randint(size, (4,), generator=random) for size in sizes], 1)
    expected = sum(group.log_prob(actions[:, g]) for g, group in enumerate(groups))
    torch.testing.assert_close(categorical.log_prob(log_probs, sizes, actions), expected)
    torch.testing.assert_close(categorical.entropy(log_probs), sum(group.entropy() for group in groups))
    modes = torch.stack([group.mode for group in groups], 1)
    assert choose(logits, sizes).tolist() == modes.tolist()


@settings(deadline=None, max_examples=25)
@given(seeds, st.integers(1, 6))
def test_groups_of_two_are_independent_coins(seed: int, count: int) -> None:
    sizes = (2,) * count
    logits = random_logits(seed, 4, sizes)
    coins = Independent(Bernoulli(logits=logits[:, 1::2] - logits[:, ::2]), 1)
    actions = torch.randint(2, (4, count), generator=torch.Generator().manual_seed(seed))
    log_probs = categorical.log_probabilities(logits, sizes)
    torch.testing.assert_close(categorical.log_prob(log_probs, sizes, actions), coins.log_prob(actions.float()))
    torch.testing.assert_close(categorical.entropy(log_probs), coins.entropy())


@settings(deadline=None, max_examples=25)
@given(seeds, group_sizes)
def test_masked_distribution_is_the_distribution_over_the_allowed_choices_alone(
    seed: int, sizes: tuple[int, ...]
) -> None:
    logits, mask = random_logits(seed, 3, sizes), random_mask(seed, 3, sizes)
    log_probs = categorical.log_probabilities(logits, sizes, mask)
    assert (log_probs[~mask] == -torch.inf).all()
    assert (log_probs.exp()[~mask] == 0).all()
    for row in range(3):
        entropy = 0.0
        groups = zip(logits[row].split(list(sizes)), mask[row].split(list(sizes)), strict=True)
        for (group, allowed), found in zip(groups, log_probs[row].split(list(sizes)), strict=True):
            smaller = Categorical(logits=group[allowed])
            torch.testing.assert_close(found[allowed], smaller.logits)
            entropy += smaller.entropy().item()
            assert allowed[found.argmax()]
        assert categorical.entropy(log_probs, mask)[row].item() == pytest.approx(entropy, abs=1e-5)


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_mask_of_all_but_one_of_1000_choices_leaves_everything_finite(scale: float) -> None:
    sizes = (1000,)
    logits = (scale * random_logits(0, 2, sizes, 1.0).sign()).requires_grad_()
    mask = torch.zeros(2, 1000, dtype=torch.bool)
    mask[0, 123] = mask[1] = True
    log_probs = categorical.log_probabilities(logits, sizes, mask)
    taken = categorical.log_prob(log_probs, sizes, torch.tensor([[123], [7]]))
    entropy = categorical.entropy(log_probs, mask)
    assert taken[0].item() == 0
    assert entropy[0].item() == 0
    assert taken.isfinite().all()
    assert entropy.isfinite().all()
    (gradient,) = torch.autograd.grad((taken + entropy).sum(), logits)
    assert gradient.isfinite().all()
    assert (gradient[0] == 0).all()


def test_masked_logits_get_no_gradient_and_allowed_ones_that_of_the_smaller_problem() -> None:
    logits, mask = random_logits(5, 1, (6,)).requires_grad_(), torch.tensor([[True, False, True, True, False, True]])
    log_probs = categorical.log_probabilities(logits, (6,), mask)
    loss = categorical.log_prob(log_probs, (6,), torch.tensor([[2]])) + categorical.entropy(log_probs, mask)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    alone = logits.detach()[mask].requires_grad_()
    smaller = Categorical(logits=alone)
    (expected,) = torch.autograd.grad(smaller.log_prob(torch.tensor(1)) + smaller.entropy(), alone)
    assert (gradient[~mask] == 0).all()
    torch.testing.assert_close(gradient[mask], expected)


def test_logits_of_ten_thousand_give_finite_numbers_and_gradients() -> None:
    logits = torch.tensor([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4]], requires_grad=True)
    log_probs = categorical.log_probabilities(logits, (3,))
    taken = categorical.log_prob(log_probs, (3,), torch.tensor([[1], [0]]))
    entropy = categorical.entropy(log_probs)
    torch.testing.assert_close(taken, torch.tensor([-2e4, -math.log(3)]))
    torch.testing.assert_close(entropy, torch.tensor([0.0, math.log(3)]))
    (gradient,) = torch.autograd.grad((taken + entropy).sum(), logits)
    assert gradient.isfinite().all()


def test_the_greedy_choice_is_the_first_of_equal_ones_and_never_a_masked_one() -> None:
    logits = torch.tensor([[9.0, 1.0, 1.0, 0.0, 2.0]])
    assert choose(logits, (3, 2), torch.tensor([[False, True, True, True, True]])).tolist() == [[1, 1]]


@pytest.mark.parametrize("uniform", [0.0, TINY, 0.5, ALMOST_ONE])
@pytest.mark.parametrize("sizes", [(1,), (2,), (7,), (1000,), (2, 5, 1, 3)])
def test_a_masked_choice_is_never_sampled(uniform: float, sizes: tuple[int, ...]) -> None:
    logits, mask = random_logits(3, 500, sizes), random_mask(3, 500, sizes)
    actions = choose(logits, sizes, mask, torch.full((500, len(sizes)), uniform))
    assert actions.dtype == torch.int64
    log_probs = categorical.log_probabilities(logits, sizes, mask)
    assert categorical.log_prob(log_probs, sizes, actions).isfinite().all()


@pytest.mark.parametrize("allowed", range(4))
@pytest.mark.parametrize("uniform", [0.0, TINY, 0.5, ALMOST_ONE])
def test_the_only_allowed_choice_is_sampled(allowed: int, uniform: float) -> None:
    mask = torch.zeros(1, 4, dtype=torch.bool)
    mask[0, allowed] = True
    logits = torch.tensor([[1e4, -1e4, 0.0, 3.0]])
    assert choose(logits, (4,), mask, torch.tensor([[uniform]])).tolist() == [[allowed]]


def test_frequencies_over_a_grid_are_the_probabilities() -> None:
    # At the midpoints of 8,000 equal intervals an inverse distribution function takes each choice 8000 p times.
    probabilities = torch.tensor([0.125, 0.0, 0.375, 0.5, 0.0])
    grid = (torch.arange(8000) + 0.5) / 8000
    actions = choose(probabilities.log().expand(8000, 5), (5,), None, grid[:, None])[:, 0]
    assert actions.bincount(minlength=5).tolist() == [1000, 0, 3000, 4000, 0]
    assert actions.tolist() == sorted(actions.tolist())


def test_each_group_is_sampled_at_its_own_uniform_number() -> None:
    # A grid over the square: the joint frequencies are the products of the groups' probabilities.
    first, second = torch.tensor([0.25, 0.75]), torch.tensor([0.5, 0.2, 0.3])
    grid = (torch.arange(40) + 0.5) / 40
    uniforms = torch.cartesian_prod(grid, grid)
    actions = choose(torch.cat([first.log(), second.log()]).expand(1600, 5), (2, 3), None, uniforms)
    joint = torch.zeros(2, 3).index_put_(tuple(actions.T), torch.ones(1600), accumulate=True)
    torch.testing.assert_close(joint, 1600 * first[:, None] * second)


def test_wrong_shapes_and_masks_are_refused() -> None:
    logits = torch.zeros(2, 5)
    for wrong in (torch.zeros(5), torch.zeros(2, 4), torch.zeros(1, 2, 5)):
        with pytest.raises(ValueError, match=r"expected logits \[B, 5\]"):
            categorical.log_probabilities(wrong, (2, 3))
    for mask in (torch.ones(5, dtype=torch.bool), torch.ones(2, 4, dtype=torch.bool), torch.ones(2, 5)):
        with pytest.raises(ValueError, match="expected a boolean mask"):
            categorical.log_probabilities(logits, (2, 3), mask)
