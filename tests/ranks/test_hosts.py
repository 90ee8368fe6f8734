"""Ranks on several machines, with equal and unequal numbers on each; variables say which machine a rank is on."""

from pathlib import Path

import pytest

from tests.ranks.launch import without_torchrun

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("machines", "words"), [("001", []), ("0011", []), ("01", ["silent"])])
def test_every_exchange_gives_all_ranks_the_same(machines: str, words: list[str], tmp_path: Path) -> None:
    for code, errors in without_torchrun(machines, "tests.ranks.hosts", *words, folder=tmp_path):
        assert code == 0, errors[-2000:]
