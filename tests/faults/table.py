"""Writes the table of docs/guarantees.md from what `make faults` left: python -m tests.faults.table."""

import json
from collections import Counter
from pathlib import Path

from tests.faults.conftest import FOUND

PAGE = Path(__file__).parents[2] / "docs" / "guarantees.md"
_BEGIN, _END = "<!-- faults -->\n", "<!-- end of faults -->\n"


def main() -> None:
    """Sum the counts up by fault, and put them into the page."""
    survived: Counter[str] = Counter()
    for path in FOUND.glob("*.json"):
        document = json.loads(path.read_text())
        survived[document["fault"]] += document["survived"]
    lines = ["| fault | tried and survived |", "|---|---|"]
    lines += [f"| {fault} | {count:,} |" for fault, count in sorted(survived.items())]
    text = PAGE.read_text()
    before, rest = text.split(_BEGIN)
    PAGE.write_text(before + _BEGIN + "\n".join(lines) + "\n" + _END + rest.split(_END)[1])


if __name__ == "__main__":
    main()
