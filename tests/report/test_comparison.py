"""Comparisons of groups of runs."""

import json
from pathlib import Path

import numpy as np
import pytest

from actor_critic import CheckpointError, ConfigError, compare
from actor_critic.report import page
from tests.report.runs import EPOCHS, write_run, write_seeds

GOOD = {1: 480.0, 2: 500.0, 3: 490.0, 4: 470.0, 5: 500.0}


def test_a_group_that_is_clearly_better(tmp_path: Path) -> None:
    low = write_seeds(tmp_path / "low", {seed: score - 300 for seed, score in GOOD.items()}, learning_rate=1e-5)
    high = write_seeds(tmp_path / "high", GOOD)
    found = compare(low, high)
    first, second = found.standings
    assert (first.name, first.seeds, first.mean) == ("low", [1, 2, 3, 4, 5], 190.0)
    assert (second.mean, second.scores) == (490.0, list(GOOD.values()))
    assert 470 <= second.low < second.high <= 500
    (contrast,) = found.contrasts
    assert (contrast.difference, contrast.low, contrast.high) == (300.0, 300.0, 300.0)  # paired
    assert (contrast.is_paired, contrast.probability) == (True, 1.0)
    # Of the 252 assignments, 6 are as extreme: these two, and those that exchange scores that the means leave out.
    assert contrast.p_value == 6 / 252 and contrast.is_decided
    assert contrast.verdict() == "high is better than low"
    assert found.differing == {"learning_rate": [1e-5, 1e-3]}


def test_too_few_seeds_are_not_a_verdict(tmp_path: Path) -> None:
    one = write_seeds(tmp_path / "one", {1: 100.0, 2: 120.0, 3: 110.0})
    two = write_seeds(tmp_path / "two", {4: 200.0, 5: 220.0, 6: 210.0})
    (contrast,) = compare(one, two).contrasts
    # The means differ by 100 with variances of 100 and 100: 2.8² · 200 / 100² is far below five seeds.
    assert contrast.verdict() == (
        "two and one: too few seeds to decide; about 5 seeds of each would tell, if the difference is what it seems"
    )
    assert not contrast.is_paired and not contrast.is_decided
    (alone,) = compare(one / "seed_1", two).contrasts
    assert alone.verdict().endswith("too few seeds to decide; train at least 5 seeds of each")


def test_groups_that_differ_less_than_their_seeds(tmp_path: Path) -> None:
    one = write_seeds(tmp_path / "one", {1: 100.0, 2: 300.0, 3: 200.0, 4: 250.0, 5: 150.0})
    two = write_seeds(tmp_path / "two", {6: 110.0, 7: 310.0, 8: 210.0, 9: 260.0, 10: 160.0})
    (contrast,) = compare(one, two).contrasts
    # 2.8² · 2 · 6250 / 10² = 980 seeds
    assert contrast.verdict().startswith("two and one: not decided; about 980 seeds of each would tell")
    assert contrast.low < 0 < contrast.high


def test_groups_with_equal_means_say_so(tmp_path: Path) -> None:
    one, two = (write_seeds(tmp_path / name, dict.fromkeys(range(1, 6), 500.0)) for name in ("one", "two"))
    assert compare(one, two).contrasts[0].verdict() == "two and one: not decided; their means are equal"


def test_a_curve_begins_where_every_seed_has_a_return(tmp_path: Path) -> None:
    group = write_seeds(tmp_path / "group", dict.fromkeys(range(1, 6), 500.0))
    path = group / "seed_1/metrics.csv"
    header, *rows = path.read_text().splitlines()
    place = header.split(",").index("mean_return")
    late = [",".join("" if at == place and number < 10 else cell for at, cell in enumerate(row.split(",")))
            for number, row in enumerate(rows)]  # fmt: skip
    path.write_text("\n".join([header, *late]) + "\n")
    curve = compare(group, write_seeds(tmp_path / "other", {1: 1.0})).by_steps[0]
    for values in (curve.mean, curve.low, curve.high):
        assert (np.isfinite(values) == (curve.places >= 11 * 2048)).all()


def test_scores_are_those_of_the_actions_asked_for(tmp_path: Path) -> None:
    one, two = (write_seeds(tmp_path / name, GOOD) for name in ("one", "two"))
    for seed in GOOD:
        path = two / f"seed_{seed}/evaluation.json"
        document = json.loads(path.read_text())
        document["sampled"]["mean"] -= 400
        path.write_text(json.dumps(document))
    assert compare(one, two).contrasts[0].difference == 0
    sampled = compare(one, two, score="sampled")
    assert sampled.contrasts[0].difference == -400 and sampled.contrasts[0].is_decided
    text = page.make_page(sampled.groups, sampled)
    assert "mean return of sampled actions" in text and "two is worse than one" in text


def test_curves_are_aligned_by_steps_and_by_time(tmp_path: Path) -> None:
    fast = write_seeds(tmp_path / "fast", {1: 100.0, 2: 100.0}, speed=2048.0)
    slow = write_seeds(tmp_path / "slow", {1: 100.0, 2: 100.0}, speed=1024.0)
    found = compare(fast, slow)
    by_steps, by_seconds = found.by_steps, found.by_seconds
    np.testing.assert_allclose(by_steps[0].mean, by_steps[1].mean)
    assert by_steps[0].places[-1] == 2048 * EPOCHS and by_steps[0].mean[-1] == 100
    assert by_seconds[0].places[-1] == EPOCHS  # a second an epoch; the slow group has done half of its epochs then
    assert by_seconds[0].mean[-1] == 100
    middle = float(np.interp(EPOCHS / 2, np.arange(1, EPOCHS + 1), np.linspace(10, 100, EPOCHS)))
    assert by_seconds[1].mean[-1] == pytest.approx(middle)
    assert json.loads(json.dumps(found.to_document()))["contrasts"][0]["verdict"]


def test_what_cannot_be_compared(tmp_path: Path) -> None:
    good = write_seeds(tmp_path / "good", GOOD)
    open_run = write_run(tmp_path / "open", 1, None)
    acrobot = write_run(tmp_path / "acrobot", 1, -90.0, environment="Acrobot-v1")
    limited = write_run(tmp_path / "limited", 1, 90.0, max_episode_steps=100)
    (tmp_path / "empty").mkdir()
    twice = write_seeds(tmp_path / "twice", {1: 100.0})
    write_run(twice / "seed_2", 1, 100.0)
    for folders, message in (
        ((good, open_run), r"open has no evaluation of its last weights \(20 of 20 epochs\), so it has no score"),
        ((good, acrobot), "acrobot is evaluated on Acrobot-v1, and .*seed_1 on CartPole-v1; expected one environment"),
        ((good, limited), "limited is evaluated with max_episode_steps=100, and .*seed_1 with None; expected one"),
        ((good, good), "good is given twice; expected different folders"),
        ((good, tmp_path / "empty"), "empty is not a run folder: it holds no settings.json"),
        ((good, tmp_path / "missing"), "missing is not a run folder"),
        ((good, twice), "twice: two of its runs have the same seed: 1, 1"),
        ((good,), "expected at least two folders; got 1"),
    ):
        with pytest.raises(ConfigError, match=message):
            compare(*folders)
    with pytest.raises(ConfigError, match="score: 'best' is not allowed; expected greedy or sampled"):
        compare(good, good, score="best")


def test_metrics_that_are_cut_in_a_line_count_up_to_it_and_damaged_ones_are_named(tmp_path: Path) -> None:
    good, other = (write_run(tmp_path / name, 1, 400.0) for name in ("good", "other"))
    text = (other / "metrics.csv").read_text()
    (other / "metrics.csv").write_text(text + "21,43008,4")
    assert compare(good, other).standings[1].env_steps == 2048 * EPOCHS
    (other / "metrics.csv").write_text(text.replace("2048,20,", "2048,many,", 1))
    with pytest.raises(CheckpointError, match=r"other/metrics\.csv is damaged"):
        compare(good, other)
