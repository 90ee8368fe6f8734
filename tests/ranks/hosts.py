"""Exchanges of ranks that count as on several machines; started by ``test_hosts``."""

import numpy as np
import torch

from actor_critic.ranks import join


def main() -> None:
    """Compare each exchange with what it must give."""
    ranks = join(20.0)
    index, size = ranks.index, ranks.size
    for count in (3, 10_000, 2**20 + 3):  # the last one is larger than what travels through memory
        numbers = torch.full((count,), float(index + 1))
        ranks.sum(numbers)
        assert (numbers == size * (size + 1) / 2).all()
    assert ranks.any(index == size - 1, False) == [True, False]
    (found,) = ranks.gather(np.full((2, 1), index, np.int64))
    assert found.tolist() == [list(range(size))] * 2
    assert ranks.objects(index) == list(range(size))
    assert ranks.lead(lambda: ranks.ask("0"), lambda: str(index)) == [str(k) for k in range(size)]
    shared = torch.full((3,), float(index))
    ranks.copy_from_first(shared)
    assert (shared == 0).all()


if __name__ == "__main__":
    main()
