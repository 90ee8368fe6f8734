"""Exchange through memory that processes share; threads take the place of processes here."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actor_critic.errors import RankFault
from actor_critic.ranks import shared_memory
from actor_critic.ranks.heads import FAILURE, OtherRankFailed
from actor_critic.ranks.shared_memory import SharedMemory


class Told:
    """Passes texts among threads."""

    def __init__(self, size: int) -> None:
        self.texts = [""] * size
        self.barrier = threading.Barrier(size)

    def by(self, place: int) -> Callable[[str], list[str]]:
        def tell(text: str) -> list[str]:
            self.texts[place] = text
            self.barrier.wait()
            found = list(self.texts)
            self.barrier.wait()
            return found

        return tell


@pytest.mark.parametrize("size", [1, 2, 5])
def test_each_exchange_gives_everyone_the_bytes_of_all(size: int) -> None:
    told, members = Told(size), dict.fromkeys(range(size), os.getpid())

    def run(place: int) -> None:
        memory = SharedMemory(place, members, 20.0, told.by(place))
        random = np.random.default_rng(place)
        for turn, length in enumerate([1, 3, 10, 2**20 + 5, 7] * 20):
            if place == turn % size:
                time.sleep(float(random.random()) / 1000)  # another one is late each time
            found = memory.exchange(np.full(length, (17 * turn + place) % 251, np.uint8), "test")
            assert [len(part) for part in found or []] == [length] * size
            assert all((part == (17 * turn + k) % 251).all() for k, part in enumerate(found or []))

    with ThreadPoolExecutor(size) as pool:
        for each in [pool.submit(run, place) for place in range(size)]:
            each.result()


def test_a_process_that_ended_is_named() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    told = Told(1)
    memory = SharedMemory(0, {0: os.getpid()}, 20.0, told.by(0))
    memory._ranks, memory._processes = [3, 4], [os.getpid(), ended.pid]
    memory.flags = np.zeros(2 * 8, np.int64)
    with pytest.raises(RankFault, match=f"^rank 4, process {ended.pid}, has ended$"):
        memory.exchange(np.zeros(1, np.uint8), "test")


def test_a_process_that_does_not_come_is_named() -> None:
    memory = SharedMemory(0, {0: os.getpid()}, 0.2, Told(1).by(0))
    memory._ranks, memory._processes = [0, 1], [os.getpid(), os.getpid()]
    memory.flags = np.zeros(2 * 8, np.int64)
    with pytest.raises(RankFault, match=r"^rank 1, process \d+, did not come within rank_timeout=0.2 s"):
        memory.exchange(np.zeros(1, np.uint8), "test")


def test_without_enough_memory_every_rank_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shared_memory, "_FOLDER", tmp_path)
    memory = SharedMemory(0, {0: os.getpid()}, 1.0, Told(1).by(0))
    assert not list(tmp_path.iterdir())  # the file has lost its name
    monkeypatch.setattr(memory, "_most", 2**60)
    assert not memory.has_room_for(2**58)
    assert not list(tmp_path.iterdir())
    (found,) = memory.exchange(np.arange(3, dtype=np.uint8), "test") or []  # what was there still works
    assert found.tolist() == [0, 1, 2]


def test_ranks_that_do_different_things_are_told_at_once() -> None:
    told, members = Told(2), dict.fromkeys(range(2), os.getpid())

    def run(place: int) -> str:
        memory = SharedMemory(place, members, 20.0, told.by(place))
        with pytest.raises(RankFault) as fault:
            memory.exchange(np.zeros(1 + place, np.uint8), "leaving the loop" if place else "a sum")
        return str(fault.value)

    with ThreadPoolExecutor(2) as pool:
        texts = [each.result() for each in [pool.submit(run, place) for place in range(2)]]
    text = "rank {} does something else ({}); all ranks must make the same calls, and leave the loop together"
    assert texts == [text.format(1, "leaving the loop"), text.format(0, "a sum")]


def _on_two(run: Callable[[int, SharedMemory], Any]) -> list[Any]:
    """Call a function on two ranks at the same time, and return its results."""
    told, members = Told(2), dict.fromkeys(range(2), os.getpid())
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda place: run(place, SharedMemory(place, members, 20.0, told.by(place))), range(2)))


def test_ranks_that_send_different_numbers_of_bytes_get_larger_places_together() -> None:
    def run(place: int, memory: SharedMemory) -> list[list[int]]:
        small = memory.places.shape[2]
        found = memory.exchange(np.full((small + 9) * place + 3, place, np.uint8), "test")
        assert found is not None and memory.places.shape[2] > small
        return [[len(part), int(part.min()), int(part.max())] for part in found]

    assert _on_two(run) == [[[3, 0, 0], [2**20 + 12, 1, 1]]] * 2


def test_bytes_that_are_too_many_on_one_rank_are_refused_on_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_memory, "_MOST", 2**20)

    def run(place: int, memory: SharedMemory) -> Any:
        assert memory.exchange(np.zeros(2**20 + place, np.uint8), "test") is None
        return [part.tolist() for part in memory.exchange(np.full(1, place, np.uint8), "test") or []]

    assert _on_two(run) == [[[0], [1]]] * 2


def test_a_failure_is_told_to_a_rank_that_sends_too_much() -> None:
    def run(place: int, memory: SharedMemory) -> Any:
        if place == 0:
            found = memory.exchange(np.zeros(0, np.uint8), FAILURE)
            assert [part.tolist() for part in found or []] == [[], []]
        else:
            with pytest.raises(OtherRankFailed):
                memory.exchange(np.zeros(2**23, np.uint8), "test")
        return [part.tolist() for part in memory.exchange(np.full(1, place, np.uint8), "errors") or []]

    assert _on_two(run) == [[[0], [1]]] * 2


@pytest.mark.parametrize("exchanges", [2, 3])
def test_a_rank_that_waits_for_compiled_code_is_told_what_it_does(exchanges: int) -> None:
    def run(place: int, memory: SharedMemory) -> str:
        for _ in range(exchanges):  # their heads stay in memory
            memory.exchange(np.zeros(1, np.uint8), "a sum")
        if place == 0:
            memory.announce("updating the networks")
            memory._meet()  # compiled code meets the others, and writes no head
            return ""
        with pytest.raises(RankFault) as fault:
            memory.exchange(np.zeros(1, np.uint8), "a sum")
        return str(fault.value)

    assert _on_two(run)[1].startswith("rank 0 does something else (updating the networks); ")


def test_places_hold_whole_numbers_after_an_odd_exchange() -> None:
    memory = SharedMemory(0, {0: os.getpid()}, 1.0, Told(1).by(0))
    memory.exchange(np.zeros(9 * 131073, np.uint8), "test")
    assert memory.places.view(np.float32).shape[2] * 4 == memory.places.shape[2]
