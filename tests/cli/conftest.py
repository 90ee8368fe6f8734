"""A shell in an empty folder."""

from pathlib import Path

import pytest

from tests.cli.running import Shell
from tests.nursery import Nursery


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> Shell:
    def nursery() -> Nursery:  # it takes seconds to begin, and few tests need it
        found: Nursery = request.getfixturevalue("nursery")
        return found

    return Shell(tmp_path, monkeypatch, capsys, nursery)
