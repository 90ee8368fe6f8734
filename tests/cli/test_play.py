"""The command play: windows, terminals and files."""

import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from actor_critic import Config, Trainer
from tests.cli.running import Shell
from tests.nursery import Nursery, wait_until


@pytest.fixture(autouse=True)
def _no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)


def _save(folder: Path, environment: str, **settings: Any) -> str:
    run: dict[str, Any] = {"num_envs": 1, "num_steps": 4, "num_epochs": 1, "hidden_dim": 4, "num_minibatches": 1}
    trainer = Trainer(Config(environment=environment, **(run | settings)))
    trainer.close()
    trainer.agent.save(folder / "agent.safetensors")
    return "agent.safetensors"


def test_a_window_needs_a_display(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = _save(shell.folder, "CartPole-v1", max_episode_steps=5)
    refused = shell("play", agent)
    assert (refused.code, refused.out) == (2, "")
    assert refused.err == (
        "error: there is no display for a window; --output FILE.gif writes the episode, and --text prints its steps\n"
    )
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    shown = shell("play", agent, "--episodes", "2", "--speed", "50")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.splitlines() == [
        "episode 0, greedy: return 5, cut off after 5 steps",
        "episode 1, greedy: return 5, cut off after 5 steps",
    ]


def test_without_a_display_a_text_environment_appears_in_the_terminal(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = _save(shell.folder, "FrozenLake-v1", max_episode_steps=3, environment_kwargs={"is_slippery": False})
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("a pipe waits for nobody") if seconds else None)
    shown = shell("play", agent, "--probabilities")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.count("SFFF") + shown.out.count("\x1b[41mS\x1b[0mFFF") >= 1
    steps = re.findall(r"^step \d: action \d, reward 0, value \S+, probabilities 0 0\.\d{3}, 1 .*$", shown.out, re.M)
    assert len(steps) == shown.out.count("\nstep") >= 1
    assert shown.out.splitlines()[-1].startswith("episode 0, greedy: return 0, ")


@pytest.mark.parametrize("environment", ["Countdown-v0", "Recall-v0", "Guarded-v0"])
def test_steps_are_printed_for_what_cannot_be_rendered(environment: str, shell: Shell) -> None:
    agent = _save(shell.folder, environment, **({"memory": "gru"} if environment == "Recall-v0" else {}))
    refused = shell("play", agent)
    assert (refused.code, refused.err) == (2, f"error: {environment} has no window; --text prints its steps\n")
    shown = shell("play", agent, "--text", "--sampled", "--probabilities", "--seed", "3")
    assert (shown.code, shown.err) == (0, "")
    lines = shown.out.splitlines()
    assert all(line.startswith(f"step {number}: action ") for number, line in enumerate(lines[:-1]))
    assert re.match(r"episode 0, sampled: return \S+, ended after \d steps", lines[-1])


def test_episodes_are_written_and_never_over_a_file_without_being_told(shell: Shell) -> None:
    agent = _save(shell.folder, "CartPole-v1", max_episode_steps=4)
    assert shell("play", agent, "--output", "a.gif").out.splitlines()[1] == "written to a.gif"
    before = shell.contents()
    refused = shell("play", agent, "--output", "a.gif")
    assert (refused.code, refused.err) == (
        2, "error: a.gif exists already; name another file, or add --overwrite to replace it\n"
    )  # fmt: skip
    assert shell.contents() == before
    assert shell("play", agent, "--output", "a.gif", "--overwrite", "--probabilities").code == 0
    assert shell.contents().keys() == before.keys()
    assert shell.contents()["a.gif"] != before["a.gif"]
    assert shell("play", agent, "--output", "b.mp4", "--episodes", "2").code == 0
    assert shell("play", agent, "--output", "c.txt").code == 0
    assert sorted(shell.contents()) == ["a.gif", agent, "b_0.mp4", "b_1.mp4", "c.txt"]
    text = (shell.folder / "c.txt").read_text()
    assert text.startswith("step 0: action ")
    assert text.endswith("episode 0, greedy: return 4, cut off after 4 steps\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--output", "a.avi"], "a.avi is none of the kinds of files that an episode is written to: .gif, .mp4, .txt"),
        (["--output", "no/a.gif"], "no/a.gif cannot be written: there is no folder no"),
        (["--output", "a.gif"], "Countdown-v0 renders no images; write its episodes to a .txt"),
        (["--output", "a.txt", "--text"], "--text prints to the terminal, and --output writes a file; leave one"),
        (["--overwrite"], "--overwrite is for --output; leave it out, or name a file"),
        (["--device", "cpux"], "device: "),
        (["--environment", "CartPole-v1", "--text"], "environment: CartPole-v1: "),
        (["--speed", "0"], "Invalid value for '--speed'"),
        (["--wrappers", "nothing.of:Mine", "--text"], "wrappers: module 'nothing.of'"),
    ],
)
def test_what_is_wrong_is_one_line_and_writes_nothing(arguments: list[str], words: str, shell: Shell) -> None:
    agent = _save(shell.folder, "Countdown-v0")
    before = shell.contents()
    refused = shell("play", agent, *arguments)
    assert (refused.code, refused.out) == (2, "")
    assert refused.err.startswith(f"error: {words}")
    assert refused.err.count("\n") == 1
    assert shell.contents() == before


def test_code_of_a_file_needs_trust(shell: Shell) -> None:
    agent = _save(shell.folder, "tests.screens:TextCounter", vectorization="sync")
    refused = shell("play", agent)
    assert refused.code == 4
    assert "names code to import: tests.screens:TextCounter; add --trust-code" in refused.err
    shown = shell("play", agent, "--trust-code")
    assert shown.code == 0
    assert shown.out.startswith("count 0\nstep 0: action ")


def test_control_sequences_of_an_environment_do_not_reach_the_terminal(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests import screens

    agent = _save(shell.folder, "tests.screens:TextCounter", vectorization="sync")
    monkeypatch.setattr(
        screens.TextCounter, "picture", staticmethod(lambda state, parameters: "\x1b[31mred\x1b[2J\x07")
    )
    shown = shell("play", agent, "--trust-code").out
    assert shown.startswith("\x1b[31mred\\x1b[2J\\x07\n")


def test_ctrl_c_ends_it(nursery: Nursery, tmp_path: Path) -> None:
    agent = _save(tmp_path, "Countdown-v0")
    process = nursery.start(tmp_path, "play", agent, "--text", "--episodes", "100000")
    wait_until(lambda: "episode 1" in process.out, "the second episode")
    process.send(signal.SIGINT)
    assert (process.wait(), process.err.strip()) == (130, "error: interrupted")
