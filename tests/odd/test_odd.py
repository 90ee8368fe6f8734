"""Every odd environment reaches the known optimum or ends with a one-line error, and leaves nothing behind."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.faults.conftest import Campaign
from tests.nursery import Nursery
from tests.odd import kinds
from tests.odd.each import refused_kinds, sound_kinds
from tests.odd.judge import judge, judge_commands
from tests.odd.strategies import Case, cases

pytestmark = pytest.mark.slow

FAULT = "odd environments"
PARTS = 8


def try_each(
    drawn: st.SearchStrategy[Case], count: int, first: int, folder: Path, judged: Callable[[Case, Path], None]
) -> int:
    """Judge all cases, even after a failure, and return their number; ``first`` seeds the draw."""
    number = 0
    failures: list[Exception] = []

    # A failed case is not shrunk: each attempt trains a policy, and most of a case is plain.
    @seed(first)
    @settings(
        max_examples=count, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(drawn)
    def judge_one(case: Case) -> None:
        nonlocal number
        number += 1
        try:
            judged(case, folder / str(number))
        except Exception as error:
            error.add_note(repr(case))
            failures.append(error)

    judge_one()
    if failures:
        raise ExceptionGroup(f"{len(failures)} of {number} cases", failures)
    return number


@pytest.mark.parametrize("part", range(PARTS))
def test_an_odd_environment_is_learned_or_refused_in_one_line(part: int, campaign: Campaign, tmp_path: Path) -> None:
    for first in campaign.tries(FAULT, 1, 1):
        number = try_each(cases(), 200 if campaign.is_whole else 4, PARTS * first + part, tmp_path, judge)
    campaign.survived(FAULT, number - 1)


@pytest.mark.parametrize("part", range(PARTS))
def test_each_kind_is_handled_or_refused_as_the_page_says(part: int, campaign: Campaign, tmp_path: Path) -> None:
    mine = [*sound_kinds(), *refused_kinds()][part::PARTS]
    for number, case in enumerate(mine if campaign.is_whole else mine[part::16]):
        print(case)  # pytest shows it where the test fails
        judge(case, tmp_path / str(number))
        campaign.survived(FAULT, 1)


@pytest.mark.parametrize("part", range(2))
def test_commands_with_odd_environments_exit_as_promised(
    part: int, campaign: Campaign, nursery: Nursery, tmp_path: Path
) -> None:
    def judged(case: Case, folder: Path) -> None:
        judge_commands(case, folder, nursery)

    for first in campaign.tries(FAULT, 1, 1):
        number = try_each(cases(), 40 if campaign.is_whole else 2, 1000 + 2 * first + part, tmp_path, judged)
    campaign.survived(FAULT, number - 1)


def test_the_page_lists_what_is_handled_and_what_is_refused() -> None:
    assert kinds.written_table() == kinds.table(), "python -m tests.odd.kinds writes it anew"
