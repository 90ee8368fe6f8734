"""The table of the campaigns."""

from tests.faults.table import with_counts

_HEAD = "<!-- faults -->\n| fault | tried and survived | last campaign |\n|---|---|---|\n"
_END = "<!-- end of faults -->\n"
_CUT, _KILLS = "| cut links | 9 | 2026-01-02 |\n", "| kills | 20,000 | 2026-01-02 |\n"
_TESTS = "cut links, kills, full disks"
PAGE = f"before\n{_HEAD}{_CUT}{_KILLS}{_END}after\n"


def test_rows_of_faults_that_were_tried_less_often_or_not_at_all_stay() -> None:
    assert with_counts(PAGE, {}, "2026-03-04", _TESTS) == PAGE
    assert with_counts(PAGE, {"kills": 19_999}, "2026-03-04", _TESTS) == PAGE


def test_rows_of_a_whole_campaign_get_its_counts_and_its_day() -> None:
    assert with_counts(PAGE, {"kills": 20_000, "full disks": 4321}, "2026-03-04", _TESTS) == (
        f"before\n{_HEAD}{_CUT}| full disks | 4,321 | 2026-03-04 |\n| kills | 20,000 | 2026-03-04 |\n{_END}after\n"
    )


def test_rows_that_no_test_names_are_dropped() -> None:
    assert with_counts(PAGE, {}, "2026-03-04", "cut links") == f"before\n{_HEAD}{_CUT}{_END}after\n"
