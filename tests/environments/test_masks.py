"""Action masks from their source to the update."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from actor_critic import Config, Trainer, evaluate
from actor_critic.environments import SameStepVectorEnv
from actor_critic.environments.masks.giving import with_masks_in_info
from actor_critic.environments.masks.reading import read_mask
from actor_critic.environments.trials.check import check_environment
from actor_critic.errors import ConfigError, EnvironmentFault
from actor_critic.spaces import ActionSpec
from tests import toys
from tests.plain import PLAIN

SPEC = ActionSpec.from_space(gym.spaces.MultiDiscrete([3, 2]))
GUARDED = {"num_envs": 3, "num_steps": 20, "num_minibatches": 2, "hidden_dim": 16, "num_epochs": 40, "seed": 2}


@pytest.mark.parametrize("make", [toys.Guarded, toys.GuardedByMethod, toys.GuardedByObservation])
def test_every_convention_becomes_the_same_mask(make: Callable[[], gym.Env]) -> None:
    env, plain = with_masks_in_info(make()), toys.Guarded()
    assert env.observation_space == plain.observation_space
    observation, info = env.reset(seed=3)
    expected, _ = plain.reset(seed=3)
    np.testing.assert_array_equal(observation, expected)
    np.testing.assert_array_equal(read_mask(info, SPEC), plain.mask.astype(bool))
    for _ in range(5):
        action = np.array([np.argmax(plain.mask[:3]), np.argmax(plain.mask[3:])])
        info = env.step(action)[4]
        plain.step(action)
        np.testing.assert_array_equal(read_mask(info, SPEC), plain.mask.astype(bool))


def test_an_environment_without_masks_is_left_as_it_is() -> None:
    env = gym.make("CartPole-v1")
    assert with_masks_in_info(env) is env
    assert read_mask({}, SPEC) is None


def test_a_mask_may_come_in_parts() -> None:
    parts = {"action_mask": (np.array([1, 0, 1]), np.array([0, 1]))}
    mask = read_mask(parts, SPEC)
    assert mask is not None
    assert mask.tolist() == [True, False, True, False, True]


def test_the_vectoriser_shows_the_mask_of_the_observation_it_shows() -> None:
    vector = SameStepVectorEnv(toys.Guarded, 2)
    observations, infos = vector.reset(seed=0)
    for _ in range(20):  # the observation is the mask, also after an end, where the final one allowed nothing
        np.testing.assert_array_equal(infos["action_mask"], observations.astype(bool))
        assert infos["_action_mask"].all()
        masks = infos["action_mask"]
        actions = np.stack([masks[:, :3].argmax(1), masks[:, 3:].argmax(1)], 1)
        observations, _, _, _, infos = vector.step(actions)
    copy = SameStepVectorEnv(toys.Guarded, 2)
    rebuilt = copy.load_state(vector.save_state())
    np.testing.assert_array_equal(rebuilt.masks, infos["action_mask"])


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (np.ones(4), "action_mask has 4 entries; expected 5"),
        (np.array([1, 1, 1, 0, 0]), "allows no action, though the episode goes on"),
    ],
)
def test_a_bad_mask_names_environment_and_step(mask: np.ndarray, words: str) -> None:
    class Bad(toys.Guarded):
        def step(self, action: np.ndarray) -> tuple:
            return *super().step(action)[:4], {"action_mask": mask}

    made = iter([toys.Guarded(), Bad()])
    vector = SameStepVectorEnv(lambda: next(made), 2)
    masks = vector.reset(seed=0)[1]["action_mask"]
    with pytest.raises(EnvironmentFault, match=f"environment 1, episode 0, step 1: .*{words}"):
        vector.step(np.stack([masks[:, :3].argmax(1), masks[:, 3:].argmax(1)], 1))


@pytest.mark.parametrize("name", ["Guarded-v0", "GuardedByMethod-v0", "GuardedByObservation-v0"])
def test_a_masked_environment_is_learned_without_one_forbidden_action(name: str) -> None:
    # A forbidden action raises: that none does, in 2,400 steps of training and 20 episodes of evaluation, is the test.
    trainer = Trainer(Config(environment=name, learning_rate=0.01, **GUARDED))
    reports = list(trainer)
    assert reports[0].mean_return is not None
    assert reports[-1].mean_return is not None
    assert reports[-1].mean_return > reports[0].mean_return + 1
    evaluation = evaluate(trainer.agent, episodes=10)
    assert evaluation.greedy.mean > reports[0].mean_return + 1


def test_training_on_masks_is_the_same_whichever_way_they_come() -> None:
    weights = []
    for name in ("Guarded-v0", "GuardedByMethod-v0", "GuardedByObservation-v0"):
        trainer = Trainer(Config(environment=name, **(GUARDED | {"num_epochs": 3})))
        for _ in trainer:
            pass
        weights.append(trainer.agent.parameters.values)
    assert torch.equal(weights[0], weights[1])
    assert torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("make", [toys.Guarded, toys.GuardedByMethod, toys.GuardedByObservation])
def test_check_plays_only_what_is_allowed(make: Callable[[], gym.Env]) -> None:
    findings = list(check_environment(lambda: with_masks_in_info(make())))
    assert {finding.verdict for finding in findings} == {"ok"}


@pytest.mark.parametrize("wrapper", ["OnlyFirst", "OnlyFirstSeen"])
def test_a_wrapper_may_give_masks(wrapper: str) -> None:
    config = Config(environment="Countdown-v0", wrappers=[f"tests.toys:{wrapper}"], num_envs=2, num_steps=50)
    trainer = Trainer(config)
    trainer.close()
    assert trainer.settings.input_dim == 2
    evaluation = evaluate(trainer.agent, episodes=20)
    assert (evaluation.greedy.mean, evaluation.sampled.mean) == (0.0, 0.0)  # only the second action earns anything


def test_a_method_beneath_a_wrapper_is_asked_once() -> None:
    bare = toys.GuardedByMethod()
    wrapped = gym.wrappers.RecordEpisodeStatistics(with_masks_in_info(bare))
    assert with_masks_in_info(wrapped, bare) is wrapped


class Declares(toys.Countdown):
    """A Countdown that only ever allows action 0, and says so in one of several ways."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self._how = how
        if how == "attribute":
            self.action_masks = [1, 0]

    def reset(self, **kwargs: Any) -> Any:
        observation, info = super().reset(**kwargs)
        if self._how == "attribute of a reset":
            self.action_masks = np.array([True, False])
        return observation, info

    def step(self, action: int) -> Any:
        assert action == 0, "a forbidden action"
        return super().step(action)


class DeclaresLater(Declares):
    action_masks: Any = None  # until a reset


class DeclaresProperty(Declares):
    @property
    def action_masks(self) -> Any:
        return np.array([1.0, 0.0])

    @action_masks.setter
    def action_masks(self, value: Any) -> None:
        pass


class DeclaresStatically(Declares):
    @staticmethod
    def action_masks() -> Any:
        return (True, False)


class NotYet(Declares):
    @property
    def action_masks(self) -> Any:
        return np.array([True, self.steps_so_far < 0])  # type: ignore[attr-defined]

    @action_masks.setter
    def action_masks(self, value: Any) -> None:
        pass


class Wants(Declares):
    def action_masks(self, state: int) -> Any:
        return np.array([True, False])


for _made in (Declares, DeclaresLater, DeclaresProperty, DeclaresStatically, NotYet, Wants):
    gym.register(f"{_made.__name__}-v0", _made)


@pytest.mark.parametrize("wrappers", [[], ["gymnasium.wrappers:RecordEpisodeStatistics"]])
@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("Declares", "attribute"),
        ("Declares", "attribute of a reset"),
        ("DeclaresLater", "attribute of a reset"),
        ("DeclaresProperty", "property"),
        ("DeclaresStatically", "static method"),
    ],
)
def test_a_mask_is_read_in_whatever_form_action_masks_is(name: str, how: str, wrappers: list[str]) -> None:
    changes: dict[str, Any] = {"environment": f"{name}-v0", "environment_kwargs": {"how": how}, "wrappers": wrappers}
    trainer = Trainer(Config(**changes, **PLAIN, num_envs=2, num_steps=20, num_epochs=2))
    for _ in trainer:
        pass
    assert evaluate(trainer.agent, episodes=5).sampled.mean == 0.0


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("NotYet", r"action_masks of NotYet cannot be read before the first reset, AttributeError: .*make it a method"),
        ("Wants", "action_masks of Wants wants arguments"),
    ],
)
def test_a_mask_that_cannot_be_read_is_refused_by_name(name: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Trainer(Config(environment=f"{name}-v0", environment_kwargs={"how": ""}))


class Deeper(gym.ObservationWrapper[Any, Any, Any]):
    def __init__(self) -> None:
        super().__init__(toys.Countdown())
        seen = gym.spaces.Dict({"state": self.env.observation_space, "action_mask": gym.spaces.MultiBinary(2)})
        self.observation_space = gym.spaces.Tuple([gym.spaces.Discrete(2), seen])

    def observation(self, observation: Any) -> Any:
        return 0, {"state": observation, "action_mask": np.array([1, 0], np.int8)}


def test_a_mask_deeper_in_the_observation_is_refused_by_name() -> None:
    gym.register("Deeper-v0", Deeper)
    with pytest.raises(ConfigError, match=r'Deeper-v0: the observation space .* has \[1\]\["action_mask"\]'):
        Trainer(Config(environment="Deeper-v0"))


def test_what_looks_like_a_mask_and_is_none_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    class Hints(toys.Countdown):
        legal_actions = (0,)

        def reset(self, **kwargs: Any) -> Any:
            return super().reset(**kwargs)[0], {"action_masks": [1, 0]}

    with caplog.at_level("WARNING", "actor_critic"):
        SameStepVectorEnv(Hints, 1).reset(seed=0)
        SameStepVectorEnv(toys.Countdown, 1).reset(seed=0)
        SameStepVectorEnv(lambda: gym.make("Taxi-v4"), 1).reset(seed=0)  # whose action_mask(state) is in its info
    told = [record.message.split(" is not read")[0] for record in caplog.records]
    assert told == ['masks: info["action_masks"]', "masks: legal_actions of Hints"]


def test_a_mask_that_is_none_allows_everything() -> None:
    assert read_mask({"action_mask": None}, SPEC) is None
