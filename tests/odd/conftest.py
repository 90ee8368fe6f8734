"""The campaign of tests/faults."""

from tests.faults.conftest import campaign

__all__ = ["campaign"]
