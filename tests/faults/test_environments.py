"""Environments that misbehave: one error that says which, when and what, before anything is learned from it."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from actor_critic import Config, EnvironmentFault, ReplayFault, Trainer
from tests.faults import environments
from tests.faults.conftest import Campaign
from tests.faults.environments import KINDS
from tests.plain import PLAIN

HERE = "tests.faults.environments:"
RUN: dict[str, Any] = {
    **PLAIN, "num_envs": 4, "num_steps": 12, "num_minibatches": 2, "num_epochs": 4, "update_epochs": 2,
    "hidden_dim": 8, "seed": 1,
}  # fmt: skip


def run(**changes: Any) -> Trainer:
    trainer = Trainer(Config(**RUN | changes))
    for _ in trainer:
        pass
    return trainer


def assert_is_told_before_anything_is_learned(kind: str, **changes: Any) -> None:
    trainer = Trainer(Config(**RUN | changes, environment=f"{HERE}Bad-v0", environment_kwargs={"kind": kind}))
    before = trainer.agent.parameters.values.clone()
    with pytest.raises(EnvironmentFault) as caught:
        next(iter(trainer))
    assert torch.equal(trainer.agent.parameters.values, before)
    assert trainer.agent.optimizer_steps == 0
    text = str(caught.value)
    assert re.search(r"environment \d", text) and "step" in text
    if (field := kind.split()[0]) in ("observation", "reward", "terminated", "truncated", "info", "mask"):
        assert field in text


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_is_told_before_anything_is_learned(kind: str, campaign: Campaign) -> None:
    assert_is_told_before_anything_is_learned(kind)
    campaign.survived("misbehaving environments, in process and in workers", 1)


@pytest.mark.parametrize("first", range(6))
def test_a_fault_in_a_worker_is_told_before_anything_is_learned(first: int, campaign: Campaign) -> None:
    kinds = KINDS[first::6] if campaign.is_whole else KINDS[first : 6 * (first == 0) : 6]
    for kind in kinds:
        assert_is_told_before_anything_is_learned(kind, vectorization="workers", workers=2, worker_timeout=120.0)
        assert_is_told_before_anything_is_learned(kind, vectorization="shared", workers=2, worker_timeout=120.0)
    campaign.survived("misbehaving environments, in process and in workers", len(kinds))


def test_what_an_environment_does_to_an_array_that_it_returned_changes_nothing() -> None:
    one, other = (run(environment=f"{HERE}{name}-v0") for name in ("Walk", "Reused"))
    assert torch.equal(one.agent.parameters.values, other.agent.parameters.values)


def resumed_in_the_middle(environment: str, folder: Path, **changes: Any) -> tuple[str, str, Trainer]:
    """The digests of a run, and of the same one stopped after its second epoch; and the latter."""
    config = Config(**RUN | {"checkpoint_interval": 1} | changes, environment=f"{HERE}{environment}-v0")
    whole = Trainer(config, folder / "whole")
    for _ in whole:
        pass
    stopped = Trainer(config, folder / "stopped")
    for report in stopped:
        if report.epoch == 2:
            stopped.stop("by the test")
    resumed = Trainer.resume(folder / "stopped", trust_code=True)
    for _ in resumed:
        pass
    return whole.digest, resumed.digest, resumed


def test_an_environment_that_a_reset_does_not_make_new_is_made_anew_per_episode_and_resumes_exactly(
    tmp_path: Path,
) -> None:
    whole, resumed, trainer = resumed_in_the_middle("Sticky", tmp_path)
    assert trainer.settings.replay == "fresh"
    assert whole == resumed


def test_an_environment_that_no_seed_governs_says_that_it_resumes_with_new_episodes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, _, trainer = resumed_in_the_middle("Unseeded", tmp_path)
    assert trainer.settings.replay == "none"
    assert trainer.epoch == 4
    assert caplog.text.count("resume not exact") == 3  # when each run began, and when one was resumed


@pytest.mark.parametrize(("name", "changed", "value"), [("Changed", "scale", 2.0), ("Tile", "size", 0.02)])
def test_an_environment_that_has_changed_does_not_resume_unless_new_episodes_are_allowed(
    name: str, changed: str, value: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Trainer(Config(**RUN, environment=f"{HERE}{name}-v0"), tmp_path / "run")
    for report in trainer:
        if report.epoch == 2:
            trainer.stop("by the test")
    monkeypatch.setattr(getattr(environments, name), changed, value)
    with pytest.raises(ReplayFault, match=r"environment 0, episode \d+, step 4: shows other .*--new-episodes"):
        next(iter(Trainer.resume(tmp_path / "run", trust_code=True)))
    resumed = Trainer.resume(tmp_path / "run", trust_code=True, new_episodes=True)
    for _ in resumed:
        pass
    assert (resumed.epoch, resumed.settings.replay) == (4, "none")


def test_rewards_of_unusual_kinds_are_read_alike_in_a_step_and_in_its_replay(tmp_path: Path) -> None:
    whole, resumed, trainer = resumed_in_the_middle("Boxed", tmp_path)
    assert trainer.settings.replay == "reset"
    assert whole == resumed
