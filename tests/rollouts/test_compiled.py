"""A rollout in one compiled call: the same bits as one step after another."""

from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import pytest

from actor_critic import Config, FunctionalEnvironment, Trainer
from actor_critic.environments import VectorEnvironment, make_vector_environment
from actor_critic.errors import EnvironmentFault
from actor_critic.rollouts import Collector
from actor_critic.rollouts.compiled import CompiledCollector
from actor_critic.training import setup, training_environments
from tests.plain import PLAIN


class Picking(FunctionalEnvironment):
    """Several choices with masks, a grid of bytes as observation, random ends."""

    observation_space = gym.spaces.Box(0, 9, (3, 3, 2), np.uint8)
    action_space = gym.spaces.MultiDiscrete([3, 4])
    state: ClassVar = np.dtype([("place", np.int64, (2,)), ("left", np.int64)])
    max_episode_steps = 12
    parameters: ClassVar = {"chance": 0.1}

    @staticmethod
    def initial(state: Any, random: Any, parameters: Any) -> None:
        state.place[0] = random.integers(0, 3)
        state.place[1] = random.integers(0, 3)
        state.left = 5

    @staticmethod
    def transition(state: Any, action: Any, random: Any, parameters: Any) -> tuple[float, bool]:
        state.place[0] = (state.place[0] + action[0]) % 3
        state.place[1] = (state.place[1] + action[1]) % 3
        state.left -= 1
        return 0.25 * action[0] - 0.5 * action[1], state.left == 0 or random.uniform() < parameters.chance

    @staticmethod
    def observation(state: Any, out: Any, parameters: Any) -> None:
        out[state.place[0], state.place[1], 0] = 1
        out[0, 0, 1] = state.left

    @staticmethod
    def action_mask(state: Any, mask: Any, parameters: Any) -> None:
        mask[state.place[0]] = False
        mask[3 + state.place[1]] = False


class Sensing(Picking):
    """The same, seen as a Dict of a grid of codes, a category, numbers, flags and a number of 16 bits."""

    observation_space = gym.spaces.Dict(
        {
            "grid": gym.spaces.Box(0, 9, (3, 3, 2), np.uint8),
            "inner": gym.spaces.Tuple(
                [gym.spaces.Discrete(8), gym.spaces.Box(-9.0, 9.0, (2,)), gym.spaces.MultiBinary(3)]
            ),
            "small": gym.spaces.Box(-99, 99, (), np.int16),
        }
    )

    @staticmethod
    def observation(state: Any, out: Any, parameters: Any) -> None:
        out.grid[state.place[0], state.place[1], 0] = 1
        out.grid[0, 0, 1] = state.left
        out.inner[0] = state.left
        out.inner[1][0] = state.place[0] / 3
        out.inner[1][1] = -state.left
        out.inner[2][state.place[1]] = 1
        out.small = 10 * state.left - 7


class Counting(FunctionalEnvironment):
    """One category and one choice; episodes are only truncated."""

    observation_space = gym.spaces.Discrete(6, start=2)
    action_space = gym.spaces.Discrete(3, start=-1)
    state: ClassVar = ((1,), np.int64)
    max_episode_steps = 5

    @staticmethod
    def initial(state: Any, random: Any, parameters: Any) -> None:
        state[0] = random.integers(2, 8)

    @staticmethod
    def transition(state: Any, action: Any, random: Any, parameters: Any) -> tuple[float, bool]:
        state[0] = min(max(state[0] + action, 2), 7)
        return (1.0 if state[0] == 4 else 0.0), False

    @staticmethod
    def observation(state: Any, out: Any, parameters: Any) -> None:
        out[0] = state[0]


SMALL: dict[str, Any] = {
    "num_envs": 4, "batch_size": 64, "num_minibatches": 2, "num_epochs": 5, "hidden_dim": 16, "seed": 3,
    **PLAIN, "algorithm": "ppo", "clip_coef": 0.2,
}  # fmt: skip
CASES: dict[str, dict[str, Any]] = {
    "choices, masks and an image": {"environment": f"{__name__}:Picking", "encoder": "mlp"},
    "parts": {"environment": f"{__name__}:Sensing", "normalize_observations": True, "overlap": True},
    "chosen parts": {"environment": f"{__name__}:Sensing", "observation_keys": ["small", "inner.0", "inner.1"]},
    "a tuple": {"environment": "Blackjack-v1"},
    "plain numbers": {"environment": "CartPole-v1"},
    "normalised": {"environment": "CartPole-v1", "normalize_observations": True, "normalize_rewards": True},
    "overlapped": {"environment": "CartPole-v1", "overlap": True},
    "random states": {"algorithm": "a2c", "batch_size": 32, "num_envs": 32, "num_minibatches": 1, "clip_coef": "off"},
}


def _one_by_one(environment: VectorEnvironment, agent: Any, buffers: int) -> Collector:
    settings = agent.settings
    return Collector(environment, agent.observations, agent.actions, settings.num_steps, 0, buffers)


def _run(**settings: Any) -> Trainer:
    trainer = Trainer(Config(**SMALL | settings))
    for _ in trainer:
        pass
    return trainer


@pytest.mark.parametrize("case", CASES)
def test_a_rollout_in_one_call_is_the_rollout_step_by_step(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = _run(**CASES[case])
    assert compiled.settings.backend == "fused"
    assert isinstance(compiled._environments._collector, CompiledCollector)
    monkeypatch.setattr(training_environments, "make_collector", _one_by_one)
    stepped = _run(**CASES[case])
    assert type(stepped._environments._collector) is Collector
    assert stepped.digest == compiled.digest


@pytest.mark.parametrize("case", ["choices, masks and an image", "parts", "chosen parts"])
def test_the_weights_are_those_of_single_environments_in_python(case: str) -> None:
    compiled, single = _run(**CASES[case]), _run(**CASES[case], vectorization="sync")
    assert (compiled.settings.vectorization, single.settings.vectorization) == ("compiled", "sync")
    assert compiled.agent.checkpoint({}, {}).tensors.keys() == single.agent.checkpoint({}, {}).tensors.keys()
    for name, tensor in compiled.agent.state().items():
        np.testing.assert_array_equal(tensor.numpy(), single.agent.state()[name].numpy(), err_msg=name)


@pytest.mark.parametrize("case", ["choices, masks and an image", "parts", "overlapped", "random states"])
def test_a_run_that_is_left_after_every_epoch_is_the_whole_run(case: str) -> None:
    whole, parts = _run(**CASES[case]), Trainer(Config(**SMALL | CASES[case]))
    while not parts.is_over:
        for _ in parts:
            break
    assert parts.digest == whole.digest


@pytest.mark.parametrize(("case", "threads"), [("choices, masks and an image", 1), ("parts", 2)])
def test_an_eager_agent_with_the_same_weights_collects_the_same_rollout(case: str, threads: int) -> None:
    settings = SMALL | CASES[case] | {"threads": threads}
    trainers = [Trainer(Config(**settings, backend=backend)) for backend in ("fused", "eager")]
    trainers[1].agent.load_weights(trainers[0].agent.state())
    rollouts = []
    for trainer in trainers:
        environment = make_vector_environment(trainer.settings)
        collector = training_environments.make_collector(environment, trainer.agent, 1)
        collector.reset(7)
        rollouts.append(collector.collect(trainer.agent.actor, trainer.agent.action_noise))
        trainer.close()
    fused, eager = rollouts
    for name in ("observations", "actions", "masks", "rewards", "terminated", "truncated", "final_observations"):
        np.testing.assert_array_equal(getattr(fused, name), getattr(eager, name), err_msg=name)


class Late(Counting):
    """Its reward or its observation is not a number some steps into an episode."""

    observation_space = gym.spaces.Box(-1e6, 1e6, (1,), np.float64)
    action_space = gym.spaces.Discrete(2)
    max_episode_steps = 40
    parameters: ClassVar = {"of_reward": True}

    @staticmethod
    def initial(state: Any, random: Any, parameters: Any) -> None:
        state[0] = 0

    @staticmethod
    def transition(state: Any, action: Any, random: Any, parameters: Any) -> tuple[float, bool]:
        state[0] += 1
        return (np.nan if state[0] == 30 and parameters.of_reward else 1.0), False

    @staticmethod
    def observation(state: Any, out: Any, parameters: Any) -> None:
        out[0] = np.inf if state[0] == 40 and not parameters.of_reward else state[0]


@pytest.mark.parametrize(("of_reward", "what"), [(True, "reward of step 29"), (False, "final observation of step 39")])
def test_a_number_that_is_not_finite_ends_the_run(of_reward: bool, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "try_new_environment", lambda settings: None)  # which finds it before the run
    settings = SMALL | {"environment": f"{__name__}:Late", "batch_size": 256}
    with pytest.raises(EnvironmentFault, match=f"environment 0: the {what} of this rollout is not finite"):
        list(Trainer(Config(**settings, environment_kwargs={"of_reward": of_reward})))
