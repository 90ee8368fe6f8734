"""Small HTML tables for notebooks."""

from collections.abc import Iterable, Sequence
from html import escape


def html_table(rows: Iterable[Sequence[object]], header: Sequence[object] = (), caption: str = "") -> str:
    """Return a table as HTML; the first cell of a row is its name.

    Args:
        rows: The cells of each row.
        header: The names of the columns; empty for none.
        caption: A line above the table.
    """
    parts = ["<table>"]
    if caption:
        parts.append(f'<caption style="text-align: left">{escape(caption)}</caption>')
    if header:
        parts.append(f"<thead><tr>{_cells('th', header)}</tr></thead>")
    parts.append("<tbody>")
    parts += [f"<tr>{_cells('th', row[:1])}{_cells('td', row[1:])}</tr>" for row in rows]
    return "".join([*parts, "</tbody></table>"])


def _cells(tag: str, cells: Sequence[object]) -> str:
    texts = [str(cell) for cell in cells]
    sides = ["right" if tag == "td" and _is_number(text) else "left" for text in texts]
    return "".join(
        f'<{tag} style="text-align: {side}">{escape(text)}</{tag}>' for text, side in zip(texts, sides, strict=True)
    )


def _is_number(text: str) -> bool:
    """Return whether a cell begins like a number, so that it is aligned as one."""
    return text.lstrip("+-")[:1].isdigit() or text == "inf"
