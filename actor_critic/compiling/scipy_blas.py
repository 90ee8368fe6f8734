"""SciPy's BLAS, loaded when it is used.

Numba imports it with all of SciPy's linear algebra, although only ``np.dot`` in the functions of a user needs it.
"""

import importlib.util
import sys
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Any

from threadpoolctl import ThreadpoolController

NAME = "scipy.linalg.cython_blas"


class _Lazy(ModuleType):
    """Loads the module when one of its functions is looked up."""

    def __getattr__(self, name: str) -> Any:
        if name != "__pyx_capi__":
            raise AttributeError(f"module {NAME} has no attribute {name}")
        import scipy

        spec = PathFinder.find_spec(NAME, [f"{folder}/linalg" for folder in scipy.__path__])
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        before = _libraries()
        spec.loader.exec_module(module)
        # Otherwise the order of sums depends on the number of threads.
        ThreadpoolController().select(filepath=sorted(_libraries() - before)).limit(limits=1)
        sys.modules[NAME] = module
        return module.__pyx_capi__


def _libraries() -> set[str]:
    return {library.filepath for library in ThreadpoolController().lib_controllers}


def load_when_used() -> None:
    """Put the module where Numba finds it; call this before importing Numba."""
    if NAME not in sys.modules and importlib.util.find_spec("scipy") is not None:
        sys.modules[NAME] = _Lazy(NAME)
