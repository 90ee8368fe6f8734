"""Processes that begin at once are like new ones in all that the user can set."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actor_critic.process import ready_process

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each process is spawned")

IMPORTS = ("actor_critic.config",)


def write_facts(path: Path) -> None:
    """What a process finds."""
    package = sys.modules["actor_critic"].__file__
    facts = {
        "parent": os.getppid(), "folder": os.getcwd(), "variable": os.environ.get("TESTS_OF_READY"), "package": package,
        "safe": os.environ.get("PYTHONSAFEPATH"), "draw": int(np.random.randint(2**31)),
        "config": "actor_critic.config" in sys.modules, "path": sys.path,
    }  # fmt: skip
    path.write_text(json.dumps(facts))


def _facts(path: Path) -> dict[str, Any]:
    process = ready_process(write_facts, (path,), IMPORTS)
    process.start()
    process.join()
    assert process.exitcode == 0
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_processes_come_from_one_server_with_this_ones_folders_and_numbers_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "actor_critic").mkdir()
    (tmp_path / "actor_critic/__init__.py").write_text("raise SystemExit('the wrong package')")
    monkeypatch.chdir(tmp_path)
    first, second = _facts(tmp_path / "first"), _facts(tmp_path / "second")
    assert first["parent"] == second["parent"] != os.getpid()
    assert first["draw"] != second["draw"]
    assert first["folder"] == os.getcwd()
    assert first["package"] == sys.modules["actor_critic"].__file__
    assert first["path"] == sys.path
    assert first["safe"] == os.environ.get("PYTHONSAFEPATH")
    assert first["config"]


def test_a_variable_that_has_changed_reaches_the_next_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _facts(tmp_path / "before")
    monkeypatch.setenv("TESTS_OF_READY", "set")
    after = _facts(tmp_path / "after")
    assert (before["variable"], after["variable"]) == (None, "set")
