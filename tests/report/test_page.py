"""The report: its content, and how it looks and behaves in a real browser."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from actor_critic import CheckpointError, Config, ConfigError, Trainer, train
from actor_critic.report import charts, find_in_group, page, read_group, sections
from actor_critic.storage import read_details
from tests.report.runs import write_run, write_seeds

CHROMIUM = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


SHORT: dict[str, Any] = {"num_envs": 2, "batch_size": 32, "evaluation_episodes": 2, "hidden_dim": 4}


class Two(gym.Env[np.ndarray, np.ndarray]):
    """Ten steps with two choices."""

    observation_space = gym.spaces.Box(0, 1, (1,), np.float32)
    action_space = gym.spaces.MultiDiscrete([2, 3])

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.steps = 0
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> Any:
        self.steps += 1
        return np.zeros(1, np.float32), float(action[0]), self.steps == 10, False, {}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next((path for name in names if (path := shutil.which(name))), None)
    if path is None and not os.environ.get("CI"):
        pytest.skip("no Chromium is installed")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=CHROMIUM)
        yield found
        found.close()


class Opened:
    """A page in the browser, with everything that it complains about."""

    def __init__(self, browser: Browser, path: Path, scheme: Any = "light", width: int = 1400) -> None:
        self.view: Page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.complaints: list[str] = []
        self.view.on("console", lambda message: self.complaints.append(message.text))
        self.view.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.view.on("request", lambda request: self._note(request.url))
        self.view.goto(path.as_uri())
        self.charts = self.view.locator("[data-chart]")

    def _note(self, address: str) -> None:
        if not address.startswith(("file:", "data:")):
            self.complaints.append(f"asked for {address}")

    def draw_all(self) -> int:
        """Scroll through the page, and return the number of charts, all of which are drawn."""
        count = self.charts.count()
        for number in range(count):
            self.charts.nth(number).scroll_into_view_if_needed()
        self.view.wait_for_function(f"document.querySelectorAll('[data-drawn]').length == {count}")
        return count


def _write(path: Path, *folders: Path, **parts: Any) -> Path:
    page.write_page(path, [read_group(folder, folder.name) for folder in folders], **parts)
    return path


@pytest.mark.parametrize(("scheme", "width"), [("light", 1400), ("dark", 390)])
def test_every_chart_is_drawn_without_a_complaint(browser: Browser, tmp_path: Path, scheme: str, width: int) -> None:
    seeds = write_seeds(tmp_path / "seeds", {1: 480.0, 2: 500.0, 3: 490.0})
    opened = Opened(browser, _write(tmp_path / "report.html", seeds), scheme, width)
    assert opened.draw_all() >= 12
    assert opened.view.locator(".js-plotly-plot .main-svg").count() >= opened.charts.count()
    assert opened.view.evaluate("document.documentElement.scrollWidth") == width  # nothing sticks out
    ink = opened.view.evaluate("getComputedStyle(document.body).color")
    assert (ink == "rgb(230, 233, 238)") == (scheme == "dark")
    assert opened.complaints == []
    opened.view.close()


def test_hovering_shows_the_value(browser: Browser, tmp_path: Path) -> None:
    opened = Opened(browser, _write(tmp_path / "report.html", write_run(tmp_path / "run", 1, 500.0)))
    opened.draw_all()
    opened.charts.first.scroll_into_view_if_needed()
    box = opened.charts.first.locator(".nsewdrag").bounding_box()
    assert box
    opened.view.mouse.move(box["x"] + box["width"] - 2, box["y"] + box["height"] / 2)
    label = opened.view.locator(".hoverlayer").first
    label.locator("text").first.wait_for()
    assert "500" in label.inner_html()  # the return at the end
    opened.view.close()


def test_printing_draws_charts_that_were_never_in_view(browser: Browser, tmp_path: Path) -> None:
    opened = Opened(browser, _write(tmp_path / "report.html", write_run(tmp_path / "run", 1, 500.0)), "dark")
    opened.view.wait_for_function("window.Plotly")
    opened.view.evaluate("dispatchEvent(new Event('beforeprint'))")
    opened.view.wait_for_function("document.querySelectorAll('[data-drawn]').length == " + str(opened.charts.count()))
    assert opened.view.locator("details").first.get_attribute("open") is not None
    widths = """[...document.querySelectorAll("[data-chart]")].map(
        (place) => [place.clientWidth, place.querySelector(".main-svg").clientWidth])"""
    printed = opened.view.evaluate(widths)
    assert all(room == drawn for room, drawn in printed)
    assert max(drawn for _, drawn in printed) <= 690  # A4 is 794 wide, with margins of 38 or more
    opened.view.evaluate("dispatchEvent(new Event('afterprint'))")
    opened.view.wait_for_function("document.querySelector('.main-svg').clientWidth > 1000")
    assert opened.view.locator("details[open]").count() == 0
    opened.view.close()


def test_pages_of_runs_hold_the_small_script_and_those_of_other_charts_all_of_plotly(
    browser: Browser, tmp_path: Path
) -> None:
    seeds = write_seeds(tmp_path / "seeds", {seed: 400.0 + seed for seed in range(1, 21)})
    assert _write(tmp_path / "seeds.html", seeds).stat().st_size < 1_000_000
    assert _write(tmp_path / "groups.html", *sorted(seeds.iterdir())).stat().st_size < 1_000_000
    chart = charts.Chart("of a search", [{"type": "parcoords", "dimensions": [{"label": "a", "values": [1, 2]}]}])
    text = page.render_page("a search", "", [sections.Section("The search", charts=[chart])], [])
    page.write_html(tmp_path / "search.html", text)
    assert 1_000_000 < len(text) < 5_000_000
    opened = Opened(browser, tmp_path / "search.html")
    assert opened.draw_all() == 1
    assert opened.view.locator(".parcoords").count() > 0
    opened.view.close()


def test_names_cannot_become_code(browser: Browser, tmp_path: Path) -> None:
    evil = "</script><script>throw 1</script><img src=x onerror=throw(2)>"
    runs = [write_run(tmp_path / name, 1, 400.0) for name in ("one", "two")]
    groups = [read_group(folder, evil + folder.name) for folder in runs]
    (runs[0] / "logged.csv").write_text(f"epoch,name,value\n1,{evil},3.0\n")
    page.write_page(tmp_path / "report.html", groups)
    opened = Opened(browser, tmp_path / "report.html")
    opened.draw_all()
    assert opened.view.locator("h1").inner_text() == f"{evil}one and {evil}two"
    assert opened.complaints == []
    opened.view.close()


def test_a_page_says_what_was_chosen_found_and_missing(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", 1, None, learning_rate=0.5)
    text = _write(tmp_path / "report.html", run).read_text()
    assert "run is not over: 20 of 20 epochs" in text
    assert re.search(r"learning_rate</th><td>0\.5</td>", text)
    assert not re.search(r"settings that differ from the defaults.*gamma</th>.*all settings", text, re.DOTALL)


def test_the_numbers_of_a_chart_are_those_of_the_run(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", 1, 480.0)
    text = _write(tmp_path / "report.html", run).read_text()
    (document,) = re.findall(r'id="charts">(.*?)</script>', text)
    first = json.loads(document)[0]["data"][0]
    np.testing.assert_allclose(first["y"], np.linspace(10, 480, 20), rtol=1e-4)
    assert first["x"] == (2048 * np.arange(1, 21)).tolist()


def test_axes_show_what_is_constant_and_leave_out_what_is_far_below() -> None:
    x = np.arange(3.0)
    constant = charts.lines("learning rate", "steps", [charts.Line("", x, np.full(3, 1e-4), "#000000")])
    assert constant and constant.layout["yaxis"] == {"range": [0.0, 2e-4], "exponentformat": "e"}
    rising = charts.lines("return", "steps", [charts.Line("", x, x, "#000000")])
    assert rising and "yaxis" not in rising.layout


def test_an_explained_variance_far_below_0_does_not_flatten_the_rest(tmp_path: Path) -> None:
    def axis(folder: Path) -> Any:
        section = next(each for each in sections.sections_of([read_group(folder, "run")], None) if each.charts[1:])
        (chart,) = (each for each in section.charts if each.title.startswith("explained variance"))
        return chart.layout.get("yaxis")

    run = write_run(tmp_path / "run", 1, 480.0)
    assert axis(run) is None
    metrics = run / "metrics.csv"
    header, first, *rest = metrics.read_text().splitlines()
    cells = dict(zip(header.split(","), first.split(","), strict=True)) | {"explained_variance": "-20000"}
    metrics.write_text("\n".join([header, ",".join(cells.values()), *rest]) + "\n")
    assert axis(run) == {"range": [-1, 1.05]}


def test_seeds_that_fall_short_are_named(tmp_path: Path) -> None:
    seeds = write_seeds(tmp_path / "seeds", {1: 480.0, 2: 500.0, 3: 30.0, 4: 490.0, 5: 470.0})
    (finding, which), *_ = find_in_group(read_group(seeds, "seeds"))
    assert (finding.name, which) == ("seeds-disagree", [3])
    assert finding.seen == "the median of the seeds returns 480, and 1 of 5 return 30 (seed 3)"
    assert 'data-finding="seeds-disagree"' in _write(tmp_path / "report.html", seeds).read_text()
    alike = write_seeds(tmp_path / "alike", {1: 480.0, 2: 500.0, 3: 250.0})  # 250 is above half of the way from 10
    assert [found for found, _ in find_in_group(read_group(alike, "alike")) if found.name == "seeds-disagree"] == []


def test_a_damaged_file_is_one_error_and_no_page(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", 1, 480.0)
    (run / "details.csv").write_text("epoch,update_seconds\n1,much\n")
    with pytest.raises(CheckpointError, match=r"details\.csv is damaged"):
        _write(tmp_path / "report.html", run)
    assert not (tmp_path / "report.html").exists()
    other = write_run(tmp_path / "other", 1, 480.0)
    with pytest.raises(ConfigError, match=r"cannot be written: No such file or directory"):
        _write(tmp_path / "missing/report.html", other)


def test_a_run_ends_with_its_report_and_a_picture_of_the_policy(browser: Browser, tmp_path: Path) -> None:
    run = train(Config(num_epochs=3, evaluation_episodes=20), tmp_path / "run", progress=False)
    assert run.folder
    opened = Opened(browser, run.folder / "report.html")
    opened.draw_all()
    assert opened.view.get_by_text("probability of action 1").count() == 1
    assert opened.complaints == []
    opened.view.close()
    train(Config(num_epochs=1, report=False), tmp_path / "silent", progress=False)
    assert not (tmp_path / "silent/report.html").exists()


def test_a_policy_with_memory_has_a_picture(tmp_path: Path) -> None:
    run = train(Config(num_epochs=2, memory="gru", evaluation_episodes=20), tmp_path / "run", progress=False)
    assert run.folder and "probability of action 1" in (run.folder / "report.html").read_text()


def test_several_choices_have_a_chart_each(tmp_path: Path) -> None:
    trainer = Trainer(Config(num_epochs=2, seed=1, report=False, **SHORT), tmp_path / "run", environment=Two)
    for _ in trainer:
        pass
    trainer.close()
    details = read_details(tmp_path / "run")
    for choice, options in ((0, 2), (1, 3)):
        shares = [details[f"choice_{choice}_{option}"] for option in range(options)]
        np.testing.assert_allclose(np.sum(shares, 0), 1.0, atol=1e-4)
    text = _write(tmp_path / "report.html", tmp_path / "run").read_text()
    assert "<h3>choice 0</h3>" in text and "<h3>choice 1</h3>" in text


def test_a_run_without_an_epoch_and_one_of_an_older_version_have_pages(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", 1, 400.0)
    (run / "details.csv").unlink()
    assert "where the time went" not in _write(tmp_path / "report.html", run).read_text()
    new = write_run(tmp_path / "new", 1, None)
    header = (new / "metrics.csv").read_text().splitlines()[0]
    (new / "metrics.csv").write_text(header + "\n")  # the details were read a moment later
    assert "new is not over: 0 of 20 epochs" in _write(tmp_path / "new.html", new).read_text()


def test_a_report_that_fails_does_not_end_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> str:
        raise RuntimeError("a bug")

    monkeypatch.setattr(page, "make_page", fails)
    assert train(Config(num_epochs=1), tmp_path / "run", progress=False).epochs == 1


def test_actions_and_times_of_a_run_are_kept(tmp_path: Path) -> None:
    trainer = Trainer(Config(environment="CartPole-v1", num_epochs=4, seed=1), tmp_path / "run")
    counted = [report.choices for report in trainer]
    details = read_details(tmp_path / "run")
    assert details["epoch"].tolist() == [1, 2, 3, 4]
    for row, choices in enumerate(counted):
        assert choices is not None and choices.forced == 0 and choices.frequencies.sum() == pytest.approx(1)
        kept = [details["choice_0"][row], details["choice_1"][row]]
        np.testing.assert_allclose(kept, choices.frequencies, atol=1e-5)
    assert (details["update_seconds"] > 0).all()
