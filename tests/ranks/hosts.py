"""Exchanges of ranks that count as on several machines; started by ``test_hosts``."""

import sys
import time

import numpy as np
import pytest
import torch
import torch.distributed as dist

from actor_critic.errors import ConfigError, RankFault
from actor_critic.ranks import Ranks, is_shared, join


def make_a_group_without_the_cpu() -> None:
    """Make a default process group that sends numbers of the GPU alone, as one of NCCL does."""
    dist.Backend.register_backend("silent", lambda store, rank, size, timeout: Silent(rank, size), devices=["cuda"])
    dist.init_process_group("silent")


class Silent(dist.ProcessGroup):
    """A group that sends nothing."""


def compare_each_exchange(ranks: Ranks) -> None:
    """Compare each exchange with what it must give."""
    index, size = ranks.index, ranks.size
    for count in (3, 10_000, 2**20 + 3):  # the last one is larger than what travels through memory
        numbers = torch.full((count,), float(index + 1))
        ranks.sum(numbers)
        assert (numbers == size * (size + 1) / 2).all()
    assert ranks.any(index == size - 1, False) == [True, False]
    for count in (2, 3000):  # the last one does not fit into the first message
        (found,) = ranks.gather(np.full((count, 1), index, np.int64))
        assert found.tolist() == [list(range(size))] * count
    uneven, also = ranks.gather(np.full((1 + index, 1), 1 + index, np.int16), np.ones((1 + index, 2), np.bool_))
    assert uneven.tolist() == [[1 + k if step <= k else 0 for k in range(size)] for step in range(size)]
    assert also.tolist() == [[step <= k for k in range(size) for _ in range(2)] for step in range(size)]
    assert ranks.objects("x" * 1000 * index) == ["x" * 1000 * k for k in range(size)]
    assert ranks.lead(lambda: ranks.ask("0"), lambda: str(index)) == [str(k) for k in range(size)]
    shared = torch.full((3,), float(index))
    ranks.copy_from_first(shared)
    assert (shared == 0).all()


def fail_on_the_last(ranks: Ranks) -> None:
    """Raise an error on the last rank; the others raise it in whatever they exchange next, and all can go on."""
    text, is_last = "seed: 3 is wrong", ranks.index == ranks.size - 1
    expected = f"^{text}$" if is_last else f"^rank {ranks.size - 1}: {text}$"
    for exchange in (lambda: ranks.gather(np.zeros((2000, 2))), lambda: ranks.lead(lambda: ranks.ask(0))):
        with pytest.raises((ConfigError, RankFault), match=expected) as raised:
            with ranks.telling():
                if is_last:
                    raise ConfigError(text)
            exchange()
        assert is_shared(raised.value)
        assert raised.value.exit_code == ConfigError.exit_code
        assert ranks.any(False) == [False]


def do_something_else_on_the_last(ranks: Ranks) -> None:
    """Make another call on the last rank, with other numbers of bytes; all are told at once."""
    began, is_last = time.monotonic(), ranks.index == ranks.size - 1
    with pytest.raises(RankFault, match=r"rank \d does something else \(.+\); all ranks must make"):
        if is_last:
            ranks.objects("x" * 5000)
        else:
            ranks.rows(np.zeros(1), "going on with the loop")
    with pytest.raises(RankFault, match=r"the connection to the other ranks is lost: rank . does something else"):
        ranks.any(False)
    assert time.monotonic() - began < 10


def join_again_without_a_connection(ranks: Ranks) -> None:
    """Join after a rank was lost; the program sees the error, and does not fail with it at its end once more."""
    ranks.fail_at_the_end(RankFault("not raised yet"))
    with pytest.raises(RankFault, match=r"the connection to the other ranks is lost: rank . does something else"):
        join(20.0)


if __name__ == "__main__":
    if "silent" in sys.argv:
        make_a_group_without_the_cpu()
    compare_each_exchange(join(20.0))
    fail_on_the_last(join(20.0))
    ranks = join(20.0)
    do_something_else_on_the_last(ranks)
    join_again_without_a_connection(ranks)
