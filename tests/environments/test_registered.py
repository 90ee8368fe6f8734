"""Environments of well-known packages are found by their plain ids, and by ids that name the module."""

import sys
from pathlib import Path

import pytest

from actor_critic import Config, Trainer
from actor_critic.environments import registered
from tests.plain import PLAIN


@pytest.mark.parametrize("environment", ["Late/Steady-v0", "late:Late/Steady-v0"])
def test_a_package_that_registers_only_on_request_is_asked_to(
    environment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As minatar.gym, whose import registers nothing."""
    (tmp_path / "late.py").write_text(
        "import gymnasium\n"
        "def register_envs():\n"
        "    gymnasium.register('Late/Steady-v0', 'tests.toys:Steady', max_episode_steps=10)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(registered._REGISTRARS, "Late/", ("late", "late"))
    registered.gym.registry.pop("Late/Steady-v0", None)
    sys.modules.pop("late", None)
    registered.import_registrar.cache_clear()
    trainer = Trainer(Config(environment=environment, **PLAIN, num_envs=2, num_steps=10, num_epochs=1))
    assert [report.mean_return for report in trainer] == [5.0]
    registered.gym.registry.pop("Late/Steady-v0")
