"""Vector environments of their own, in all three autoreset modes."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from actor_critic import Config, Trainer
from actor_critic.config import Layer, resolve
from actor_critic.environments import NativeVectorEnv, choose_vectorization
from actor_critic.environments.trials.difference import difference
from actor_critic.errors import ConfigError, EnvironmentFault
from actor_critic.rollouts import Collector, Rollout
from actor_critic.spaces import read_spaces
from tests.plain import PLAIN
from tests.toys import Countdown, Nested, Recall, Sampled, Steady

MODES = list(AutoresetMode)
STEPS, ENVS = 60, 4


def _vector(make: Any, mode: AutoresetMode, count: int = ENVS) -> SyncVectorEnv:
    return SyncVectorEnv([make] * count, autoreset_mode=mode)


def _live(make: Any, mode: AutoresetMode) -> list[list[tuple[Any, ...]]]:
    """Each environment's live transitions, under a policy that hangs on noise, masks, memory and observations."""
    native = NativeVectorEnv(_vector(make, mode))
    observations, actions = read_spaces("toy", native.single_observation_space, native.single_action_space)
    collector = Collector(native, observations, actions, STEPS, state_dim=1)
    collector.reset(seed=5)
    asked = []

    def policy(shown: Any, uniforms: Any, masks: Any, states: Any) -> Any:
        asked.append(states[:, 0].copy())
        allowed = np.ones((ENVS, actions.num_logits), np.bool_) if masks is None else masks
        sizes = np.array(actions.sizes)
        choices = (uniforms * sizes).astype(np.int64)
        for row in range(ENVS):
            while actions.num_groups == 1 and not allowed[row, choices[row, 0]]:
                choices[row, 0] = (choices[row, 0] + 1) % sizes[0]
        return choices, states + 1

    def noise(block: int) -> Any:
        return np.random.default_rng(block).random((STEPS, ENVS, actions.num_groups), np.float32)

    def seen(observation: Any) -> list[bytes]:  # part by part: what lies between them may be anything
        return [view.tobytes() for view in observations.views(observation)]

    transitions: list[list[tuple[Any, ...]]] = [[] for _ in range(ENVS)]
    for _ in range(3):
        asked.clear()
        rollout = collector.collect(policy, noise)
        following = rollout.next_observations()
        assert STEPS * ENVS <= rollout.num_valid < (STEPS + 1) * ENVS  # whatever paused on the way
        for t in range(len(rollout.rewards)):
            for env in range(ENVS):
                if rollout.valid is None or rollout.valid[t, env]:
                    transitions[env].append(
                        (
                            seen(rollout.observations[t, env]),
                            rollout.actions[t, env].tolist(),
                            None if rollout.masks is None else rollout.masks[t, env].tolist(),
                            float(rollout.rewards[t, env]),
                            bool(rollout.terminated[t, env]),
                            bool(rollout.truncated[t, env]),
                            seen(following[t, env]),
                            float(asked[t][env]),
                        )
                    )
    native.close()
    return transitions


@pytest.mark.parametrize("make", [Sampled, lambda: Countdown(4, truncates=True), Recall, Nested])
def test_the_three_modes_give_the_same_live_transitions(make: Any) -> None:
    by_mode = {mode: _live(make, mode) for mode in MODES}
    for env in range(ENVS):
        shortest = min(len(by_mode[mode][env]) for mode in MODES)
        assert shortest > STEPS * 3 * 0.6
        for mode in MODES:
            assert by_mode[mode][env][:shortest] == by_mode[AutoresetMode.NEXT_STEP][env][:shortest]


def test_a_pause_is_marked_and_pays_nothing() -> None:
    native = NativeVectorEnv(_vector(lambda: Countdown(2), AutoresetMode.NEXT_STEP, 1))
    native.reset(seed=0)
    seen = []
    for _ in range(5):
        observations, rewards, terminated, _, infos = native.step(np.ones(1, np.int64))
        seen.append((observations[0, 0], bool(infos["valid"][0]), bool(terminated[0]), rewards[0] > 0))
    assert seen == [(1, True, False, True), (2, True, True, True), (0, False, False, False), (1, True, False, True), (2, True, True, True)]  # noqa: E501 # fmt: skip
    native.close()


def _register(mode: AutoresetMode, make: type[gym.Env[Any, Any]]) -> str:
    name = f"Native-{mode.name}-{make.__name__}-v0"
    if name not in gym.registry:
        gym.register(name, make, vector_entry_point=lambda num_envs, **kwargs: _vector(make, mode, num_envs))
    return name


RUN = {**PLAIN, "num_envs": 4, "num_steps": 11, "num_minibatches": 2, "num_epochs": 4, "update_epochs": 2, "hidden_dim": 8, "seed": 1, "normalize_rewards": True, "normalize_observations": True}  # noqa: E501 # fmt: skip


def _train(environment: str, **changes: Any) -> Trainer:
    trainer = Trainer(Config(**(RUN | {"environment": environment, "vectorization": "native"} | changes)))
    for _ in trainer:
        pass
    return trainer


@pytest.mark.parametrize("memory", ["off", "gru"])
def test_what_follows_a_pause_is_not_learned_from(memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything the update is given of dead rows may be anything at all: the weights that come out are the same."""
    name = _register(AutoresetMode.NEXT_STEP, Sampled)
    plain = _train(name, memory=memory)
    collect = Collector.collect
    dead = []

    def poisoned(self: Collector, *arguments: Any) -> Rollout:
        rollout = collect(self, *arguments)
        assert rollout.valid is not None
        dead.append(int((~rollout.valid).sum()))
        rollout.actions[~rollout.valid] = 2
        assert rollout.masks is not None
        rollout.masks[~rollout.valid] = True
        return rollout

    monkeypatch.setattr(Collector, "collect", poisoned)
    other = _train(name, memory=memory)
    assert sum(dead) > 20
    assert torch.equal(plain.agent.parameters.values, other.agent.parameters.values)
    assert 4 * 44 <= plain.env_steps < 4 * (44 + 4)


def test_a_run_on_modes_without_pauses_is_the_same_to_the_bit() -> None:
    runs = [_train(_register(mode, Sampled)) for mode in (AutoresetMode.SAME_STEP, AutoresetMode.DISABLED)]
    assert torch.equal(runs[0].agent.parameters.values, runs[1].agent.parameters.values)
    assert runs[0].env_steps == runs[1].env_steps == 4 * 44


def test_auto_takes_a_native_form_only_where_it_is_the_same() -> None:
    def chosen(environment: str, **changes: Any) -> str:
        settings = resolve(Layer("test", Config(environment=environment, **changes))).settings
        return choose_vectorization(settings).vectorization

    assert chosen(_register(AutoresetMode.NEXT_STEP, Sampled)) == "native"
    assert chosen(_register(AutoresetMode.NEXT_STEP, Sampled), frame_stack=2) == "sync"
    assert chosen(_register(AutoresetMode.NEXT_STEP, Sampled), replay="reset") == "sync"  # which a native form cannot
    assert chosen("CartPole-v1") == chosen("Acrobot-v1") == "compiled"
    assert chosen("CartPole-v1", replay="reset") == "compiled"
    # Its native form draws all environments' states from one generator.
    assert chosen("CartPole-v1", environment_kwargs={"render_mode": "rgb_array"}) == "sync"
    assert chosen("Acrobot-v1", environment_kwargs={"render_mode": "rgb_array"}) == "sync"  # which has none
    assert chosen("CartPole-v1", num_envs=4, batch_size=128, workers=2) == "shared"
    assert chosen("CartPole-v1", max_worker_restarts=1) == "workers"  # a single one, which can be replaced
    settings = resolve(Layer("test", Config(environment="CartPole-v1"))).settings
    for saved in ("sync", "native"):  # by a run that was begun before restarts meant anything
        assert choose_vectorization(settings.replace(vectorization=saved, max_worker_restarts=1)).vectorization == saved
    assert chosen("CartPole-v1", vectorization="native") == "native"


class Double(gym.RewardWrapper[Any, Any]):
    def reward(self, reward: Any) -> float:
        return 2 * float(reward)


class Swapped(gym.Wrapper[Any, Any, Any, Any]):
    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, reward, truncated, terminated, info


class Free(gym.Wrapper[Any, Any, Any, Any]):
    def reset(self, **kwargs: Any) -> Any:
        return self.env.reset(**kwargs)[0], {}

    def step(self, action: Any) -> Any:
        return *self.env.step(action)[:4], {}


@pytest.mark.parametrize(
    ("native", "said"),
    [
        (Sampled, None),
        (lambda: Double(Sampled()), "pays other rewards than gym.make's"),
        (lambda: Swapped(Sampled()), "ends its episodes in other ways than gym.make's"),
        (lambda: Free(Sampled()), "masks other actions than gym.make's"),
        (Countdown, "shows Box"),
        (lambda: gym.wrappers.TimeLimit(Sampled(), 2), "in other"),
    ],
)
def test_what_differs_is_said(native: Any, said: str | None) -> None:
    found = difference(lambda: _vector(native, AutoresetMode.NEXT_STEP, 2), Sampled)
    assert (found is None) == (said is None)
    assert said is None or (found is not None and said in found)


def test_cartpoles_native_form_shares_one_generator() -> None:
    found = difference(
        lambda: gym.make_vec("CartPole-v1", 2, vectorization_mode="vector_entry_point"), lambda: gym.make("CartPole-v1")
    )
    assert found is not None


def test_a_native_form_that_evaluations_could_not_make_is_refused_before_training() -> None:
    name = "NativeOnly-v0"
    if name not in gym.registry:
        gym.register(name, vector_entry_point=lambda num_envs, **kwargs: _vector(Sampled, MODES[0], num_envs))
    with pytest.raises(ConfigError, match="cannot be made"):
        _train(name)


@pytest.mark.parametrize("memory", ["off", "gru"])
def test_an_epoch_goes_on_past_a_pause(memory: str) -> None:
    name = _register(AutoresetMode.NEXT_STEP, Steady)
    trainer = Trainer(Config(**(RUN | {"environment": name, "vectorization": "native", "num_steps": 1, "num_epochs": 14, "memory": memory})))  # noqa: E501 # fmt: skip
    weights = trainer.agent.parameters.values.clone()
    steps = []
    for report in trainer:  # episodes of five steps, all in step with each other: the sixth is a pause
        moved = not torch.equal(weights, trainer.agent.parameters.values)
        assert moved
        assert np.isfinite([report.policy_loss, report.value_loss, report.gradient_norm]).all()
        weights = trainer.agent.parameters.values.clone()
        steps.append(report.env_steps)
    assert steps == [4 * epoch for epoch in range(1, 15)]


def test_cartpole_native_is_trained_on() -> None:
    trainer = _train("CartPole-v1", num_envs=16, num_steps=32, num_epochs=3, normalize_rewards=False)
    assert 16 * 32 * 3 <= trainer.env_steps < 16 * (32 + 1) * 3
    assert trainer.settings.vectorization == "native"


def test_a_resumed_native_run_says_that_it_is_not_exact(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    trainer = Trainer(Config(**RUN, environment="CartPole-v1", vectorization="native", memory="gru"), tmp_path / "run")
    for _ in trainer:
        pass
    resumed = Trainer.resume(tmp_path / "run", num_epochs=6)
    for report in resumed:
        assert report.mean_length is None or report.mean_length <= 500
    assert "resume not exact: the native vector form of CartPole-v1" in caplog.text
    assert resumed.epoch == 6


class _Unmarked(SyncVectorEnv):
    def __init__(self) -> None:
        super().__init__([Sampled])
        self.metadata = {}


class _Wrong(SyncVectorEnv):
    def __init__(self, what: str) -> None:
        super().__init__([Sampled] * 2, autoreset_mode=AutoresetMode.SAME_STEP)
        self._what = what

    def step(self, actions: Any) -> Any:
        observations, rewards, terminated, truncated, infos = super().step(actions)
        match self._what:
            case "shape":
                observations = observations[:, :1]
            case "count":
                observations = observations[:1]
            case "raise":
                raise RuntimeError("no power")
            case "final":
                terminated = np.ones(2, np.bool_)
                infos.pop("final_obs", None)
        return observations, rewards, terminated, truncated, infos


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("shape", r"_Wrong: observation: shape \(2, 1\)"),
        ("count", "observations of 1 environments; expected 2"),
        ("raise", "raised RuntimeError: no power"),
        ("final", "without a final_obs"),
    ],
)
def test_a_vector_form_that_misbehaves_is_a_fault(what: str, message: str) -> None:
    native = NativeVectorEnv(_Wrong(what))
    _, infos = native.reset(seed=0)
    with pytest.raises(EnvironmentFault, match=message):
        native.step(infos["action_mask"].argmax(1))
    native.close()


def test_a_vector_form_that_does_not_say_how_it_resets_is_refused() -> None:
    with pytest.raises(ConfigError, match="does not say in its metadata how it resets"):
        NativeVectorEnv(_Unmarked())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"environment": "Acrobot-v1"}, "native vector form of 'Acrobot-v1' cannot be made"),
        ({"frame_stack": 2}, "frame_stack: 2 .* is for single environments"),
        ({"workers": 2}, "workers=2 .* contradicts vectorization=native"),
        (
            {"vectorization": "shared", "max_worker_restarts": 1},
            "max_worker_restarts=1 .* contradicts vectorization=shared",
        ),
        ({"max_worker_restarts": 1}, "max_worker_restarts=1 .* contradicts vectorization=native"),
        (
            {"environment": "random-states", "vectorization": "auto", "max_worker_restarts": 1},
            "max_worker_restarts=1 .* does not apply to random states",
        ),
        ({"replay": "reset"}, "replay=reset .* is for single environments, and vectorization=native"),
        ({"environment": "random-states", "vectorization": "auto", "replay": "none"}, "replay=none .* random states"),
        ({"environment": "random-states"}, "does not apply to random states"),
        (
            {"environment": "Sampled-v0", "vectorization": "workers", "workers": 9},
            "workers: 9 .* is more than num_envs=4",
        ),
    ],
)
def test_settings_that_cannot_go_together_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Trainer(Config(**(RUN | {"environment": "CartPole-v1", "vectorization": "native"} | changes)))
