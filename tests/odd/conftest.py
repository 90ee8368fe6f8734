"""The campaign and the processes of tests/faults."""

from tests.faults.conftest import campaign, nursery

__all__ = ["campaign", "nursery"]
