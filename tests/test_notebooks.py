"""The notebooks of the documentation: run by a real kernel, with their output, and the same as scripts."""

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests import notebooks
from tests.nursery import ROOT, Nursery

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # of the kernel's own libraries
]


def _outputs(notebook: nbformat.NotebookNode) -> tuple[str, list[dict[str, Any]]]:
    """The text that the cells printed, and what else they showed."""
    found = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    text = "".join(output.text for output in found if output.output_type == "stream")
    return text, [output.data for output in found if "data" in output]


@pytest.fixture(scope="module", params=notebooks.NAMES)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Any]:
    notebook = notebooks.notebook_of((notebooks.EXAMPLES / f"{request.param}.py").read_text())
    notebooks.run(notebook, tmp_path_factory.mktemp("notebook"))
    return request.param, notebook


def test_a_kernel_runs_it_and_shows_what_the_committed_one_shows(both: tuple[str, Any]) -> None:
    name, notebook = both
    committed = nbformat.read(notebooks.EXAMPLES / f"{name}.ipynb", 4)
    again = "python -m tests.notebooks writes it anew"
    assert [cell.source for cell in committed.cells] == [cell.source for cell in notebook.cells], again
    text, shown = _outputs(notebook)
    kinds = [sorted(data) for data in shown]
    assert kinds == [sorted(data) for data in _outputs(committed)[1]]
    if name == "greenhouse":
        assert kinds == [["text/html", "text/plain"], ["image/png", "text/plain"]]
        assert "explained variance" in shown[0]["text/html"] and "97 of 97" in shown[0]["text/html"]
        assert float(re.findall(r"greedy ([\d.]+) of 48", text)[0]) > 38
        rows = re.findall(r"(\d+) degrees: off ([\d.]+), low [\d.]+, high ([\d.]+)", text)
        assert float(rows[0][2]) > 0.9 and float(rows[-1][1]) > 0.9  # heats in the cold, and not in the heat
    else:
        assert re.findall(r"skill ([\d.]+)", text) == ["0.25", "0.5", "0.75", "1.0"]
        assert "won 100% against the perfect opponent" in text
        assert "first move: 3 from the heap of 4" in text


def test_the_script_prints_the_same(both: tuple[str, Any], nursery: Nursery, tmp_path: Path) -> None:
    name, notebook = both
    process = nursery.python(tmp_path, str(notebooks.EXAMPLES / f"{name}.py"))
    assert process.wait() == 0, process.err
    printed = [line for line in process.out.splitlines() if not line.startswith("epoch ") or "skill" in line]
    assert printed == _outputs(notebook)[0].splitlines()


TRAIN = """
import hashlib
from actor_critic import Config, Trainer
for where in ({}, {"workers": 2}):
    trainer = Trainer(Config(**RUN, **where), "%s" if where else None, **OBJECTS)
    for report in trainer:
        if where and report.epoch == 2:
            break
    trainer.close()
    weights = b"".join(tensor.numpy().tobytes() for tensor in trainer.agent.state().values())
    print(trainer.digest, hashlib.sha256(weights).hexdigest())
"""
RESUME = """
from actor_critic import Trainer
trainer = Trainer.resume("%s", **OBJECTS)
print([trainer.digest for _ in trainer][-1])
"""


def test_objects_of_a_notebook_give_the_bits_of_a_script_and_are_resumed_in_a_new_kernel(
    nursery: Nursery, tmp_path: Path
) -> None:
    source = (ROOT / "tests/line.py").read_text()

    def shown(code: str) -> list[str]:
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in (source, code)])
        notebooks.run(notebook, tmp_path)
        return _outputs(notebook)[0].split()

    whole, weights, _, weights_with_workers = shown(TRAIN % "notebook")
    assert shown(RESUME % "notebook") == [whole]
    main = (TRAIN % "script").replace("\n", "\n    ")
    (tmp_path / "script.py").write_text(f'{source}\nif __name__ == "__main__":{main}')
    process = nursery.python(tmp_path, "script.py")
    assert process.wait() == 0, process.err
    assert process.out.split()[1::2] == [weights, weights_with_workers]
