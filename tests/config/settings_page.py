"""Write the table of docs/settings.md from the declared settings: python -m tests.config.settings_page."""

from pathlib import Path

from actor_critic import Config
from actor_critic.config import allowed_values

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"
_BEGIN, _END = "<!-- settings -->\n", "<!-- end of settings -->\n"


def table() -> str:
    """Return one row for each setting, in the order of declaration."""
    lines = ["| setting | allowed values | meaning |", "|---|---|---|"]
    for name, schema in Config.model_json_schema()["properties"].items():
        meaning = " ".join(schema["description"].replace("``", "`").split())
        lines.append(f"| `{name}` | {_cell(allowed_values(name))} | {_cell(meaning)} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def written_table() -> str:
    """Return the table in the page."""
    return PAGE.read_text().split(_BEGIN)[1].split(_END)[0]


def main() -> None:
    """Put the table into the page."""
    before, rest = PAGE.read_text().split(_BEGIN)
    PAGE.write_text(before + _BEGIN + table() + _END + rest.split(_END)[1])


if __name__ == "__main__":
    main()
