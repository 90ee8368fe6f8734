"""How often a fault is tried, and where it is written down that it was."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.short_runs import Uninterrupted
from tests.nursery import Nursery

FOUND = Path(__file__).parents[2] / "build" / "faults"
"""Where a campaign leaves its counts; tests/faults/table.py makes the table of docs/guarantees.md from them."""


class Campaign:
    """The tries of one test.

    A sample is small and the same every time; a campaign is whole, and begins at the seed that FAULTS_SEED names (0).
    A test that fails prints the seed of its try: FAULTS_SEED with FAULTS=1 begins there again.
    """

    def __init__(self, test: str) -> None:
        self._test = test
        self.is_whole = bool(os.environ.get("FAULTS"))
        self._fault = ""
        self._survived = 0

    def tries(self, fault: str, sample: int, whole: int) -> Iterator[int]:
        """Seeds, one for each try; a try that is left by going on with the loop was survived.

        Args:
            fault: What is tried, as the table calls it; several tests may share one.
            sample: How many tries in the test suite.
            whole: How many in the campaign.
        """
        self._fault = fault
        first = int(os.environ.get("FAULTS_SEED", "0"))
        for seed in range(first, first + (whole if self.is_whole else sample)):
            print(f"{fault}: FAULTS_SEED={seed}")  # pytest shows it where the test fails
            yield seed
            self._survived += 1

    def survived(self, fault: str, count: int) -> None:
        """Count tries that are no loop over seeds, all of them survived."""
        self._fault = fault
        self._survived += count

    def keep(self) -> None:
        """Write the counts down, where this is the campaign."""
        if self.is_whole and self._fault:
            FOUND.mkdir(parents=True, exist_ok=True)
            document = {"fault": self._fault, "survived": self._survived}
            (FOUND / f"{self._test}.json").write_text(json.dumps(document))


@pytest.fixture
def campaign(request: pytest.FixtureRequest) -> Iterator[Campaign]:
    """The tries of this test."""
    test = "".join(letter if letter.isalnum() else "_" for letter in request.node.nodeid)
    tries = Campaign(test)
    yield tries
    tries.keep()


@pytest.fixture(scope="session")
def uninterrupted(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Uninterrupted:
    """What runs come to that nothing happens to."""
    return Uninterrupted(nursery, tmp_path_factory.mktemp("uninterrupted"))
