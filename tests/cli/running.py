"""Commands run as a person runs them, in this process or in one of their own."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from actor_critic.cli import main
from tests.nursery import Nursery


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str


class Shell:
    """A folder, and commands started in it."""

    def __init__(
        self,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        nursery: Callable[[], Nursery] | None = None,
    ) -> None:
        self.folder = folder
        self._nursery = nursery
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "path", list(sys.path))

    def __call__(self, *arguments: str) -> Outcome:
        """Run a command in this process: quick, for what is decided before anything is computed."""
        self._monkeypatch.setattr(sys, "argv", ["actor-critic", *arguments])
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main()
        assert caught.value.code is None or isinstance(caught.value.code, int)
        return Outcome(caught.value.code or 0, *self._capsys.readouterr())

    def process(self, *arguments: str) -> Outcome:
        """Run a command in a process of its own: everything that reaches the terminal is seen."""
        assert self._nursery is not None, "this shell runs commands only in this process"
        process = self._nursery().python(self.folder, "-m", "actor_critic", *arguments)
        return Outcome(process.wait(), process.out, process.err)

    def contents(self) -> dict[str, bytes | None]:
        """Every file below the folder with its bytes, and every folder."""
        return {
            str(entry.relative_to(self.folder)): entry.read_bytes() if entry.is_file() else None
            for entry in sorted(self.folder.rglob("*"))
        }
