"""Calls at addresses: their results, their errors, and arguments of other types."""

from typing import Any

import numpy as np
import pytest
from numba import float32, int64
from numba.core.errors import TypingError

from actor_critic.compiling import address_of, calling, compiled

_KIND = float32[::1](float32[:, ::1], int64)
call_row = calling(_KIND)


@compiled
def row(x: Any, at: int) -> Any:
    if at < 0:
        raise MemoryError("there is too little memory")
    return x[at]


@compiled
def call(address: int, x: Any, at: int) -> Any:
    return call_row(address, x, at)


@compiled
def call_or_zeros(address: int, x: Any, at: int) -> Any:
    try:
        return call_row(address, x, at)
    except Exception:
        return np.zeros(1, np.float32)


X = np.arange(6, dtype=np.float32).reshape(2, 3)


def test_a_call_returns_what_the_function_does_and_keeps_the_array_alive() -> None:
    address = address_of(row, _KIND)
    found = [call(address, X.copy(), 1) for _ in range(1000)]  # each is a view into an array that nothing else holds
    assert all(each.tolist() == [3.0, 4.0, 5.0] for each in found)
    read_only = X.copy()
    read_only.flags.writeable = False
    assert call(address, read_only, 0).tolist() == [0.0, 1.0, 2.0]


def test_an_error_of_the_function_passes_through_its_callers() -> None:
    address = address_of(row, _KIND)
    with pytest.raises(MemoryError, match="too little memory"):
        call(address, X, -1)
    assert call_or_zeros(address, X, -1).tolist() == [0.0]
    assert call_or_zeros(address, X, 1).tolist() == [3.0, 4.0, 5.0]


@pytest.mark.parametrize(
    "x", [np.asfortranarray(X), X[:, ::2], X.astype(np.float64), X[0]], ids=["Fortran", "strided", "float64", "1-D"]
)
@pytest.mark.parametrize("writeable", [True, False])
def test_arrays_of_another_type_are_refused(x: Any, writeable: bool) -> None:
    x = x.view()
    x.flags.writeable = writeable
    with pytest.raises(TypingError):
        call(address_of(row, _KIND), x, 0)


def test_an_address_is_given_only_for_the_whole_signature() -> None:
    with pytest.raises(TypeError, match="row returns array"):
        address_of(row, int64(float32[:, ::1], int64))
