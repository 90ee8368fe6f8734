"""--launcher: flags that do not belong together, and a cluster that cannot be used."""

import importlib.util
import socket

import pytest

from tests.cli.running import Shell

RAY = ("train", "--launcher", "ray")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "--ranks", "2"], "command line: --ranks needs --launcher ray"),
        (["train", "--storage", "there"], "command line: --storage needs --launcher ray"),
        (["sweep", "--max-failures", "2"], "command line: --max-failures needs --launcher ray"),
        ([*RAY, "--ranks", "2", "--seeds", "1", "2"], "command line: --ranks belongs to one run on several processes"),
        ([*RAY, "--max-failures", "-2"], "command line: --max-failures: -2 is not allowed; expected −1 or more"),
    ],
)
def test_flags_that_do_not_belong_together(shell: Shell, words: list[str], message: str) -> None:
    outcome = shell(*words)
    assert outcome.code == 2
    assert outcome.err.startswith(f"error: {message}")
    assert not shell.contents()


def test_without_ray_the_error_says_how_to_install_it(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "ray" else found(name, *rest))
    outcome = shell(*RAY)
    assert outcome.code == 2
    assert outcome.err == "error: --launcher: ray is not installed: pip install 'actor-critic[ray]'\n"


def test_a_cluster_that_does_not_answer_is_one_line(shell: Shell) -> None:
    pytest.importorskip("ray")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        outcome = shell(*RAY, "--ray-address", address)
    assert outcome.code == 2
    assert outcome.err.startswith(f"error: --ray-address: no Ray cluster can be reached at {address} (")
    assert shell(*RAY, "--ray-address", "ray://there").err.startswith("error: --ray-address: 'ray://there' is not")
