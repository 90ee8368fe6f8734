"""Property-based tests draw the same examples in continuous integration every time, and new ones on a desk."""

import multiprocessing
import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.nursery import WORKERS_IMPORT, Nursery

settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

multiprocessing.set_forkserver_preload(WORKERS_IMPORT)


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Where processes begin at once."""
    processes = Nursery()
    yield processes
    processes.close()
