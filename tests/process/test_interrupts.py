"""Ctrl-C is raised once, wherever it arrives."""

import signal
import sys
import time

import pytest

from actor_critic.process import Interrupted, recognized


class Freed:
    """Ctrl-C arrives while it is freed."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


def test_ctrl_c_in_a_destructor_is_raised_after_it(capfd: pytest.CaptureFixture[str]) -> None:
    before = sys.unraisablehook, signal.getsignal(signal.SIGINT)
    began = time.monotonic()
    with pytest.raises(Interrupted), recognized():
        Freed()
        time.sleep(10)
    assert time.monotonic() - began < 5
    assert capfd.readouterr().err == ""
    assert (sys.unraisablehook, signal.getsignal(signal.SIGINT)) == before


def test_it_is_raised_at_the_end_of_a_block_that_ends_at_once() -> None:
    with pytest.raises(Interrupted), recognized():
        Freed()
    time.sleep(0.1)  # and not again


def test_a_second_one_in_a_destructor_is_raised_as_well() -> None:
    def caught() -> None:
        with pytest.raises(Interrupted):
            Freed()
            time.sleep(10)

    with recognized():
        for _ in range(2):
            caught()


def test_what_else_a_destructor_raises_is_printed_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def __del__(self) -> None:
            raise ValueError("told")

    told: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda dropped: told.append(str(dropped.exc_value)))
    with recognized():
        Broken()
    assert told == ["told"]
