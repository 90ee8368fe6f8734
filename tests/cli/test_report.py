"""The commands `report` and `compare`."""

import json
from pathlib import Path

from tests.cli.running import Shell
from tests.report.runs import write_run, write_seeds


def test_compare_prints_the_verdict_and_writes_a_page(shell: Shell) -> None:
    write_seeds(shell.folder / "low/run", dict.fromkeys(range(1, 6), 100.0), learning_rate=1e-5)
    write_seeds(shell.folder / "high/run", {1: 480.0, 2: 500.0, 3: 490.0, 4: 470.0, 5: 500.0})
    outcome = shell.process("compare", "low/run", "high/run", "--output", "page.html")
    assert outcome.code == 0, outcome.err
    assert "high is better than low" in outcome.out
    assert "learning_rate" in outcome.out and "difference 390 [" in outcome.out
    assert "page: page.html" in outcome.out
    assert "<title>low and high</title>" in (shell.folder / "page.html").read_text()
    as_json = shell.process("compare", "low/run", "high/run", "--json")
    document = json.loads(as_json.out)
    assert document["contrasts"][0]["is_decided"] and document["settings"] == {"learning_rate": [1e-5, 1e-3]}


def test_report_writes_a_page_into_the_folder(shell: Shell) -> None:
    write_run(shell.folder / "run", 1, 400.0)
    outcome = shell.process("report", "run", "--no-episode")
    assert outcome.code == 0, outcome.err
    assert outcome.out.strip() == "page: run/report.html"
    assert "CartPole-v1, seed 1" in (shell.folder / "run/report.html").read_text()
    assert shell.process("report", "run").out.startswith("no episode: ")  # there is no checkpoint


def test_report_shows_an_episode_of_texts_and_of_images(shell: Shell) -> None:
    quick = ["--num-epochs", "1", "--hidden-dim", "4", "--evaluation-episodes", "2", "--no-report", "--seed", "1"]
    for environment, shown in (
        ("FrozenLake-v1", "data:image/gif;base64,"),
        ("tests.screens:TextCounter", '<pre id="frame-text">'),
    ):
        outcome = shell.process("train", "--environment", environment, *quick)
        assert outcome.code == 0, outcome.err
        (folder,) = shell.folder.glob("checkpoints_*")
        outcome = shell.process("report", folder.name, "--trust-code")
        assert outcome.code == 0 and "no episode" not in outcome.out, outcome.out
        text = (folder / "report.html").read_text()
        assert shown in text and "episode 0, greedy: return" in text
        folder.rename(shell.folder / f"done_{environment[:6]}")


def test_what_is_no_run_is_one_line(shell: Shell) -> None:
    write_run(shell.folder / "run", 1, 400.0)
    write_run(shell.folder / "open", 1, None)
    (shell.folder / "file.txt").write_text("")
    for words, message in (
        (("report", "missing"), "missing is not a run folder: it holds no settings.json"),
        (("report", "file.txt"), "file.txt is a file; expected the folder of a run"),
        (("report", "run", "--features", "0", "1"), "--features: run is a run on CartPole-v1, not on random states"),
        (
            ("report", "run", "--output", "run/settings.json"),
            "--output: run/settings.json is not allowed",
        ),
        (("report", "run", "run"), "run is given twice; expected different folders"),
        (("compare", "run"), "compare: expected at least two folders; got 1"),
        (
            ("compare", "run", "open"),
            "open has no evaluation of its last weights (20 of 20 epochs)",
        ),
    ):
        outcome = shell.process(*words)
        assert outcome.code == 2, outcome.out
        assert message in outcome.err and outcome.err.count("\n") == 1
    assert sorted(path.name for path in Path(shell.folder).glob("*.html")) == []
