"""The second thread of compiled functions: who makes a call, and how the thread begins and ends."""

import gc
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from actor_critic.compiling import NOBODY, Helper, compiled_with, side_by_side
from actor_critic.compiling.helper import CLAIMED, DONE, POSTED, SLEEPS


@compiled_with()
def _square(numbers: Any, out: Any) -> None:
    if numbers[0] < 0:
        raise ValueError("a negative number")
    for i in range(numbers.size):
        out[i] = numbers[i] * numbers[i]


_both = side_by_side(_square, _square)


@compiled_with(nogil=True)
def _squares(numbers: Any, post: Any) -> Any:
    out, half = np.zeros(numbers.size), numbers.size // 2
    _both(post, (numbers[:half], out[:half]), (numbers[half:], out[half:]))
    return out


def _until(is_so: Callable[[], Any]) -> None:
    started = time.monotonic()
    while not is_so():
        assert time.monotonic() - started < 60
        time.sleep(0.001)


def _asleep() -> Helper:
    """A helper whose thread sleeps."""
    helper = Helper()
    helper.wake()
    _until(lambda: helper.post[SLEEPS])
    return helper


def test_a_helper_that_nobody_woke_has_no_thread() -> None:
    before = threading.active_count()
    helper = Helper()
    assert (threading.active_count(), helper.post.size) == (before, 0)


def test_a_sleeping_helper_leaves_the_call_to_the_function() -> None:
    helper, numbers = _asleep(), np.arange(10.0)
    for count in (1, 2):
        assert (_squares(numbers, helper.post) == numbers**2).all()
        assert helper.post[[POSTED, CLAIMED, DONE]].tolist() == [count, count, 0]


def test_an_awake_helper_makes_calls_with_the_same_results() -> None:
    helper, numbers = Helper(), np.arange(10_000.0)

    def has_helped() -> bool:
        helper.wake()
        assert (_squares(numbers, helper.post) == numbers**2).all()
        return bool(helper.post[DONE])

    _until(has_helped)
    assert helper.post[POSTED] == helper.post[CLAIMED] >= helper.post[DONE]


def test_an_error_in_either_thread_ends_the_function() -> None:
    helper, numbers = _asleep(), np.append(np.ones(10_000), -np.ones(10_000))
    with pytest.raises(ValueError, match="a negative number"):
        _squares(numbers, helper.post)  # the helper sleeps, so this thread fails

    def has_failed_there() -> bool:
        helper.wake()
        with pytest.raises((ValueError, MemoryError), match=r"negative|memory"):
            _squares(numbers, helper.post)
        return bool(helper.post[DONE])

    _until(has_failed_there)
    assert (_squares(-numbers[:10_000:-1], helper.post) == 1).all()  # and it goes on


def test_an_error_in_its_own_part_leaves_no_open_call() -> None:
    helper = _asleep()
    for count in (1, 2):
        with pytest.raises(MemoryError, match="too little memory"):
            _squares(np.array([-1.0, 1.0]), helper.post)
        assert helper.post[CLAIMED] == count


def test_a_helper_without_calls_falls_asleep_and_can_be_woken() -> None:
    helper, numbers = _asleep(), np.arange(10_000.0)

    def has_helped() -> bool:
        helper.wake()
        _squares(numbers, helper.post)
        return bool(helper.post[DONE])

    _until(has_helped)


def test_a_forked_process_has_a_helper_of_its_own() -> None:
    helper = _asleep()
    parent = helper.post
    helper._process = 0  # as in a fork, whose process has another number
    helper.wake()
    assert helper.post is not parent
    _until(lambda: helper.post[SLEEPS])


@pytest.mark.parametrize("is_awake", [False, True])
def test_the_thread_ends_with_its_object(is_awake: bool) -> None:
    before = set(threading.enumerate())
    helper = Helper()
    helper.wake()
    (thread,), post = set(threading.enumerate()) - before, helper.post
    if not is_awake:
        _until(lambda: post[SLEEPS])
    del helper
    gc.collect()
    thread.join(10)
    assert not thread.is_alive()


def test_without_a_helper_one_part_follows_the_other() -> None:
    assert (_squares(np.arange(9.0), NOBODY) == np.arange(9.0) ** 2).all()
