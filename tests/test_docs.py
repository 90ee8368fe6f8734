"""What the documentation shows is run."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import actor_critic
from actor_critic.config import list_presets
from actor_critic.environments.functional import make_executor, try_functions
from tests.config import settings_page
from tests.nursery import Nursery

ROOT = Path(__file__).parent.parent


def _run(code: str, folder: Path, nursery: Nursery) -> str:
    process = nursery.python(folder, "-c", code, warn="error")
    assert process.wait() == 0, process.err
    return process.out


def test_the_python_example_of_the_readme_learns_cartpole(nursery: Nursery, tmp_path: Path) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    output = _run(block, tmp_path, nursery).splitlines()
    assert output[0] == "1 None" or output[0].startswith("1 ")
    assert len(output) == 48 + 1
    assert float(output[-1]) >= 475
    assert [entry.name for entry in tmp_path.iterdir()] == ["cartpole.safetensors"]


def test_the_python_of_getting_started_runs(nursery: Nursery, tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/getting_started.md").read_text(), re.DOTALL)
    output = _run("\n".join(blocks), tmp_path, nursery).splitlines()
    episode, probabilities, value, evaluated, kept, reached = output[-6:]
    assert sum(map(float, probabilities.strip("[]").split())) == pytest.approx(1, abs=1e-6)
    assert float(value) > 0
    assert float(episode.removeprefix("one episode:")) > 100
    mean, low, high = map(float, evaluated.split())
    assert low <= mean <= high
    assert kept.endswith("epochs in " + str(tmp_path / "runs/first"))
    assert float(reached.removeprefix("best possible 0.6, reached")) == pytest.approx(0.6)


@pytest.mark.slow
def test_the_python_of_notebooks_runs(nursery: Nursery, tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/notebooks.md").read_text(), re.DOTALL)
    (tmp_path / "page.py").write_text("\n".join(blocks))
    process = nursery.python(tmp_path, "page.py", warn="error")
    assert process.wait() == 0, process.err
    lines = [line for line in process.out.splitlines() if not line.startswith("epoch ")]
    assert float(lines[0]) > 100
    assert lines[1].split() == ["env_steps", "mean_return"]
    assert all(score > 9 for score in json.loads(lines[-3]))
    assert float(lines[-2]) == 9.0  # straight to the end of the longer line
    assert re.fullmatch(r"\d reached, and [1-4] changes", lines[-1])


def test_the_python_of_findings_runs(nursery: Nursery, tmp_path: Path) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/findings.md").read_text(), re.DOTALL)
    assert _run(block, tmp_path, nursery).startswith("constant-return - Every training episode returned -200. ")


def test_the_python_of_videos_runs(nursery: Nursery, tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/videos.md").read_text(), re.DOTALL)
    watched = """
from actor_critic import Trainer
trainer = Trainer(Config(seed=1, num_envs=2, num_steps=8, max_episode_steps=9), environment=Corridor)
trainer.close()
print(len(record_episode(trainer.agent).frames))
"""
    output = _run("\n".join([*blocks, watched]), tmp_path, nursery).splitlines()
    assert output[-2:] == ["True", "10"]
    assert (tmp_path / "lake.gif").read_bytes().startswith(b"GIF89a")


@pytest.mark.slow
def test_the_first_command_of_several_machines_runs_and_continues(tmp_path: Path) -> None:
    page = (ROOT / "docs/several_machines.md").read_text()
    name, *words = re.findall(r"```console\n\$ (.*?)\n```", page)[0].split()
    assert name == "torchrun"
    command = [sys.executable, "-m", "torch.distributed.run", *words, "--num-epochs", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for told in ("kept in runs/pole", "the run is finished: 2 of 2 epochs"):
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240, check=True
        )
        assert told in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("name", "at_least"), [("custom_reward", 0.9), ("own_problem", 0.8)])
def test_the_example_files_run(name: str, at_least: float, nursery: Nursery) -> None:
    output = _run((ROOT / f"docs/examples/{name}.py").read_text(), ROOT / "docs/examples", nursery)
    assert float(output.split("greedy ")[1].split()[0]) > at_least


def test_the_corridor_of_the_page_on_compiled_environments_runs(tmp_path: Path, nursery: Nursery) -> None:
    page = (ROOT / "docs/functional_environments.md").read_text()
    whole, parts, _, debugging, _ = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "corridor.py").write_text(whole)
    assert _run(debugging, tmp_path, nursery) == "[0.2] -1.0 False 2\n"
    scope: dict[str, Any] = {"__name__": "rover"}
    exec(parts, scope)
    rover = scope["Rover"]()
    assert rover.observation_space.contains(rover.reset(seed=1)[0])
    tried = try_functions(rover, make_executor(rover), steps=100, seconds=30.0)
    assert (tried.problem, tried.compared, tried.episodes > 40) == (None, 300, True)


def test_the_public_names_are_one_list_and_all_there() -> None:
    assert sorted(actor_critic._HOMES) == sorted(actor_critic.__all__)
    for name in actor_critic.__all__:
        assert getattr(actor_critic, name).__name__ == name


@pytest.mark.parametrize("what", ["actor_critic; actor_critic.Config()", "actor_critic.environments.vector.worker"])
def test_neither_the_package_nor_a_worker_waits_for_torch(what: str) -> None:
    code = f"import sys, {what}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, check=True)


def test_the_settings_page_has_every_setting_as_it_is_declared() -> None:
    assert settings_page.written_table() == settings_page.table(), "python -m tests.config.settings_page writes it anew"


def test_what_presets_promise_is_what_was_measured() -> None:
    page = (ROOT / "docs/learning.md").read_text()
    promised = [preset for preset in list_presets() if preset.expected is not None]
    assert len(promised) >= 2
    for preset in promised:
        rows = [row for row in page.splitlines() if row.startswith(f"| {preset.environment}")]
        assert any(f"| {preset.algorithm.upper()} |" in row and f"**{preset.expected:g}**" in row for row in rows)
