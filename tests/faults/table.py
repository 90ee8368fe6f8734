"""Writes the table of docs/guarantees.md from what a campaign left: python -m tests.faults.table.

A row changes only if the campaign tried its fault at least as often as the row says: a part of a campaign leaves it as
it is. Where a test shall try a fault less often, its row is removed by hand first.
"""

import datetime
import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from tests.faults.conftest import FOUND

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "guarantees.md"
_BEGIN, _END = "<!-- faults -->\n", "<!-- end of faults -->\n"


def with_counts(page: str, survived: Mapping[str, int], day: str, tests: str) -> str:
    """Return the page with the counts of a campaign in its table.

    Args:
        page: The page.
        survived: How often each fault was survived.
        day: The day of the campaign.
        tests: The text of all tests; a row whose fault it does not name is dropped.
    """
    before, rest = page.split(_BEGIN)
    table, after = rest.split(_END)
    found = re.findall(r"\| (.+) \| ([\d,]+) \| (.+) \|\n", table)
    rows = {fault: (int(count.replace(",", "")), since) for fault, count, since in found if fault in tests}
    for fault, count in survived.items():
        if fault not in rows or count >= rows[fault][0]:
            rows[fault] = count, day
    lines = ["| fault | tried and survived | last campaign |", "|---|---|---|"]
    lines += [f"| {fault} | {count:,} | {since} |" for fault, (count, since) in sorted(rows.items())]
    return before + _BEGIN + "\n".join(lines) + "\n" + _END + after


def _text_of_tests() -> str:
    """Return the text of all tests."""
    return "\n".join(path.read_text() for path in TESTS.rglob("test_*.py"))


def main() -> None:
    """Sum the counts up by fault, and put them into the page."""
    survived: Counter[str] = Counter()
    for path in FOUND.glob("*.json"):
        document = json.loads(path.read_text())
        survived[document["fault"]] += document["survived"]
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    PAGE.write_text(with_counts(PAGE.read_text(), survived, today, _text_of_tests()))


if __name__ == "__main__":
    main()
