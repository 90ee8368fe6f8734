"""The table of the campaigns."""

from tests.faults.table import with_counts

_HEAD = "<!-- faults -->\n| fault | tried and survived |\n|---|---|\n"
_END = "<!-- end of faults -->\n"


def test_rows_of_other_campaigns_stay() -> None:
    page = f"before\n{_HEAD}| cut links | 9 |\n| kills | 20,000 |\n{_END}after\n"
    assert with_counts(page, {}) == page
    assert with_counts(page, {"kills": 50, "full disks": 4321}) == (
        f"before\n{_HEAD}| cut links | 9 |\n| full disks | 4,321 |\n| kills | 50 |\n{_END}after\n"
    )
