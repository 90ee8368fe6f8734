"""Every kind of generated oddity, and its result. Writes the table of docs/environments.md:
python -m tests.odd.kinds.
"""

from pathlib import Path

from tests.odd.answers import FLAGS, MASK_FORMS, RETURNS, REWARDS
from tests.odd.environment import ENDINGS, MASKS, UNREADABLE, WRAPPERS
from tests.odd.faults import BROKEN, CALLS, EXCEPTIONS
from tests.odd.habits import HABITS
from tests.odd.unsupported import SPACES

PAGE = Path(__file__).parents[2] / "docs" / "environments.md"
_BEGIN, _END = "<!-- odd environments -->\n", "<!-- end of odd environments -->\n"

_RIGHT = "right"
_CODE = {"ConfigError": "refused, exit code 2", "EnvironmentFault": "refused, exit code 3, with environment and step"}
_CALLS = {
    "constructor": "its constructor",
    "reset": "`reset`",
    "step": "`step`",
    "close": "`close`",
    "mask": "its masks",
    "space": "a property that is its space",
}


def rows() -> list[tuple[str, list[str], str]]:
    """Return rows of oddity, its kinds, and their result."""
    by_verdict = {"ConfigError": ["constructor", "space"], "EnvironmentFault": ["reset", "step", "mask"]}
    assert sorted(CALLS) == sorted([*by_verdict["ConfigError"], *by_verdict["EnvironmentFault"], "close"])
    masks = [place for place in MASKS if place not in (None, UNREADABLE)]
    return [
        ("observations returned as", list(RETURNS), _RIGHT),
        ("rewards returned as", list(REWARDS), _RIGHT),
        ("`terminated` and `truncated` returned as", list(FLAGS), _RIGHT),
        ("masks in", masks, _RIGHT),
        ("masks given as", list(MASK_FORMS), _RIGHT),
        ("episodes ended by", ENDINGS, _RIGHT),
        ("an environment that", [*HABITS, "excludes a second instance of itself"], _RIGHT),
        ("wrappers", list(WRAPPERS), _RIGHT),
        ("masks in", [UNREADABLE], _CODE["ConfigError"]),
        ("spaces", list(SPACES), _CODE["ConfigError"]),
        ("answers", list(BROKEN), _CODE["EnvironmentFault"]),
        *(
            (f"exceptions in {_and(calls)}", EXCEPTIONS if verdict == "ConfigError" else ["the same"], _CODE[verdict])
            for verdict, calls in by_verdict.items()
        ),
        ("exceptions in `close`", ["the same"], "right, with a warning in the log"),
    ]


def table() -> str:
    """Return the rows as Markdown."""
    lines = ["| what is odd | what becomes of it |", "|---|---|"]
    lines += [f"| {what}: {', '.join(kinds)} | {verdict} |" for what, kinds, verdict in rows()]
    return "\n".join(lines) + "\n"


def written_table() -> str:
    """Return the table in the page."""
    return PAGE.read_text().split(_BEGIN)[1].split(_END)[0]


def _and(calls: list[str]) -> str:
    words = [_CALLS[call] for call in calls]
    return f"{', '.join(words[:-1])} or {words[-1]}"


def main() -> None:
    """Write the table into the page."""
    before, rest = PAGE.read_text().split(_BEGIN)
    PAGE.write_text(before + _BEGIN + table() + _END + rest.split(_END)[1])


if __name__ == "__main__":
    main()
