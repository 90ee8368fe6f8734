"""Collecting while learning: the same numbers as one after the other, with a policy exactly one update old."""

from pathlib import Path
from typing import Any

import pytest
import torch

from actor_critic import Config, ConfigError, Trainer
from actor_critic.rollouts.collector import Collector
from actor_critic.rollouts.sources import Overlapped
from actor_critic.storage.checkpoints import load
from tests import toys  # noqa: F401 - registers the environments
from tests.plain import PLAIN

SETTINGS: dict[str, Any] = {
    "environment": "CartPole-v1", **PLAIN, "algorithm": "ppo", "num_envs": 4, "num_steps": 16,
    "hidden_dim": 16, "num_minibatches": 4, "update_epochs": 2, "clip_coef": 0.2, "learning_rate": 0.003,
    "normalize_observations": True, "evaluation_episodes": 2, "seed": 7, "overlap": True,
}  # fmt: skip


@pytest.mark.parametrize("backend", ["fused", "eager"])
@pytest.mark.parametrize("environment", ["CartPole-v1", "Guarded-v0"])
def test_a_rollout_is_collected_by_the_policy_of_one_update_ago(environment: str, backend: str) -> None:
    settings = SETTINGS | {"environment": environment, "backend": backend}
    overlapped = Trainer(Config(**settings, num_epochs=5))
    for _ in overlapped:
        pass

    # The same by hand, one thing after the other.
    trainer = Trainer(Config(**settings, num_epochs=5))
    agent = trainer.agent
    collector = Collector(trainer._environments.current, agent.observations, agent.actions, 16, buffers=2)
    collector.reset(7)
    actor = agent.actor.frozen()
    rollout = collector.collect(actor, agent.action_noise)
    for epoch in range(1, 6):
        update = agent.prepare(rollout, rollout.rewards, epoch, actor)
        actor = agent.actor.frozen()
        following = collector.collect(actor, agent.action_noise)
        before = agent.parameters.values.clone()
        agent.learn(update)
        assert not torch.equal(before, agent.parameters.values)
        rollout = following
    trainer.close()
    assert torch.equal(agent.parameters.values, overlapped.agent.parameters.values)


def test_a_first_ratio_is_of_two_policies() -> None:
    trainer = Trainer(Config(**SETTINGS, num_epochs=3))
    reports = list(trainer)
    assert reports[0].approx_kl >= 0
    straight = list(Trainer(Config(**(SETTINGS | {"overlap": False}), num_epochs=3)))
    assert reports[0].policy_loss == pytest.approx(straight[0].policy_loss, abs=1e-6)  # nobody had learned yet
    assert reports[1].approx_kl > 2 * straight[1].approx_kl  # the policy that acted is one update behind


def test_a_run_made_longer_is_the_one_that_was_longer_from_the_start(tmp_path: Path) -> None:
    short = Trainer(Config(**SETTINGS, num_epochs=3), tmp_path / "run")
    for _ in short:
        pass
    longer = Trainer.resume(tmp_path / "run", num_epochs=6)
    for _ in longer:
        pass
    whole = Trainer(Config(**SETTINGS, num_epochs=6), tmp_path / "whole")
    for _ in whole:
        pass
    digests = [load(tmp_path / name / "last.safetensors").digest for name in ("run", "whole")]
    assert digests[0] == digests[1]
    assert load(tmp_path / "whole" / "epoch_000006.safetensors").digest == digests[0]


def test_what_fails_in_either_thread_ends_the_run() -> None:
    trainer = Trainer(Config(**SETTINGS, num_epochs=5, vectorization="sync"))
    collection = trainer._environments.open(trainer._state)
    assert isinstance(collection, Overlapped)
    collection.next()
    with pytest.raises(ZeroDivisionError):
        collection.learn(lambda: 1 / 0, is_last=False)
    # What fails while the next rollout is collected is that epoch's fault: this one is done.
    trainer._environments.current.step_indices = lambda action_indices: 1 / 0  # type: ignore[assignment, method-assign, union-attr]
    collection._collector._environment = trainer._environments.current
    assert collection.learn(lambda: "learned", is_last=False) == "learned"
    with pytest.raises(ZeroDivisionError):
        collection.next()
    collection.close()
    trainer.close()


def test_overlap_needs_a_clip_range() -> None:
    with pytest.raises(ConfigError, match=r"overlap: true learns .* but clip_coef=off \(Config\)"):
        Trainer(Config(**(SETTINGS | {"clip_coef": "off"})))
