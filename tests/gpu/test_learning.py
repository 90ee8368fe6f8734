"""A GPU learns what the CPU learns, in the same bits each time, and resumes to the same bits."""

import copy
import warnings
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from actor_critic import ActorCriticAgent, Trainer, evaluate
from tests.gpu import GPU, ON_GPU, runs

pytestmark = ON_GPU

ROUNDING = 2e-4
"""Some steps of Adam move a weight by up to 0.003 each; at first they follow the sign of rounded gradients."""


def _first_epoch(case: str, device: str) -> tuple[Any, torch.Tensor]:
    """Return the rollout of the first epoch, and the weights after it."""
    backend = "eager" if device == "cpu" else "auto"
    trainer = Trainer(runs.config(case, device=device, backend=backend, num_epochs=1, overlap=False))
    seen: list[Any] = []
    learner, prepare = trainer.agent._learner, trainer.agent._learner.prepare

    def noted(rollout: Any, *arguments: Any) -> Any:
        seen.append(copy.deepcopy(rollout))
        return prepare(rollout, *arguments)

    learner.prepare = noted  # type: ignore[method-assign]
    assert [report.epoch for report in trainer] == [1]
    return seen[0], trainer.agent.parameters.values.detach().cpu()


@pytest.mark.parametrize("case", [case for case in runs.CASES if case not in ("overlap", "compiled")])
def test_the_first_epoch_is_that_of_the_cpu(case: str) -> None:
    (rollout, weights), (expected, expected_weights) = (_first_epoch(case, device) for device in (GPU, "cpu"))
    for name in ("observations", "actions", "rewards", "terminated", "ended", "masks"):
        mine, theirs = getattr(rollout, name), getattr(expected, name)
        assert (mine is None) == (theirs is None), name
        assert mine is None or np.array_equal(mine, theirs), name
    differences = (weights - expected_weights).abs()
    assert differences.max() < 10 * ROUNDING
    assert differences.mean() < ROUNDING / 10


@pytest.mark.parametrize("case", list(runs.CASES))
def test_two_runs_have_the_same_bits_and_no_operation_lacks_a_repeatable_kernel(case: str) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*determinis.*")
        first = runs.digests(Trainer(runs.config(case)))
        second = runs.digests(Trainer(runs.config(case)))
    assert first == second
    assert len(set(first)) == len(first)


@pytest.mark.parametrize("case", ["perceptron", "normalized", "memory", "cnn", "overlap", "masks"])
def test_a_resumed_run_has_the_bits_of_one_that_was_not_stopped(case: str, tmp_path: Path) -> None:
    expected = runs.digests(Trainer(runs.config(case)))
    trainer = Trainer(runs.config(case), tmp_path / "run")
    for report in trainer:
        if report.epoch == 3:
            break
    trainer.close()
    resumed = Trainer.resume(tmp_path / "run", trust_code=True)
    assert (resumed.epoch, resumed.settings.device) == (3, GPU)
    assert runs.digests(resumed) == expected[3:]


def test_cartpole_is_learned_on_the_gpu() -> None:
    changes = {"vectorization": "compiled", "batch_size": 1024, "num_epochs": 40, "hidden_dim": 64}
    *_, last = Trainer(runs.config("perceptron", **changes))
    assert last.mean_return > 100


class Dropped(torch.nn.Module):
    """An encoder that draws random numbers, has buffers, and whose backward pass adds to the same places."""

    def __init__(self, observation_space: gym.Space[Any]) -> None:
        super().__init__()
        self.output_dim = 8
        self.layers = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(0.2))
        self.register_buffer("places", torch.tensor([0, 1, 1, 3, 3, 3, 6, 7]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.layers(x)[:, self.places]
        return found


def test_an_encoder_with_dropout_and_buffers_repeats_and_resumes(tmp_path: Path) -> None:
    expected = runs.digests(Trainer(runs.config("perceptron"), encoder=Dropped))
    trainer = Trainer(runs.config("perceptron"), tmp_path / "run", encoder=Dropped)
    for report in trainer:
        if report.epoch == 3:
            break
    trainer.close()
    assert runs.digests(Trainer.resume(tmp_path / "run", encoder=Dropped)) == expected[3:]


def test_predictions_and_copies_are_those_of_the_cpu(tmp_path: Path) -> None:
    for case in ("normalized", "memory", "cnn", "masks"):
        trainer = Trainer(runs.config(case, num_epochs=2), tmp_path / case)
        for _ in trainer:
            pass
        agent = trainer.agent
        on_cpu = ActorCriticAgent.load(tmp_path / case / "last.safetensors", device="cpu", trust_code=True)
        shape = (16, *agent.observations.shape)
        random = np.random.default_rng(0)
        batch = random.integers(0, 4, shape).astype(agent.observations.dtype)
        states = agent.initial_state(16)
        uniforms = random.random((16, agent.actions.num_groups), np.float32)
        mine, theirs = (a.assess(batch, None, states, states) for a in (agent, on_cpu))
        for gpu, cpu in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(gpu, cpu, atol=1e-4)
        twin = copy.deepcopy(agent)
        assert twin.parameters.values.is_cuda
        chosen = [a.choose(batch, uniforms, None, states)[0] for a in (agent, twin)]
        assert np.array_equal(*chosen)
        assert np.isfinite(evaluate(agent, episodes=2).sampled.mean)


def test_kernels_repeat_and_do_not_round_to_less_than_float32() -> None:
    Trainer(runs.config("cnn")).close()
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.benchmark
    random = torch.Generator().manual_seed(0)
    images, weights = (torch.randn(64, 16, 8, 8, generator=random) for _ in range(2))
    exact = torch.nn.functional.conv2d(images.double(), weights.double())
    found = torch.nn.functional.conv2d(images.to(GPU), weights.to(GPU)).cpu()
    assert (found - exact).abs().max() < 1e-3  # sums of 1024 products; TF32 is off by 0.03
    product = (images.reshape(64, -1).to(GPU) @ weights.reshape(64, -1).to(GPU).T).cpu()
    assert (product - exact.reshape(64, 64)).abs().max() < 1e-3
