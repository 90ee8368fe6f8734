"""Checkpoints of every schema version since the first release: each must load for ever, and do what it did."""

import json
from pathlib import Path

import numpy as np
import pytest

from actor_critic import ActorCriticAgent
from actor_critic.storage import checkpoints
from tests.cli.running import Shell

# Written by `train` on CartPole-v1: seed 7, one hidden layer of 4, 2 environments of 8 steps, 3 epochs, normalised.
GOLDEN = Path(__file__).parent / "golden" / "schema_2.safetensors"
DIGEST = "bd48012a3d2aea34e9915afbb5bc62b3b577d86fc9b896623ad7780229b1a218"
OBSERVATIONS = np.array(
    [
        [0.27, -0.46, -0.92, -0.97],
        [0.63, 0.83, 0.21, 0.46],
        [0.09, 0.87, 0.63, -0.99],
        [-0.94, -0.75, 0.34, 0.29],
    ],
    np.float32,
)
ACTIONS = [0, 0, 0, 1]
# Of the rewards as they were scaled; agent.value gives them in units of the rewards themselves.
VALUES = [-0.3510407507419586, -0.803063154220581, 0.9299875497817993, 1.1446936130523682]


def test_it_is_read_to_the_digest_that_it_was_written_with() -> None:
    checkpoint = checkpoints.load(GOLDEN)
    assert checkpoint.digest == DIGEST
    assert checkpoint.counters == {"optimizer_steps": 6, "epoch": 3, "env_steps": 48, "episodes": 0}
    assert checkpoint.tensors["policy.trunk.hidden.0.weight"].shape == (4, 4)


def test_its_agent_acts_and_values_as_it_did() -> None:
    agent = ActorCriticAgent.load(GOLDEN, device="cpu")
    assert agent.act(OBSERVATIONS, deterministic=True).tolist() == ACTIONS
    scale = np.sqrt(float(agent.state()["reward_normalizer.squares"] / agent.state()["reward_normalizer.count"]) + 1e-8)
    np.testing.assert_allclose(agent.value(OBSERVATIONS), scale * np.array(VALUES), rtol=1e-5)
    assert agent.optimizer_steps == 6


def test_it_is_inspected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = Shell(tmp_path, monkeypatch, capsys)("inspect", str(GOLDEN), "--json")
    assert (outcome.code, outcome.err) == (0, "")
    assert json.loads(outcome.out)["digest"] == DIGEST
