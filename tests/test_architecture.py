"""The structure of the package: docs/architecture.md draws it, pyproject.toml states it, the imports follow it."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "actor_critic"
NAMESPACES = {"actor_critic.ops"}
"""Folders whose modules are their public names."""


def drawn() -> list[set[str]]:
    """The floors of the page, from the top: the names on each."""
    page = (ROOT / "docs/architecture.md").read_text()
    floors: dict[int, set[str]] = {}
    for number, names in re.findall(r"^\| (\d+) \| ([^|]*) \|", page, re.M):
        floors.setdefault(int(number), set()).update(re.findall(r"`(\w+)(?:/|\.py)`", names))
    return [floors[number] for number in sorted(floors, reverse=True)]


def stated() -> list[set[str]]:
    """The floors of the contract that the import linter checks."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    return [set(layer.split(" : ")) for layer in layers]


def test_the_page_draws_the_contract() -> None:
    assert drawn() == stated()


def test_the_contract_names_all_that_is_there() -> None:
    found = {p.stem for p in PACKAGE.iterdir() if not p.name.startswith("__") and p.suffix in ("", ".py")}
    assert set().union(*stated()) == found


def imported_by(path: Path) -> Iterator[tuple[int, str, list[str]]]:
    """Return the modules that a file imports from, each with the line and the names."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.lineno, node.module, [alias.name for alias in node.names]


def public_names(folder: Path) -> set[str]:
    """Return the names in a folder's ``__all__``, and its modules."""
    for node in ast.parse((folder / "__init__.py").read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value)) | {path.stem for path in folder.glob("*.py")}
    return {path.stem for path in folder.glob("*.py")}


def test_folders_are_imported_through_their_public_names() -> None:
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        inside = ".".join(path.relative_to(ROOT).parent.parts)
        for line, module, names in imported_by(path):
            folder = ".".join(module.split(".")[:2])
            place = ROOT / module.replace(".", "/")
            is_own = inside == folder or inside.startswith(f"{folder}.")
            is_other = module.startswith("actor_critic.") and (ROOT / folder.replace(".", "/")).is_dir() and not is_own
            if not is_other or folder in NAMESPACES:
                continue
            if not place.is_dir() or set(names) - public_names(place):
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {', '.join(names)} from {module}")
    assert not wrong, "\n".join(wrong)


def test_every_folder_says_what_it_is_and_holds_more_than_one_file() -> None:
    for folder in (p for p in PACKAGE.rglob("*") if p.is_dir() and list(p.glob("*.py"))):
        assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text())), f"{folder} does not say what it is"
        assert len(list(folder.glob("*.py"))) > 2 or list(folder.glob("*/*.py")), f"{folder} holds one file"


def test_tests_mirror_the_folders() -> None:
    ours = {"faults", "odd", "gpu", "benchmarks"}  # campaigns against the whole, and what measures it
    folders = {p.name for p in (ROOT / "tests").iterdir() if p.is_dir() and (p / "__init__.py").exists()}
    assert folders - ours <= {p.name for p in PACKAGE.iterdir() if p.is_dir()}
