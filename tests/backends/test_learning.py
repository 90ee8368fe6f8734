"""Learning in one compiled function: the same bits as estimating and updating one after the other."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from actor_critic.algorithm import Coefficients, Experience
from actor_critic.backends import Backend
from actor_critic.errors import NumericalError
from tests.backends.test_fused import RULES, _Case

STEPS, ENVS = 9, 4
COUNT = STEPS * ENVS
GAMMA, LAMBDA = 0.97, 0.9


def _case(**changes: object) -> _Case:
    return _Case(3, 8, 1, (2, 3), count=COUNT + ENVS, masked=True, **changes)


def _experience(case: _Case, *, pauses: bool = False, all_ended: bool = False, given: bool = False) -> Experience:
    random = np.random.default_rng(1)
    terminated, truncated = random.random((STEPS, ENVS)) < 0.2, random.random((STEPS, ENVS)) < 0.3
    if all_ended:
        truncated[-1] = True
    at = np.nonzero(truncated)
    finals = torch.from_numpy(random.standard_normal((len(at[0]), 3), np.float32))
    rewards = random.standard_normal((STEPS, ENVS)).astype(np.float32)
    return Experience(
        case.features[: COUNT if all_ended else COUNT + ENVS], case.actions[:COUNT], case.masks[:COUNT], rewards,
        terminated, terminated | truncated, finals, at, None,
        random.random((STEPS, ENVS)) < 0.8 if pauses else None,
        case.batch.log_probs[:COUNT] if given else None,
    )  # fmt: skip


def _minibatches(experience: Experience, parts: int) -> list[np.ndarray]:
    count = COUNT if experience.valid is None else int(experience.valid.sum())
    if parts == 1:
        return [np.arange(count)]
    return np.array_split(np.random.default_rng(2).permutation(count), parts)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("kind", [{}, {"pauses": True}, {"all_ended": True}, {"given": True}], ids=str)
def test_one_call_gives_the_bits_of_two(kind: dict[str, bool], parts: int, threads: int) -> None:
    found = []
    for learn in (type(_case().backends[1]).learn, Backend.learn):
        case = _case(threads=threads)
        backend, experience = case.backends[1], _experience(case, **kind)
        learned = [
            learn(backend, experience, _minibatches(experience, parts), Coefficients(**RULES), GAMMA, LAMBDA)
            for _ in range(2)
        ]
        found.append((learned, case.flats[1].values.clone(), backend.second_moment.clone(), backend.steps))
    (one, *tensors, steps), (two, *others, other_steps) = found
    assert [replace(each, value_states=None) for each in one] == two and steps == other_steps == 2 * parts
    assert all(torch.equal(mine, other) for mine, other in zip(tensors, others, strict=True))


@pytest.mark.parametrize("kind", [{}, {"pauses": True}, {"given": True}], ids=str)
@pytest.mark.parametrize("parts", [1, 3])
def test_both_backends_learn_the_same(kind: dict[str, bool], parts: int) -> None:
    case = _case()
    experience = _experience(case, **kind)
    rules = Coefficients(**(RULES | {"learning_rate": 1e-3}))
    learned = [
        backend.learn(experience, _minibatches(experience, parts), rules, GAMMA, LAMBDA) for backend in case.backends
    ]
    assert learned[0].explained_variance == pytest.approx(learned[1].explained_variance, rel=1e-3)
    assert vars(learned[0].statistics) == pytest.approx(vars(learned[1].statistics), rel=1e-3, abs=1e-4)
    torch.testing.assert_close(case.flats[0].values, case.flats[1].values, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", [{}, {"pauses": True}, {"given": True}], ids=str)
def test_an_error_holds_the_same_batch_in_both_backends(kind: dict[str, bool]) -> None:
    case = _case()
    experience = _experience(case, **kind)
    experience.rewards[2, 1] = np.inf
    batches = []
    for backend in case.backends:
        with pytest.raises(NumericalError, match=r"the gradient of optimizer step \d is not finite") as caught:
            backend.learn(experience, _minibatches(experience, 3), Coefficients(**RULES), GAMMA, LAMBDA)
        batches.append(caught.value.batch)
    assert case.backends[0].steps == case.backends[1].steps < 3
    eager, fused = batches
    assert eager.keys() == fused.keys()
    for name, tensor in eager.items():
        torch.testing.assert_close(fused[name], tensor, rtol=1e-4, atol=1e-4, equal_nan=True)
