"""Meeting at a store that still has the entries of ranks before a restart."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from torch.distributed import HashStore

from actor_critic.ranks.meeting import meet


def meet_all(store: HashStore, size: int) -> set[str]:
    with ThreadPoolExecutor(size) as pool:
        found = [pool.submit(meet, store, rank, size, 20.0) for rank in reversed(range(size))]
        return {each.result() for each in found}


def test_every_attempt_agrees_on_a_name_of_its_own() -> None:
    store = HashStore()
    names = [meet_all(store, size) for size in (2, 3, 3, 1, 2)]  # ranks may be lost and come back
    assert all(len(name) == 1 for name in names)
    assert len(set.union(*names)) == 5


def test_ranks_that_come_early_do_not_take_the_name_of_a_dead_attempt() -> None:
    store = HashStore()
    old = meet_all(store, 2)
    with ThreadPoolExecutor(2) as pool:
        early = pool.submit(meet, store, 1, 2, 20.0)  # rank 0 has not come yet, and the store has its old name
        new = pool.submit(meet, store, 0, 2, 20.0)
        assert early.result() == new.result() not in old


def test_who_is_missing_is_told() -> None:
    with pytest.raises(TimeoutError, match="rank 1 did not come"):
        meet(HashStore(), 0, 2, 0.1)
    with pytest.raises(TimeoutError, match="rank 0 did not come"):
        meet(HashStore(), 1, 2, 0.1)
