"""The update of a data-parallel run: the steps of one process, on both backends, and in shared memory."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch

from actor_critic.algorithm import Coefficients, Portions, UpdateStatistics, portions
from actor_critic.backends import update_in_parallel
from actor_critic.errors import NumericalError, RankFault
from actor_critic.ranks import Memory, Ranks, Share
from actor_critic.ranks.shared_memory import SharedMemory
from tests.backends.test_fused import RULES, _Case

ALL = Share(0, 64, 64)
PARTS = [np.arange(first, first + 16) for first in (0, 16, 32, 48)] * 2


class Threads(Ranks):
    """Ranks that are threads of this process and sum in shared memory."""

    def __init__(self, index: int, size: int, told: list[str], barrier: threading.Barrier, compiled: bool) -> None:
        self.index, self.size, self._compiled = index, size, compiled

        def tell(text: str) -> list[str]:
            told[index] = text
            barrier.wait()
            found = list(told)
            barrier.wait()
            return found

        self._memory = SharedMemory(index, dict.fromkeys(range(size), os.getpid()), 20.0, tell)

    def memory(self, size: int) -> Memory | None:
        return self._memory if self._memory.has_room_for(size) and self._compiled else None

    def sum(self, numbers: torch.Tensor) -> None:
        first, *others = self._memory.exchange(numbers.numpy().view(np.uint8), "test") or []
        numbers.numpy()[:] = first.view(np.float32)
        for other in others:
            numbers.numpy()[:] += other.view(np.float32)


def rules(**changes: Any) -> Coefficients:
    return Coefficients(**{**RULES, **changes})


def whole(case: _Case, coefficients: Coefficients, share: Share = ALL) -> Portions:
    min_std = coefficients.min_advantage_std if coefficients.normalize_advantages else None
    advantages = case.batch.advantages.numpy()[None]
    valid = np.ones(advantages.shape, np.bool_)
    return portions(PARTS, advantages, valid, share, 1, keeps_invalid=False, min_std=min_std)


def on_threads(case_of: Any, size: int, compiled: bool, coefficients: Coefficients) -> list[Any]:
    """Update on as many ranks, each with its rows of the batch; return the weights and statistics of each."""
    told, barrier = [""] * size, threading.Barrier(size)

    def run(index: int) -> tuple[torch.Tensor, UpdateStatistics]:
        case, count = case_of(), 64 // size
        share = Share(index * count, count, 64)
        batch = case.batch.select(torch.arange(64)[share.slice])
        ranks = Threads(index, size, told, barrier, compiled)
        found = update_in_parallel(
            case.backends[1], case.flats[1], batch, whole(case, coefficients, share), coefficients, ranks
        )
        return case.flats[1].values.clone(), found

    with ThreadPoolExecutor(size) as pool:
        return [each.result() for each in [pool.submit(run, index) for index in range(size)]]


@pytest.mark.parametrize("changes", [{}, {"clip_coef": None, "normalize_advantages": False}, {"clip_vloss": True}])
@pytest.mark.parametrize("kind", [0, 1])
def test_one_rank_takes_the_steps_of_the_backend(kind: int, changes: dict[str, Any]) -> None:
    coefficients = rules(**changes)
    together, alone = _Case(5, 16, 2, (3, 2), masked=True), _Case(5, 16, 2, (3, 2), masked=True)
    backend, parts = together.backends[kind], whole(together, coefficients)
    found = update_in_parallel(backend, together.flats[kind], together.batch, parts, coefficients, Ranks())
    expected = alone.backends[kind].update(alone.batch, PARTS, coefficients)
    assert vars(found) == pytest.approx(vars(expected), rel=1e-4, abs=1e-6)
    assert torch.allclose(together.flats[kind].values, alone.flats[kind].values, rtol=0, atol=1e-5)
    assert together.backends[kind].steps == alone.backends[kind].steps == 8


@pytest.mark.parametrize("shared", [False, True])
def test_ranks_that_share_memory_take_the_same_steps_in_one_compiled_function(shared: bool) -> None:
    def case_of() -> _Case:
        return _Case(5, 16, 2, (3, 2), masked=True, shared=shared)

    alone, coefficients = case_of(), rules()
    expected = alone.backends[1].update(alone.batch, PARTS, coefficients)
    compiled, in_python = (on_threads(case_of, 4, compiled, coefficients) for compiled in (True, False))
    for weights, statistics in [*compiled, *in_python]:
        assert torch.equal(weights, compiled[0][0])  # the same bits on every rank, and either way
        assert torch.allclose(weights, alone.flats[1].values, rtol=0, atol=1e-5)
        assert vars(statistics) == pytest.approx(vars(expected), rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("compiled", [True, False])
def test_the_divergence_of_all_ranks_ends_the_epoch(compiled: bool) -> None:
    results = on_threads(lambda: _Case(5, 16, 2, (3, 2)), 2, compiled, rules(target_kl=1e-3))
    assert [statistics.steps for _, statistics in results] == [0, 0]


@pytest.mark.parametrize("compiled", [True, False])
def test_a_gradient_that_is_not_finite_is_an_error_on_every_rank(compiled: bool) -> None:
    def case_of() -> _Case:
        case = _Case(5, 16, 2, (3, 2))
        case.batch.returns[3] = torch.inf  # a row of rank 0
        return case

    told, barrier = [""] * 2, threading.Barrier(2)

    def run(index: int) -> NumericalError:
        case, share = case_of(), Share(32 * index, 32, 64)
        batch = case.batch.select(torch.arange(64)[share.slice])
        ranks = Threads(index, 2, told, barrier, compiled)
        with pytest.raises(NumericalError, match="optimizer step 1 is not finite") as failure:
            update_in_parallel(case.backends[1], case.flats[1], batch, whole(case, rules(), share), rules(), ranks)
        assert case.backends[1].steps == 0
        return failure.value

    with ThreadPoolExecutor(2) as pool:
        assert len({str(each.result()) for each in [pool.submit(run, index) for index in range(2)]}) == 1


def test_a_failure_on_one_rank_is_told_to_the_others() -> None:
    told, barrier = [""] * 2, threading.Barrier(2)

    class Telling(Threads):
        def joint(self) -> Any:
            return _Joint(self.index)

    class _Joint:
        def __init__(self, index: int) -> None:
            self.index = index

        def __enter__(self) -> None:
            pass

        def __exit__(self, kind: Any, *_: object) -> None:
            if kind is None:
                raise RankFault("rank 0: no memory")

    def run(index: int) -> BaseException:
        case, share = _Case(5, 16, 2, (3, 2)), Share(32 * index, 32, 64)
        if index == 0:
            case.backends[0].gradient = _raise
        batch = case.batch.select(torch.arange(64)[share.slice])
        ranks = Telling(index, 2, told, barrier, False)
        with pytest.raises((MemoryError, RankFault)) as failure:
            update_in_parallel(case.backends[0], case.flats[0], batch, whole(case, rules(), share), rules(), ranks)
        return failure.value

    with ThreadPoolExecutor(2) as pool:
        kinds = [type(each.result()) for each in [pool.submit(run, index) for index in range(2)]]
    assert kinds == [MemoryError, RankFault]


def _raise(*_: Any) -> Any:
    raise MemoryError("no memory")
