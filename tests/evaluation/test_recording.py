"""Recorded episodes: those of an evaluation, with what was seen, chosen and earned in each step."""

import os
from typing import Any

import numpy as np
import pytest
import torch

from actor_critic import ActorCriticAgent, Config, ConfigError, EnvironmentFault, Trainer, evaluate, record_episode
from actor_critic.seeding import Purpose, episode_seed
from tests import screens, toys


def _agent(environment: Any = None, **settings: Any) -> ActorCriticAgent:
    run = {"num_envs": 2, "num_steps": 4, "num_epochs": 1, "hidden_dim": 8, "num_minibatches": 1}
    if environment is not None:
        settings = {"vectorization": "sync"} | settings  # nothing is compiled
    if isinstance(environment, str):
        settings, environment = settings | {"environment": environment}, None
    trainer = Trainer(Config(**(run | settings)), environment=environment)
    trainer.close()
    return trainer.agent


@pytest.mark.parametrize(
    ("environment", "settings"),
    [
        ("Countdown-v0", {}),
        ("CartPole-v1", {"max_episode_steps": 30}),
        ("Guarded-v0", {}),
        ("GuardedByObservation-v0", {}),
        ("Nested-v0", {}),
        ("Recall-v0", {"memory": "gru"}),
        ("Sampled-v0", {"normalize_observations": True, "normalize_rewards": True}),
        (screens.TextCounter, {}),
        (None, {}),  # random states
    ],
)
def test_the_episodes_are_those_of_an_evaluation(environment: Any, settings: dict[str, Any]) -> None:
    agent = _agent(environment, **settings)
    recorded = [record_episode(agent, episode=number, seed=3, frames=False) for number in range(12)]
    evaluation = evaluate(agent, episodes=12, seed=3)
    returns = [each.returns for each in recorded]
    assert np.mean(returns) == pytest.approx(evaluation.greedy.mean, rel=1e-12)
    assert np.std(returns, ddof=1) == pytest.approx(evaluation.greedy.std, rel=1e-9, abs=1e-12)
    assert np.mean([each.length for each in recorded]) == evaluation.modes["greedy"].mean_length
    assert sum(each.truncated for each in recorded) == evaluation.modes["greedy"].truncated
    for each in recorded:
        assert each.rewards.sum() == pytest.approx(each.returns)
        assert len(each.actions) == len(each.values) == len(each.probabilities) == each.length


def test_probabilities_and_values_are_those_of_the_agent_with_its_memory() -> None:
    agent = _agent("Recall-v0", memory="lstm")
    recorded = record_episode(agent, episode=13, seed=5, frames=False)
    env = toys.Recall()
    observation, _ = env.reset(seed=episode_seed(5, Purpose.TEST, 3, 1))  # episode 13 is the second one of the fourth
    state = value_state = None
    for step in range(recorded.length):
        probabilities, after = agent.probabilities(observation, state=state)
        value, value_state = agent.value(observation, state=value_state)
        action, state = agent.act(observation, state=state, deterministic=True)
        assert np.array_equal(state, after)
        assert np.allclose(recorded.probabilities[step], probabilities, atol=1e-6)
        assert recorded.values[step] == pytest.approx(value, abs=1e-6)
        assert recorded.actions[step] == action
        observation = env.step(action)[0]


@pytest.mark.parametrize("environment", ["Guarded-v0", "GuardedByMethod-v0", "GuardedByObservation-v0"])
def test_masked_actions_have_no_probability_and_each_choice_sums_to_one(environment: str) -> None:
    recorded = record_episode(_agent(environment), mode="sampled", frames=False)
    assert recorded.masks is not None
    assert (recorded.probabilities[~recorded.masks] == 0).all()
    assert recorded.action_sizes == (3, 2)
    assert np.allclose(recorded.probabilities[:, :3].sum(1), 1)
    assert np.allclose(recorded.probabilities[:, 3:].sum(1), 1)
    assert recorded.action_names == ("0", "1", "2", "0", "1")
    for action, choice in zip(recorded.actions, recorded.choices, strict=True):
        assert action.tolist() == choice.tolist()


def test_nothing_of_the_agent_and_the_process_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    agent = _agent("CartPole-v1")
    before, next_action = agent.state(), agent._prediction_noise.bit_generator.state["state"]["counter"].tolist()
    first = record_episode(agent, mode="sampled")
    again = record_episode(agent, mode="sampled")
    assert [a.tobytes() for a in first.frames] == [a.tobytes() for a in again.frames]  # type: ignore[union-attr]
    assert first.actions == again.actions
    assert record_episode(agent, mode="sampled", seed=7, frames=False).actions != first.actions
    assert all(torch.equal(tensor, before[name]) for name, tensor in agent.state().items())
    assert agent._prediction_noise.bit_generator.state["state"]["counter"].tolist() == next_action
    assert "SDL_VIDEODRIVER" not in os.environ


def test_every_state_has_an_image_and_the_end_too() -> None:
    recorded = record_episode(_agent("CartPole-v1"), mode="sampled")
    assert recorded.frame_steps == list(range(recorded.length + 1))
    assert {(frame.shape, frame.dtype) for frame in recorded.frames} == {((400, 600, 3), np.dtype(np.uint8))}  # type: ignore[union-attr]
    assert (recorded.fps, recorded.is_text, recorded.environment) == (50.0, False, "CartPole-v1")


def test_a_text_environment_gives_texts() -> None:
    recorded = record_episode(_agent("FrozenLake-v1"), frames="texts")
    assert recorded.is_text
    assert len(recorded.frames) == recorded.length + 1
    assert all("S" in str(frame) and "G" in str(frame) for frame in recorded.frames)


def test_a_functional_environment_gives_what_its_function_returns() -> None:
    texts = record_episode(_agent(screens.TextCounter))
    assert texts.frames == [f"count {count}" for count in range(5)]
    assert texts.truncated
    images = record_episode(_agent(screens.ImageCounter))
    assert [int(frame[0, 0, 0]) for frame in images.frames] == [0, 20, 40, 60, 80]  # type: ignore[index]
    with pytest.raises(ConfigError, match="has no render modes, and these frames need rgb_array or ansi"):
        record_episode(_agent(screens.HiddenCounter))
    with pytest.raises(ConfigError, match="has the render modes rgb_array, and these frames need ansi"):
        record_episode(_agent(screens.ImageCounter), frames="texts")


def test_render_is_called_for_the_frames_and_for_no_other_step(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    render = screens.Screen.render
    monkeypatch.setattr(screens.Screen, "render", lambda self: (looks.append(self._steps), render(self))[1])
    agent = _agent("Screen-v0", environment_kwargs={"length": 10})
    recorded = record_episode(agent, every=4)
    assert looks == recorded.frame_steps == [0, 4, 8, 10]
    looks.clear()
    assert record_episode(agent, frames=False).frames == looks == []


def test_a_limit_of_frames_spreads_them_over_the_episode() -> None:
    agent = _agent("Screen-v0", environment_kwargs={"length": 10})
    assert record_episode(agent, max_frames=4).frame_steps == [0, 4, 8, 10]
    assert record_episode(agent, max_frames=100).frame_steps == list(range(11))


def test_a_limit_of_steps_ends_the_episode() -> None:
    recorded = record_episode(_agent("Screen-v0", environment_kwargs={"length": 10}), max_steps=6)
    assert (recorded.length, recorded.truncated, recorded.frame_steps[-1]) == (6, True, 6)
    endless = record_episode(_agent("Endless-v0", evaluation_max_steps=20), frames=False)
    assert (endless.length, endless.truncated, endless.returns) == (20, True, 20.0)
    assert endless.describe() == "episode 0, greedy: return 20, cut off after 20 steps"


def test_wrappers_change_what_is_seen_and_not_the_return() -> None:
    agent = _agent("Screen-v0", wrappers=["tests.toys:Enormous"])
    recorded = record_episode(agent)
    assert recorded.returns == record_episode(agent, wrappers=[]).returns == recorded.rewards.sum() < 4
    assert len(recorded.frames) == 4


def test_frames_of_floats_from_0_to_1_are_images() -> None:
    floats, whole = (
        record_episode(_agent("Screen-v0", environment_kwargs={"shows": shows})) for shows in ("shares", "")
    )
    np.testing.assert_array_equal(np.array(floats.frames), np.array(whole.frames))


def test_a_render_mode_of_the_settings_stays() -> None:
    agent = _agent("FrozenLake-v1", environment_kwargs={"render_mode": "ansi"})
    assert record_episode(agent).is_text


def test_other_arguments_of_the_environment() -> None:
    agent = _agent("Screen-v0")
    assert record_episode(agent, environment_kwargs={"length": 7}).length == 7
    assert record_episode(agent, environment=toys.Countdown, frames=False).length == 3
    with pytest.raises(ConfigError, match=r"^environment: CartPole-v1: "):
        record_episode(agent, environment="CartPole-v1")


WRONG = {
    "None": r"step 0: render returned None; expected an array \[H, W, 3\] of uint8, or of "
    r"floats from 0 to 1, or a text$",
    "float": r"step 0: render returned an array \[41, 37, 3\] of float32; expected",
    "gray": r"step 0: render returned an array \[41, 37\] of uint8; expected",
    "list": r"step 0: render returned list; expected",
    "grows": r"step 1: render returned an image of 37 x 21 pixels, and earlier in the same episode an image of 37 x 20",
    "mixed": r"step 1: render returned a text, and earlier in the same episode an image of 37 x 41 pixels$",
    "raises": r"step 0: raised in render RuntimeError: the screen is black \(screens.py, line \d+\)$",
}


@pytest.mark.parametrize("shows", WRONG)
def test_a_frame_that_is_none_is_an_error_of_one_line(shows: str) -> None:
    agent = _agent("Screen-v0", environment_kwargs={"shows": shows})
    with pytest.raises(EnvironmentFault, match=rf"^Screen-v0, environment 2, episode 1, {WRONG[shows]}"):
        record_episode(agent, episode=12)


def test_an_environment_that_cannot_render_says_what_helps() -> None:
    with pytest.raises(ConfigError) as caught:
        record_episode(_agent("Countdown-v0"))
    assert str(caught.value) == (
        "environment: Countdown-v0 has no render modes, and these frames need rgb_array or ansi; let it render and say "
        'so in its metadata ("render_modes"), or record its steps alone with frames=False'
    )
    with pytest.raises(ConfigError, match=r"random-states has no render modes, .*; record its steps alone with"):
        record_episode(_agent())
    with pytest.raises(ConfigError, match=r"declares the render mode rgb_array, but cannot be made with it; let its"):
        record_episode(_agent(screens.Blind))


def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = _agent("CartPole-v1")
    monkeypatch.setitem(__import__("sys").modules, "pygame", None)
    with pytest.raises(ConfigError, match=r'needs a package to render .*pip install "gymnasium\[classic-control\]"'):
        record_episode(agent)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"episode": -1}, "episode: -1 is not allowed; expected at least 0"),
        ({"every": 0}, "every: 0 is not allowed; expected at least 1"),
        ({"max_frames": 1}, "max_frames: 1 is not allowed; expected at least 2"),
        ({"max_steps": 0}, "max_steps: 0 is not allowed; expected at least 1"),
        ({"frames": "video"}, 'frames: \'video\' is not allowed; expected True, False, "images" or "texts"'),
        ({"mode": "best"}, 'mode: \'best\' is not allowed; expected "greedy" or "sampled"'),
    ],
)
def test_arguments_are_checked(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        record_episode(_agent("Countdown-v0"), **wrong)


def test_actions_have_the_names_of_the_environment() -> None:
    class Named(screens.Screen):
        def get_action_meanings(self) -> list[str]:
            return ["WAIT", "TAKE"]

    assert record_episode(_agent(Named)).action_names == ("WAIT", "TAKE")


def test_every_environment_is_closed_also_after_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []
    monkeypatch.setattr(screens.Screen, "close", lambda self: closed.append(self))
    agent = _agent("Screen-v0", environment_kwargs={"shows": "breaks"})
    closed.clear()
    with pytest.raises(EnvironmentFault, match="step 2: raised in render"):
        record_episode(agent)
    assert len(closed) == 2  # one was asked for its render modes
