"""The BLAS of SciPy, which Numba uses for matrix products."""

import importlib
import importlib.util
import sys
from importlib.machinery import PathFinder

_NAME = "scipy.linalg.cython_blas"


def load_blas() -> None:
    """Load BLAS, without the slow rest of ``scipy.linalg``; call this before limiting its threads.

    Compiled code finds the module by name in ``sys.modules``.
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
