"""The view of a run while it trains: on terminals of two widths, in pipes, without colour and Unicode, and its cost."""

import io
import os
import pty
import re
import struct
import sys
import time
from pathlib import Path
from typing import Any

import pyte
import pytest
from rich.console import Console

from actor_critic import Config, EpochReport, Trainer
from actor_critic.report.live import NotebookView, PlainView, TerminalView, _Progress, live_view
from tests.line import Line
from tests.nursery import ROOT

RUN: dict[str, Any] = {"num_envs": 4, "batch_size": 128, "num_epochs": 12, "seed": 1}


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> list[EpochReport]:
    config = Config(**RUN, evaluation_interval=6, evaluation_episodes=2)
    return list(Trainer(config, tmp_path_factory.mktemp("live") / "run", environment=Line))


def _shown(reports: list[EpochReport], width: int, **console: Any) -> list[str]:
    stream = io.StringIO()
    screen = Console(file=stream, force_terminal=True, width=width, height=40, **console)
    with live_view(Trainer(Config(**RUN), environment=Line).settings, 0, screen) as view:
        for report in reports:
            view.show(report)
    terminal = pyte.Screen(width, 40)
    pyte.Stream(terminal).feed(stream.getvalue().replace("\n", "\r\n"))
    return [line.rstrip() for line in terminal.display if line.strip()]


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_view_fits_the_terminal_and_tells_everything(reports: list[EpochReport], width: int) -> None:
    lines = _shown(reports, width)
    assert lines[0].startswith("epoch 12/12 ") and re.search(r" 0:00:\d\d$", lines[0])
    assert all(len(line) <= width for line in lines)
    text = " ".join(lines)
    for words in (
        "return", "steps", "steps/s", "episodes", "policy loss", "value loss", "entropy", "KL", "explained variance",
        "evaluation", "time: environment", "records",
    ):  # fmt: skip
        assert words in text, words
    assert any(set("▁█") <= set(line) for line in lines)
    assert len(lines) == {40: 16, 80: 9, 120: 7}[width]


def test_without_colour_there_is_no_colour_and_without_unicode_no_block(reports: list[EpochReport]) -> None:
    stream = io.StringIO()
    screen = Console(file=stream, force_terminal=True, width=80, no_color=True)
    view = TerminalView(screen, Trainer(Config(**RUN), environment=Line).settings, 0)
    with view:
        for report in reports:
            view.show(report)
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]", stream.getvalue())

    class Ascii(io.StringIO):
        encoding = "ascii"

    stream = Ascii()
    screen = Console(file=stream, force_terminal=True, width=80)
    with TerminalView(screen, Trainer(Config(**RUN), environment=Line).settings, 0) as view:
        for report in reports:
            view.show(report)
    assert stream.getvalue().isascii()


def test_in_a_pipe_there_are_about_twenty_lines(reports: list[EpochReport]) -> None:
    stream = io.StringIO()
    view = live_view(Trainer(Config(**RUN), environment=Line).settings, 0, Console(file=stream, width=120))
    assert isinstance(view, PlainView)
    with view:
        for report in reports:
            view.show(report)
    assert stream.getvalue().splitlines() == [report.describe(12) for report in reports]


def test_a_sparkline_goes_from_the_least_to_the_largest_mean() -> None:
    progress = _Progress(Trainer(Config(**RUN), environment=Line).settings, 0)
    assert progress.spark(10) == ""
    progress._returns = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
    assert progress.spark(8) == "▁▂▃▄▅▆▇█"
    assert progress.spark(4) == "▁▃▆█"
    progress._returns = [5.0, 5.0]
    assert progress.spark(4) == "▁▁"


def test_in_a_notebook_one_table_is_updated(reports: list[EpochReport], monkeypatch: pytest.MonkeyPatch) -> None:
    from IPython import display as ipython

    shown: list[Any] = []

    class Handle:
        def update(self, found: Any) -> None:
            shown[:] = [found]

    monkeypatch.setattr(ipython, "display", lambda found, display_id: Handle())
    with NotebookView(Trainer(Config(**RUN), environment=Line).settings, 0) as view:
        for report in reports:
            view.show(report)
    (last,) = shown
    assert repr(last).startswith("epoch 12 of 12, 0:00:")
    assert "<td" in last._repr_html_() and "explained variance" in last._repr_html_()


@pytest.mark.skipif(os.name != "posix", reason="a terminal of POSIX")
@pytest.mark.parametrize("columns", [40, 80])
def test_a_command_in_a_real_terminal(columns: int, tmp_path: Path) -> None:
    import fcntl
    import termios

    pid, screen = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        # An environment of its own, because readline may have put COLUMNS into the one of this process.
        environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        environment |= {"LANG": "C.UTF-8", "PYTHONPATH": str(ROOT), "TERM": "xterm-256color"}
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))  # before the command reads it
        words = ["train", "--num-epochs", "300", "--evaluation-episodes", "10"]
        os.execve(sys.executable, [sys.executable, "-m", "actor_critic", *words], environment)
    terminal = pyte.Screen(columns, 40)
    stream = pyte.ByteStream(terminal)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            data = os.read(screen, 1 << 16)
        except OSError:
            break
        if not data:
            break
        stream.feed(data)
    assert os.waitpid(pid, 0)[1] == 0
    text = "\n".join(line.rstrip() for line in terminal.display)
    assert re.search(r"^epoch 300/300 ━+ 0:0\d:\d\d$", text, re.M)
    assert re.search(r"time: rollout \d+%, update \d+%, records \d+%", " ".join(text.split()))
    assert "kept in checkpoints_" in text and "return " in text
