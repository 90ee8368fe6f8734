"""docs/extending.md is true: its loss term and its environment are added exactly as the page shows."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.nursery import Nursery

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/extending.md").read_text()

TRAIN = """
import sys
from actor_critic import Config, ConfigError, Trainer
for settings in eval(sys.argv[1]):
    try:
        trainer = Trainer(Config(environment="CartPole-v1", num_epochs=2, seed=1, **settings))
        if trainer.settings.backend == "eager":  # a copy of the package would compile anew
            for report in trainer:
                pass
            print("eager", trainer.digest)
        else:
            print(trainer.settings.backend)
            trainer.close()
    except ConfigError as error:
        print(error)
"""


def _python(nursery: Nursery, *arguments: str, folder: Path) -> str:
    """Run Python with the package as it is, and return what it printed."""
    process = nursery.python(folder, *arguments, warn="error")
    assert process.wait() == 0, process.err
    return process.out


def _extended_python(package: Path, *arguments: str, code: int = 0) -> str:
    """Run Python with the package of another folder, and return what it printed."""
    environment = os.environ | {"PYTHONPATH": str(package), "PYTHONWARNINGS": "error"}
    result = subprocess.run(
        [sys.executable, *arguments], cwd=package, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == code, result.stderr
    return result.stdout if code == 0 else result.stderr


@pytest.fixture
def extended(tmp_path: Path) -> Path:
    """A copy of the package with the loss term of the page."""
    shutil.copytree(ROOT / "actor_critic", tmp_path / "actor_critic", ignore=shutil.ignore_patterns("__pycache__"))
    (diff,) = re.findall(r"```diff\n(.*?)```", PAGE, re.DOTALL)
    files = re.findall(r"^\+\+\+ b/(.*)$", diff, re.MULTILINE)
    assert len(files) == 3
    subprocess.run(["git", "apply", "--unidiff-zero", "-"], cwd=tmp_path, input=diff, text=True, check=True)
    return tmp_path


def test_a_loss_term_is_added_in_three_files(extended: Path, nursery: Nursery) -> None:
    before = _python(nursery, "-c", TRAIN, "[{}, {'backend': 'eager'}]", folder=extended).splitlines()
    after = _extended_python(
        extended, "-c", TRAIN,
        "[{}, {'backend': 'eager'}, {'logit_coef': 0.5}, {'logit_coef': 1.0, 'backend': 'fused'}]",
    ).splitlines()  # fmt: skip
    assert before[0] == "fused" and before[1].startswith("eager")
    assert after[:2] == before  # off: the same backends and the same bits
    assert after[2].startswith("eager") and after[2] != before[1]  # on: it changes what is learned
    assert 'backend: "fused" has no term for logit_coef, which is 1.0 and not 0.0 (off)' in after[3]
    refused = _extended_python(extended, "-m", "actor_critic", "train", "--logit-coef", "-1", code=2)
    assert "logit_coef: -1.0 is not allowed; expected a finite number at least 0" in refused


def test_an_environment_is_added_in_one_file(nursery: Nursery, tmp_path: Path) -> None:
    (module,) = [block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "corridor.py" in block]
    (tmp_path / "corridor.py").write_text(module)
    commands = re.findall(r"^\$ actor-critic (.*corridor.*)$", PAGE, re.MULTILINE)
    assert [command.split()[0] for command in commands] == ["check", "train"]
    outputs = [_python(nursery, "-m", "actor_critic", *command.split(), folder=tmp_path) for command in commands]
    assert "problem" not in outputs[0]
    (folder,) = tmp_path.glob("checkpoints_*")
    assert '"mean": 0.6' in (folder / "evaluation.json").read_text()  # the best return
