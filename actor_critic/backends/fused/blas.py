"""SciPy's BLAS, which Numba's matrix products call."""

import importlib
import importlib.util
import sys
from importlib.machinery import PathFinder

_NAME = "scipy.linalg.cython_blas"


def load_blas() -> None:
    """Load it, before its threads are limited, and without the rest of ``scipy.linalg``: that takes ten times longer.

    Compiled code asks for the module by its name, and finds it wherever it came from.
    """
    if _NAME in sys.modules:
        return
    import scipy

    spec = PathFinder.find_spec(_NAME, [f"{folder}/linalg" for folder in scipy.__path__])
    if spec is None or spec.loader is None:
        importlib.import_module(_NAME)
        return
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules[_NAME] = module
