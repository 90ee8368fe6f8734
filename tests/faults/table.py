"""Writes the table of docs/guarantees.md from what a campaign left: python -m tests.faults.table.

Rows of faults that this campaign did not try stay as they are.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from tests.faults.conftest import FOUND

PAGE = Path(__file__).parents[2] / "docs" / "guarantees.md"
_BEGIN, _END = "<!-- faults -->\n", "<!-- end of faults -->\n"


def with_counts(page: str, survived: Mapping[str, int]) -> str:
    """Return the page with these counts in its table."""
    before, rest = page.split(_BEGIN)
    table, after = rest.split(_END)
    rows = {fault: int(count.replace(",", "")) for fault, count in re.findall(r"\| (.+) \| ([\d,]+) \|\n", table)}
    lines = ["| fault | tried and survived |", "|---|---|"]
    lines += [f"| {fault} | {count:,} |" for fault, count in sorted((rows | dict(survived)).items())]
    return before + _BEGIN + "\n".join(lines) + "\n" + _END + after


def main() -> None:
    """Sum the counts up by fault, and put them into the page."""
    survived: Counter[str] = Counter()
    for path in FOUND.glob("*.json"):
        document = json.loads(path.read_text())
        survived[document["fault"]] += document["survived"]
    PAGE.write_text(with_counts(PAGE.read_text(), survived))


if __name__ == "__main__":
    main()
