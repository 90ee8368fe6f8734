"""Findings: each appears where its threshold is crossed, and nothing is found in a healthy run."""

import math
import re
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from actor_critic import CheckpointError, Config, ConfigError, Trainer, diagnose
from actor_critic.config import Layer, resolve
from actor_critic.evaluation import Evaluation, ModeResult
from actor_critic.evaluation.results import Reference
from actor_critic.ops.statistics import Summary
from actor_critic.report import CAUSES, RULES, Records, find
from actor_critic.training.report import METRICS

EPOCHS = 100


class Unrewarded(gym.Env[int, int]):
    """Ten steps without a reward."""

    observation_space = gym.spaces.Discrete(3)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        self.steps = 0
        return 0, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        return self.steps % 3, 0.0, self.steps == 10, False, {}


gym.register("Unrewarded-v0", Unrewarded)


def _mode(mean: float, length: float = 50.0, truncated: int = 0) -> ModeResult:
    return ModeResult(Summary(mean, 1.0, mean - 2, mean + 2), None, length, 0, truncated)


def _evaluation(greedy: float = 90.0, sampled: float = 85.0, random: float | None = None, **others: Any) -> Evaluation:
    modes = {"greedy": _mode(greedy, **others), "sampled": _mode(sampled)}
    return Evaluation("CartPole-v1", 100, modes | ({} if random is None else {"random": _mode(random)}), None)


def _records(
    evaluation: Evaluation | None = None, settings: dict[str, Any] | None = None, forced: float = 0.0, **columns: Any
) -> Records:
    """Return the records of a healthy run, whose return rises from 10 to 90 in its first half, with other columns."""
    config = {"environment": "CartPole-v1", "preset": "none", "total_timesteps": 204_800} | (settings or {})
    healthy: dict[str, Any] = {
        "epoch": np.arange(1.0, EPOCHS + 1),
        "episodes": np.linspace(10, 1000, EPOCHS),
        "mean_return": np.minimum(np.linspace(10, 170, EPOCHS), 90.0),
        "mean_model_return": np.nan,
        "mean_training_return": np.nan,
        "mean_length": 50.0,
        "entropy": np.linspace(0.69, 0.2, EPOCHS),
        "approx_kl": 0.01,
        "clip_fraction": 0.1,
        "explained_variance": np.linspace(0.0, 0.9, EPOCHS),
    }
    run = resolve(Layer("test", Config(**config))).settings
    healthy["optimizer_steps"] = run.optimizer_steps / run.num_epochs
    full = {name: np.broadcast_to(np.asarray(columns.get(name, healthy.get(name, 0.0)), float), EPOCHS).copy()
            for name in METRICS}  # fmt: skip
    return Records(run, full, evaluation or _evaluation(), forced)


def _names(records: Records) -> set[str]:
    return {finding.name for finding in find(records)}


def test_a_healthy_run_has_no_finding() -> None:
    assert find(_records()) == []


def _at(value: float, other: float, start: float, stop: float) -> np.ndarray[Any, Any]:
    """Return ``value`` between two shares of the run, and ``other`` elsewhere."""
    column = np.full(EPOCHS, other)
    column[int(start * EPOCHS) : int(stop * EPOCHS)] = value
    return column


_RISING = np.r_[np.full(80, 10.0), np.linspace(10, 90, 20)]
_STEP = np.r_[np.linspace(10, 90, 79), np.full(21, 90.0)]

CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    # the finding; records just beyond its threshold; records just within
    ("no-episode", {"episodes": 0.0, "mean_return": np.nan}, {"episodes": _at(1.0, 0.0, 0.99, 1)}),
    (
        "no-reward",
        {"mean_return": 0.0, "evaluation": _evaluation(1.5, 0)},  # the interval begins at -0.5
        {"mean_return": 0.0, "evaluation": _evaluation(2.5, 0)},
    ),
    (
        "no-reward",
        {"mean_return": 0.0, "evaluation": _evaluation(0, 0)},
        {"mean_return": _at(1e-9, 0.0, 0.5, 0.6), "evaluation": _evaluation(0, 0)},
    ),
    (
        "no-reward",  # of the model, which replaces the environment's
        {"mean_model_return": 0.0, "settings": {"reward_model": "m:C"}},
        {"mean_model_return": 0.0, "settings": {"reward_model": "m:C", "reward_mode": "add"}},
    ),
    (
        "constant-return",
        {"mean_return": -200.0, "evaluation": _evaluation(-198.5, -200)},  # the interval begins at -200.5
        {"mean_return": -200.0, "evaluation": _evaluation(-197.5, -200)},
    ),
    ("constant-return", {"mean_return": 90.0}, {"mean_return": _at(91.0, 90.0, 0.5, 0.6)}),
    ("constant-return", {"mean_return": 90.0}, {"mean_return": 90.0, "settings": {"init_from": "other.safetensors"}}),
    ("constant-return", {"mean_training_return": 7.0}, {"mean_return": 90.0, "mean_training_return": _STEP}),
    (
        "no-better-than-random",
        {"evaluation": _evaluation(22, 20, random=18.5)},  # 22 - 2 is below 18.5 + 2
        {"evaluation": _evaluation(22, 20, random=17.5)},
    ),
    (
        "ends-at-the-limit",
        {"evaluation": _evaluation(-200, -190, length=200.0, truncated=50)},
        {"evaluation": _evaluation(-200, -190, length=200.0, truncated=49)},
    ),
    (
        "ends-at-the-limit",
        {"evaluation": _evaluation(-0.1, -190, length=200.0, truncated=100)},
        {"evaluation": _evaluation(0.0, -190, length=200.0, truncated=100)},
    ),
    ("greedy-is-stuck", {"evaluation": _evaluation(60, 90)}, {"evaluation": _evaluation(86.5, 90)}),
    ("greedy-is-stuck", {"evaluation": _evaluation(80, 90)}, {"evaluation": _evaluation(83, 90)}),
    ("critic-useless", {"explained_variance": 0.04}, {"explained_variance": _at(0.06, -1.0, 0.3, 0.4)}),
    ("clipping-often", {"clip_fraction": 0.31}, {"clip_fraction": 0.29}),
    ("update-too-large", {"approx_kl": 0.046}, {"approx_kl": 0.044}),  # target_kl is 0.03
    (
        "update-too-large",
        {"approx_kl": 0.021, "settings": {"target_kl": "off"}},
        {"approx_kl": 0.019, "settings": {"target_kl": "off"}},
    ),
    (  # of 320 optimizer steps in an epoch
        "update-too-large",
        {"optimizer_steps": _at(159.0, 320.0, 0.0, 0.5)},
        {"optimizer_steps": _at(161.0, 320.0, 0.0, 0.5)},
    ),
    (
        "nothing-moves",  # but steps that are skipped move nothing either
        {"approx_kl": 9e-4, "clip_fraction": 0.0, "evaluation": _evaluation(22, 20, random=22)},
        {
            "approx_kl": 9e-4,
            "clip_fraction": 0.0,
            "evaluation": _evaluation(22, 20, random=22),
            "optimizer_steps": _at(79.0, 320.0, 0.0, 0.5),
        },
    ),
    ("masks-leave-one-action", {"forced": 0.51}, {"forced": 0.49}),
    (
        "nothing-moves",
        {"approx_kl": 9e-4, "clip_fraction": 0.0, "evaluation": _evaluation(22, 20, random=22)},
        {"approx_kl": 9e-4, "clip_fraction": 0.0, "evaluation": _evaluation()},
    ),
    (
        "nothing-moves",
        {"approx_kl": 9e-4, "clip_fraction": 9e-4, "evaluation": _evaluation(22, 20, random=22)},
        {"approx_kl": 9e-4, "clip_fraction": 2e-3, "evaluation": _evaluation(22, 20, random=22)},
    ),
    (
        "nothing-moves",
        {"approx_kl": 9e-4, "clip_fraction": 0.0, "entropy": 0.69},
        {"approx_kl": 9e-4, "clip_fraction": 0.0, "entropy": 0.69, "settings": {"clip_coef": "off"}},
    ),
    (
        "large-rewards",
        {"mean_length": 5.0, "settings": {"normalize_rewards": False}},  # 70 a episode, 14 a step
        {"mean_length": 5.0},
    ),
    ("entropy-collapsed", {"entropy": _at(0.6, 0.029, 0, 0.1)}, {"entropy": _at(0.6, 0.031, 0, 0.1)}),
    ("policy-uniform", {"entropy": _at(0.91, 1.0, 0.9, 1)}, {"entropy": _at(0.89, 1.0, 0.9, 1)}),
    ("was-better", {"mean_return": _at(400.0, 100.0, 0.4, 0.5)}, {"mean_return": _STEP}),
    (
        "was-better",
        {"mean_return": np.r_[10.0, _at(110.0, 78.0, 0.4, 0.5)[1:]], "evaluation": _evaluation(70, 60)},
        {"mean_return": np.r_[10.0, _at(110.0, 78.0, 0.4, 0.5)[1:]], "evaluation": _evaluation(85, 60)},
    ),
    (
        "was-better",
        {"mean_return": _at(400.0, 100.0, 0.4, 0.5), "entropy": _at(0.62, 0.69, 0.4, 0.5)},
        {"mean_return": _at(400.0, 100.0, 0.4, 0.5), "entropy": _at(0.63, 0.69, 0.4, 0.5)},  # random actions had luck
    ),
    ("still-improving", {"mean_return": _RISING}, {"mean_return": _STEP}),
    ("still-improving", {"mean_return": _RISING}, {"mean_return": _RISING, "settings": {"target_return": 90.0}}),
]


@pytest.mark.parametrize(("name", "beyond", "within"), CASES, ids=[f"{i}-{case[0]}" for i, case in enumerate(CASES)])
def test_a_finding_appears_beyond_its_threshold_only(name: str, beyond: dict[str, Any], within: dict[str, Any]) -> None:
    assert name in _names(_records(**beyond))
    assert name not in _names(_records(**within))


def test_few_updates_are_found() -> None:
    few = {name: column[:9] for name, column in _records().metrics.items()}
    ten = {name: column[:10] for name, column in _records().metrics.items()}
    whole = _records()
    assert "few-updates" in _names(Records(whole.settings, few, None))
    assert "few-updates" not in _names(Records(whole.settings, ten, None))
    reached = whole.settings.replace(target_return=few["mean_return"][-1])
    assert "few-updates" not in _names(Records(reached, few, None))


def test_a_run_that_was_stopped_is_not_told_that_it_still_improves() -> None:
    whole = _records(mean_return=_RISING)
    assert "still-improving" in _names(whole)
    assert "still-improving" not in _names(Records(whole.settings, whole.metrics, None))


def test_random_states_are_compared_with_a_uniform_choice() -> None:
    def found(mean: float) -> set[str]:
        modes = {"greedy": _mode(mean), "sampled": _mode(0.0)}
        evaluation = Evaluation("random-states", 100, modes, Reference(optimum=9.0, uniform=1.0))
        return _names(_records(evaluation, {"environment": "random-states", "total_timesteps": None}))

    assert "no-better-than-random" in found(2.9)  # its interval begins at 0.9
    assert "no-better-than-random" not in found(3.1)


def test_a_value_function_need_not_explain_episodes_of_one_step() -> None:
    assert "critic-useless" in _names(_records(explained_variance=0.0, mean_length=2.0))
    assert "critic-useless" not in _names(_records(explained_variance=0.0, mean_length=1.0))


def test_a_policy_that_is_decided_early_and_near_the_optimum_has_not_collapsed() -> None:
    def found(mean: float) -> set[str]:
        modes = {"greedy": _mode(mean), "sampled": _mode(0.0)}
        evaluation = Evaluation("random-states", 100, modes, Reference(optimum=11.0, uniform=1.0))
        entropy = _at(0.6, 0.02, 0, 0.1)
        return _names(_records(evaluation, {"environment": "random-states", "total_timesteps": None}, entropy=entropy))

    assert "entropy-collapsed" in found(9.9)
    assert "entropy-collapsed" not in found(10.1)


def test_a_run_without_values_is_no_error() -> None:
    nothing = dict.fromkeys(("mean_return", "mean_length", "explained_variance"), np.nan)
    assert "no-episode" in _names(_records(episodes=0.0, **nothing))
    empty = {name: column[:0] for name, column in _records().metrics.items()}
    assert find(Records(_records().settings, empty, None)) == []


def test_every_rule_has_a_case_and_a_row_on_the_page() -> None:
    names = {name for name, _, _ in CASES} | {"few-updates"}
    assert len(names) == len(CAUSES + RULES)
    page = (Path(__file__).parents[2] / "docs/findings.md").read_text()
    assert set(re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE)) == names | {"seeds-disagree"}  # of several runs


def test_a_finding_is_one_line_with_a_remedy() -> None:
    for name, beyond, _ in CASES:
        line = next(finding for finding in find(_records(**beyond)) if finding.name == name).describe()
        assert "\n" not in line
        assert " Try " in line
        assert "nan" not in line


def test_a_real_run_without_rewards_is_found(tmp_path: Path) -> None:
    config = Config(environment="Unrewarded-v0", preset="none", total_timesteps=4_000, seed=1)
    for _ in Trainer(config, tmp_path / "run"):
        pass
    found = {finding.name: finding for finding in diagnose(tmp_path / "run")}
    assert found.keys() == {"no-reward"}  # and not what follows from it
    assert found["no-reward"].seen == "every training episode returned 0 (392 episodes)"


def test_random_actions_are_measured_only_where_a_policy_is_not_clearly_better(tmp_path: Path) -> None:
    trainer = Trainer(Config(environment="CartPole-v1", preset="none", total_timesteps=20_000, seed=1), tmp_path / "a")
    for _ in trainer:
        pass
    assert trainer.evaluation is not None
    assert "random" not in trainer.evaluation.modes
    short = Trainer(Config(environment="CartPole-v1", preset="none", total_timesteps=64, seed=1), tmp_path / "b")
    for _ in short:
        pass
    assert short.evaluation is not None
    random = short.evaluation.modes["random"].returns
    # Random actions balance for 22.2 steps on average, with a deviation of about 12 (10,000 episodes of Gymnasium's).
    assert random.mean == pytest.approx(22.2, abs=4 * 12 / math.sqrt(100))
    kept = Trainer.resume(tmp_path / "b").evaluation
    assert kept == short.evaluation


def test_records_that_cannot_be_read_are_one_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a run folder"):
        diagnose(tmp_path)
    for _ in Trainer(Config(environment="CartPole-v1", preset="none", total_timesteps=64, seed=1), tmp_path / "run"):
        pass
    metrics = tmp_path / "run/metrics.csv"
    whole = metrics.read_text()
    metrics.write_text(whole.replace("\n1,", "\n1,x", 1))
    with pytest.raises(CheckpointError, match=r"metrics.csv is damaged: could not convert"):
        diagnose(tmp_path / "run")
    lacking = [",".join(line.split(",")[:3]) for line in whole.splitlines()]  # as of an older version
    metrics.write_text("\n".join(lacking) + "\n")
    assert {finding.name for finding in diagnose(tmp_path / "run")} == {"few-updates", "no-episode"}
    metrics.unlink()
    with pytest.raises(CheckpointError, match=r"metrics.csv cannot be read: No such file"):
        diagnose(tmp_path / "run")
