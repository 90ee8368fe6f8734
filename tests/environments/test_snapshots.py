"""Long episodes of environments that save their own state are replayed from there."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from actor_critic import Config, Trainer
from actor_critic.environments import SameStepVectorEnv, WorkerVectorEnv
from actor_critic.environments.vector import snapshots
from actor_critic.environments.vector.running_episodes import RunningEpisodes
from actor_critic.environments.wrappers.stacking import FrameStack
from actor_critic.errors import ReplayFault
from tests.plain import PLAIN


class State:
    """As ALEState: made of bytes, and made into bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def serialize(self) -> bytes:
        return self.data


class Drift(gym.Env[Any, int]):
    """An endless random walk that saves its state, and counts the steps that it takes."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (2,))
    action_space = gym.spaces.Discrete(3)
    steps_taken = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self._place = self.np_random.normal(size=2)
        return self._place.astype(np.float32), {}

    def step(self, action: int) -> Any:
        Drift.steps_taken += 1
        self._place = 0.9 * self._place + action * self.np_random.normal(size=2)
        return self._place.astype(np.float32), float(self._place[0]), False, False, {}

    def clone_state(self, include_rng: bool = False) -> State:
        assert include_rng
        inner = self.np_random.bit_generator.state["state"]
        return State(self._place.tobytes() + b"".join(inner[name].to_bytes(16, "little") for name in ("state", "inc")))

    def restore_state(self, state: State) -> None:
        self._place = np.frombuffer(state.data[:16]).copy()
        inner = {"state": int.from_bytes(state.data[16:32], "little"), "inc": int.from_bytes(state.data[32:], "little")}
        whole = self.np_random.bit_generator.state
        self.np_random.bit_generator.state = {**whole, "state": inner}


gym.register("Drift-v0", Drift)


@pytest.fixture(autouse=True)
def _saves_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "PACKAGES", {__name__.partition(".")[0]})


def _walk(vector: Any, steps: int, seed: int) -> list[Any]:
    random = np.random.default_rng(seed)
    shown = []
    for _ in range(steps):
        step = vector.step_indices(random.integers(3, size=(vector.num_envs, 1)))
        shown.append((step.observations.tolist(), step.rewards.tolist()))
    return shown


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("steps", [900, 1024, 2047, 2048, 2500, 5000])
def test_an_episode_is_rebuilt_from_a_snapshot_and_the_actions_since(steps: int, frames: int) -> None:
    def make() -> Any:
        limited = gym.wrappers.TimeLimit(Drift(), 6000)
        return limited if frames == 1 else FrameStack(limited, frames)

    vector = SameStepVectorEnv(make, 2)
    vector.reset(seed=3)
    _walk(vector, steps, 0)
    state = vector.save_state()
    assert state["actions"].dtype == np.uint8
    base = 1024 * max(0, steps // 1024 - 1)
    assert state["lengths"].tolist() == [steps - base] * 2
    assert state["snapshot_steps"].tolist() == [base] * 2
    other = SameStepVectorEnv(make, 2)
    Drift.steps_taken = 0
    other.load_state(state)
    assert Drift.steps_taken == 2 * (steps - base)
    again = other.save_state()
    assert all(np.array_equal(state[name], again[name]) for name in state.keys() | again.keys())
    for each in (vector, other):
        each.shown = _walk(each, 1100, 1)  # type: ignore[attr-defined]
    assert vector.shown == other.shown  # type: ignore[attr-defined]
    saved, resaved = vector.save_state(), other.save_state()
    assert all(np.array_equal(saved[name], resaved[name]) for name in saved)
    if steps == 5000:  # over already
        return
    for _ in range(6000 - steps - 1100):  # the limit counts from the episode's beginning
        step = other.step_indices(np.zeros((2, 1), np.int64))
    assert [step.terminated.tolist(), step.truncated.tolist()] == [[False] * 2, [True] * 2]


class AtariPreprocessing(gym.Wrapper[Any, Any, Any, Any]):
    """As Gymnasium's of that name: takes each action four times, and some steps of its own in a reset."""

    def reset(self, **kwargs: Any) -> Any:
        self.env.reset(**kwargs)
        return self.env.step(0)[0], {}

    def step(self, action: Any) -> Any:
        for _ in range(3):
            self.env.step(action)
        return self.env.step(action)


AtariPreprocessing.__module__ = "gymnasium.wrappers.atari_preprocessing"


def test_a_limit_beneath_a_wrapper_that_steps_more_often_goes_on_where_it_was() -> None:
    ends = []
    first = SameStepVectorEnv(lambda: AtariPreprocessing(gym.wrappers.TimeLimit(Drift(), 10_000)), 1)
    first.reset(seed=3)
    _walk(first, 2100, 0)
    second = SameStepVectorEnv(lambda: AtariPreprocessing(gym.wrappers.TimeLimit(Drift(), 10_000)), 1)
    second.load_state(first.save_state())
    for vector in (first, second):
        steps = 0
        while not vector.step_indices(np.zeros((1, 1), np.int64)).truncated[0]:
            steps += 1
        ends.append(steps)
    assert ends[0] == ends[1] > 0


def test_a_worker_that_is_replaced_after_a_resume_goes_on_from_the_snapshot() -> None:
    single = SameStepVectorEnv(Drift, 2)
    single.reset(seed=1)
    _walk(single, 2500, 0)
    episodes = RunningEpisodes(2, single.actions)
    episodes.load(single.save_state())
    again = SameStepVectorEnv(Drift, 2)
    again.load_state(episodes.state())
    assert _walk(again, 5, 1) == _walk(single, 5, 1)


def _known_drift() -> Drift:
    snapshots.PACKAGES.add("tests")  # in a worker
    return Drift()


def test_workers_share_out_snapshots() -> None:
    single = SameStepVectorEnv(Drift, 3)
    single.reset(seed=1)
    _walk(single, 2100, 0)
    spread = WorkerVectorEnv(_known_drift, 3, 2)
    try:
        spread.load_state(single.save_state())
        states = single.save_state(), spread.save_state()
        assert all(np.array_equal(states[0][name], states[1][name]) for name in states[0])
        assert _walk(single, 5, 1) == _walk(spread, 5, 1)
    finally:
        spread.close()


def test_a_snapshot_that_is_not_the_episodes_is_a_fault() -> None:
    vector = SameStepVectorEnv(Drift, 1)
    vector.reset(seed=3)
    _walk(vector, 2100, 0)
    state = vector.save_state()
    state["snapshots"] = state["snapshots"] ^ np.uint8(1)
    with pytest.raises(ReplayFault, match="shows other observations"):
        SameStepVectorEnv(Drift, 1).load_state(state)


def test_a_wrapper_that_may_remember_more_has_its_episodes_replayed_whole() -> None:
    assert snapshots.saver_of(gym.wrappers.RecordEpisodeStatistics(Drift())) is None
    assert snapshots.saver_of(gym.make("CartPole-v1")) is None
    assert snapshots.saver_of(gym.wrappers.TimeLimit(Drift(), 5)) is not None


def test_a_run_of_one_endless_episode_resumes_to_the_same_bits(tmp_path: Any) -> None:
    small: dict[str, Any] = {**PLAIN, "hidden_dim": 8, "evaluation_episodes": 1, "evaluation_max_steps": 50}
    config = Config(environment="Drift-v0", num_envs=2, num_steps=400, num_epochs=12, **small)
    whole = Trainer(config)
    for _ in whole:
        pass
    stopped = Trainer(config, tmp_path / "run")
    for report in stopped:
        if report.epoch == 8:
            stopped.stop("by the test")
    resumed = Trainer.resume(tmp_path / "run")
    for _ in resumed:
        pass
    assert resumed.digest == whole.digest
