"""Commands as messages name them."""

import importlib.metadata
import shlex
import subprocess

import pytest

from actor_critic.process import commands
from actor_critic.process.commands import begin_with, command_line


@pytest.mark.parametrize("name", ["runs/first", "a b", "it's", "$(touch harm)", "", "\n", "\udcff", "ä \\ ' \x07"])
def test_a_word_reaches_the_program_as_it_was(name: str) -> None:
    line = command_line("resume", name)
    assert line.isprintable()
    words = subprocess.run(["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True).stdout
    assert words.split(b"\0")[1:3] == [b"resume", name.encode(errors="surrogateescape")]


def test_the_program_is_named_as_it_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def is_missing(_: str) -> None:
        raise importlib.metadata.PackageNotFoundError

    commands._program.cache_clear()
    monkeypatch.setattr(importlib.metadata, "distribution", is_missing)
    assert command_line("check") == "python -m actor_critic check"
    commands._program.cache_clear()


def test_a_warm_start_is_named_for_the_shell_and_for_python() -> None:
    text = begin_with("my runs/last.safetensors")
    assert text == "--init-from 'my runs/last.safetensors' (in Python: init_from='my runs/last.safetensors')"
    assert shlex.split(text)[1] == "my runs/last.safetensors"
