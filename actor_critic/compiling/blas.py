"""Matrix products in compiled code, computed by the BLAS library that comes with NumPy.

Numba's own ``np.dot`` uses SciPy's BLAS. NumPy's is newer, and needs up to 45 % less time for small products. Where
NumPy has none (conda, Accelerate on macOS), SciPy's is used.
"""

import contextlib
import ctypes
import sys
from pathlib import Path
from typing import Any

import llvmlite.binding
import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from actor_critic.compiling.functions import compiled  # before importing Numba
from actor_critic.compiling.scipy_blas import NAME

_SYMBOL = "actor_critic_sgemm"
_NAMES = ("scipy_sgemm_64_", "scipy_sgemm_", "sgemm_64_", "sgemm_")


def _sgemm() -> int:
    """Return the address of a Fortran ``sgemm``; its integers have 32 or 64 bits."""
    folder = Path(np.__file__).parent
    for path in sorted([*folder.parent.glob("numpy.libs/*openblas*"), *folder.glob(".dylibs/*openblas*")]):
        with contextlib.suppress(OSError):
            library = ctypes.CDLL(str(path))
            for name in _NAMES:
                if hasattr(library, name):
                    return int(ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0)
    capsule = sys.modules[NAME].__pyx_capi__["sgemm"]
    name_of, pointer_of = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer_of.restype, pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return int(pointer_of(capsule, name_of(capsule)))


llvmlite.binding.add_symbol(_SYMBOL, _sgemm())  # compiled code finds the function by this name, also from the cache


@intrinsic
def _call_sgemm(
    context: Any, right: Any, left: Any, n: Any, m: Any, k: Any, alpha: Any, b: Any, wide_b: Any, a: Any, wide_a: Any,
    beta: Any, out: Any, wide: Any,
) -> Any:  # fmt: skip
    """Call ``sgemm``, which takes all arguments by reference.

    The integers are little-endian, so a reference to one of 64 bits is also a reference to one of 32.
    """
    kinds = (right, left, n, m, k, alpha, b, wide_b, a, wide_a, beta, out, wide)
    for kind in (a, b, out):
        if not isinstance(kind, types.Array) or (kind.dtype, kind.ndim, kind.layout) != (types.float32, 2, "C"):
            return None  # a typing error: BLAS would read other memory

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        from llvmlite import ir

        byte, length = ir.IntType(8).as_pointer(), ir.IntType(64)
        given = [
            context.make_array(kind)(context, builder, value).data
            if isinstance(kind, types.Array)
            else cgutils.alloca_once_value(builder, value)
            for kind, value in zip(kinds, values, strict=True)
        ]
        # A Fortran compiler adds the lengths of both letters.
        kind = ir.FunctionType(ir.VoidType(), [byte] * len(given) + [length] * 2)
        function = cgutils.get_or_insert_function(builder.module, kind, _SYMBOL)
        builder.call(function, [builder.bitcast(each, byte) for each in given] + [length(1)] * 2)
        return context.get_dummy_value()

    return types.none(*kinds), generate


@compiled
def multiply(a: Any, turns_a: bool, b: Any, turns_b: bool, out: Any, adds: bool) -> None:
    """Out ← A B, or out + A B if it ``adds``; each factor is transposed first if it ``turns``.

    The arrays are two-dimensional, contiguous and float32. Fortran reads them transposed and computes outᵀ ← Bᵀ Aᵀ.
    """
    m, n = out.shape
    k = a.shape[0] if turns_a else a.shape[1]
    _call_sgemm(
        _T if turns_b else _N, _T if turns_a else _N, n, m, k, _ONE, b, max(b.shape[1], 1), a, max(a.shape[1], 1),
        _ONE if adds else _ZERO, out, max(n, 1),
    )  # fmt: skip


_N, _T = np.uint8(ord("N")), np.uint8(ord("T"))
_ONE, _ZERO = np.float32(1.0), np.float32(0.0)
