"""Matrix products in compiled code, against NumPy."""

import ctypes
import itertools
from ctypes import byref, c_float, c_int32

import numpy as np
import pytest
from numba.core.errors import TypingError

from actor_critic.compiling import blas, multiply

SIZES = [(0, 3, 4), (3, 0, 4), (3, 4, 0), (1, 1, 1), (2, 5, 3), (8, 64, 64), (40, 33, 129)]


@pytest.mark.parametrize(("m", "k", "n"), SIZES)
def test_products_of_all_forms_equal_those_of_numpy(m: int, k: int, n: int) -> None:
    random = np.random.default_rng(0)
    for turns_a, turns_b, adds in itertools.product([False, True], repeat=3):
        a = random.standard_normal((k, m) if turns_a else (m, k)).astype(np.float32)
        b = random.standard_normal((n, k) if turns_b else (k, n)).astype(np.float32)
        out = random.standard_normal((m, n)).astype(np.float32)
        product = (a.T if turns_a else a).astype(np.float64) @ (b.T if turns_b else b)
        expected = product + out if adds else product
        multiply(a, turns_a, b, turns_b, out, adds)
        np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("wrong", [np.ones((3, 3)), np.ones((3, 6), np.float32)[:, ::2], np.ones(3, np.float32)])
def test_other_arrays_are_refused(wrong: np.ndarray) -> None:
    out = np.zeros((3, 3), np.float32)
    with pytest.raises(TypingError):
        multiply(wrong, False, out, False, out.copy(), False)


def test_a_number_that_is_not_finite_reaches_its_row() -> None:
    a, b, out = np.ones((2, 3), np.float32), np.ones((3, 2), np.float32), np.full((2, 2), np.nan, np.float32)
    a[1, 0] = np.inf
    multiply(a, False, b, False, out, False)
    np.testing.assert_array_equal(out, [[3, 3], [np.inf, np.inf]])


def test_without_the_library_of_numpy_that_of_scipy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = blas._sgemm()
    monkeypatch.setattr(blas, "_NAMES", ())
    address = blas._sgemm()
    assert address not in (0, ours)
    sgemm = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 13)(address)
    a = np.array([[1, 2], [3, 4]], np.float32)
    out, two, one, zero = np.empty((2, 2), np.float32), c_int32(2), c_float(1.0), c_float(0.0)
    plain = ctypes.c_char(b"N")
    size, at = byref(two), a.ctypes.data
    sgemm(
        byref(plain), byref(plain), size, size, size, byref(one), at, size, at, size, byref(zero), out.ctypes.data, size
    )  # fmt: skip
    np.testing.assert_array_equal(out, a @ a)
