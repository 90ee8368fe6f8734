"""The notebooks of the documentation, made from scripts with cells.

    python -m tests.notebooks

runs them and writes docs/examples/*.ipynb with their output.
"""

import re
import signal
from pathlib import Path

import nbformat
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parents[1] / "docs/examples"
NAMES = ("greenhouse", "nim")


def notebook_of(script: str) -> nbformat.NotebookNode:
    """Make a notebook from the cells of a script, which begin with "# %%"."""
    cells = []
    for number, (kind, text) in enumerate(re.findall(r"^# %%( \[markdown\])?\n(.*?)(?=^# %%|\Z)", script, re.M | re.S)):
        if kind:
            cell = nbformat.v4.new_markdown_cell(re.sub(r"^# ?", "", text, flags=re.M).strip())
        else:
            cell = nbformat.v4.new_code_cell(re.sub(r"  # (noqa|type: ignore).*", "", text).strip())
        cell["id"] = str(number)
        cells.append(cell)
    return nbformat.v4.new_notebook(
        cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    )


def run(notebook: nbformat.NotebookNode, folder: Path) -> None:
    """Run a notebook with a real kernel, in a folder."""
    # The client leaves its own handlers behind.
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    where = {"metadata": {"path": str(folder)}}
    try:
        NotebookClient(notebook, timeout=300, kernel_name="python3", resources=where).execute()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(-1)


def main() -> None:
    """Run the notebooks, and write them."""
    import tempfile

    for name in NAMES:
        notebook = notebook_of((EXAMPLES / f"{name}.py").read_text())
        with tempfile.TemporaryDirectory() as folder:
            run(notebook, Path(folder))
        for cell in notebook.cells:
            cell["metadata"] = {}
            for output in cell.get("outputs", []):
                output.pop("execution_count", None) if output.output_type != "execute_result" else None
        nbformat.write(notebook, EXAMPLES / f"{name}.ipynb")


if __name__ == "__main__":
    main()
