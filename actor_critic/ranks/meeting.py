"""The meeting of the ranks at torchrun's store, which still holds what ranks before a restart wrote."""

import json
import time
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.distributed import Store  # type: ignore[attr-defined]

_NAME = "actor_critic/meeting"
_PAUSE = 0.02  # seconds between two looks at the store


def meet(store: "Store", rank: int, size: int, timeout: float) -> str:
    """Return a name that the ranks of this attempt agree on, and that no earlier attempt had.

    Rank 0 invents a name. Each other rank answers with a name of its own, and accepts only when rank 0 repeats it: an
    earlier rank 0 cannot know it.

    Args:
        store: The store that all ranks reach.
        rank: The number of this rank.
        size: K, the number of ranks.
        timeout: Seconds to wait for the others.

    Raises:
        TimeoutError: Some rank did not come.
    """
    mine, deadline = uuid.uuid4().hex, time.monotonic() + timeout
    if rank == 0:
        store.set(_NAME, mine)
        keys = [f"{_NAME}/{mine}/{other}" for other in range(1, size)]
        for other, key in enumerate(keys, start=1):
            while not store.check([key]):
                _pause(deadline, f"rank {other}")
        store.set(f"{_NAME}/{mine}", json.dumps([store.get(key).decode() for key in keys]))
        return mine
    while True:
        if store.check([_NAME]):
            name = store.get(_NAME).decode()
            store.set(f"{_NAME}/{name}/{rank}", mine)
            end = min(deadline, time.monotonic() + 1.0)  # then rank 0 may have invented another one
            while time.monotonic() < end:
                if store.check([f"{_NAME}/{name}"]) and mine in json.loads(store.get(f"{_NAME}/{name}")):
                    return name
                if store.get(_NAME).decode() != name:
                    break
                time.sleep(_PAUSE)
        _pause(deadline, "rank 0")


def _pause(deadline: float, missing: str) -> None:
    if time.monotonic() > deadline:
        raise TimeoutError(f"{missing} did not come")
    time.sleep(_PAUSE)
