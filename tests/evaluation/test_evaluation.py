"""Evaluation: the right episodes, all of them, and figures that mean what they say."""

import json

import numpy as np
import pytest
import torch

from actor_critic import ActorCriticAgent, Config, Trainer, evaluate
from actor_critic.evaluation import Evaluation
from actor_critic.seeding import Purpose, episode_seed
from tests import toys


def _agent(**settings: object) -> ActorCriticAgent:
    return Trainer(Config(num_envs=2, num_steps=4, num_epochs=1, hidden_dim=8, **settings)).agent


def _prefer(agent: ActorCriticAgent, action: int, logit: float) -> None:
    """Make the policy forget its input and prefer one action."""
    with torch.no_grad():
        agent.policy_network.head.weight.zero_()
        agent.policy_network.head.bias.zero_()
        agent.policy_network.head.bias[action] = logit


def test_every_episode_asked_for_counts_once_and_nothing_else_does() -> None:
    agent = _agent(environment="Countdown-v0")
    _prefer(agent, 1, 50.0)
    evaluation = evaluate(agent, episodes=23, seed=4)
    # Action 1 earns the number drawn at reset, three times: 23 episodes over 10 environments, three of them with three.
    env = toys.Countdown()
    numbers = [
        3 * env.reset(seed=episode_seed(4, Purpose.TEST, i, k))[0][1]
        for i in range(10)
        for k in range(3 if i < 3 else 2)
    ]
    assert evaluation.episodes == 23
    assert evaluation.greedy.mean == pytest.approx(np.mean(numbers), rel=1e-6)
    assert evaluation.greedy.std == pytest.approx(np.std(numbers, ddof=1), rel=1e-6)
    assert evaluation.sampled.mean == pytest.approx(evaluation.greedy.mean)
    assert evaluation.modes["greedy"].mean_length == 3.0


def test_greedy_and_sampled_are_told_apart() -> None:
    agent = _agent(environment="Countdown-v0")
    _prefer(agent, 1, 1e-4)
    evaluation = evaluate(agent, episodes=200)
    assert evaluation.sampled.mean == pytest.approx(evaluation.greedy.mean / 2, rel=0.1)


def test_nothing_of_the_agent_changes_and_the_result_is_a_function_of_the_seed() -> None:
    agent = _agent(environment="CartPole-v1", normalize_observations=True)
    before = {name: tensor.clone() for name, tensor in agent.state().items()}
    first = evaluate(agent, episodes=5)
    assert evaluate(agent, episodes=5) == first
    assert evaluate(agent, episodes=5, seed=7) != first
    assert evaluate(agent, episodes=5, purpose=Purpose.SELECTION) != first
    for name, tensor in agent.state().items():
        assert torch.equal(tensor, before[name])


def test_random_states_are_measured_against_optimum_and_uniform_choice() -> None:
    agent = _agent(evaluation_episodes=2000)
    _prefer(agent, 0, 1e-6)
    evaluation = evaluate(agent)
    assert evaluation.reference is not None
    # tanh of a standard normal number: the better of w·s and -w·s earns E|tanh(Z)| = 0.5565; by symmetry the rest is 0.
    assert evaluation.reference.optimum == pytest.approx(0.5565, abs=0.02)
    assert evaluation.reference.uniform == pytest.approx(0.0, abs=1e-6)
    assert abs(evaluation.greedy.mean) < 0.05
    assert evaluation.reference.normalized(evaluation.reference.optimum) == pytest.approx(1.0)
    assert evaluation.modes["greedy"].mean_length == 1.0


def test_the_document_says_what_its_interval_is_over() -> None:
    evaluation: Evaluation = evaluate(_agent(environment="Countdown-v0"), episodes=10)
    document = json.loads(json.dumps(evaluation.to_document()))
    assert document["episodes"] == 10
    for mode in ("greedy", "sampled"):
        assert {"mean", "std", "interval"} <= document[mode].keys()
        assert "episodes of this one policy" in document[mode]["interval"]["meaning"]
        assert document[mode]["interval"]["low"] <= document[mode]["mean"] <= document[mode]["interval"]["high"]


def test_no_episodes_is_an_error() -> None:
    with pytest.raises(ValueError, match="episodes: 0 is not allowed"):
        evaluate(_agent(environment="Countdown-v0"), episodes=0)


def test_an_environment_without_a_limit_is_evaluated_all_the_same() -> None:
    agent = _agent(environment="Endless-v0")
    found = evaluate(agent, episodes=1)
    assert (found.greedy.mean, found.modes["greedy"].cut, found.modes["sampled"].cut) == (27_000.0, 1, 1)
    assert found.to_document()["greedy"]["cut"] == 1
    shorter = evaluate(_agent(environment="Endless-v0", evaluation_max_steps=50), episodes=3)
    assert (shorter.greedy.mean, shorter.modes["greedy"].cut) == (50.0, 3)
    limited = _agent(environment="Endless-v0", max_episode_steps=7)
    own = evaluate(limited, episodes=3)
    assert (own.greedy.mean, own.modes["greedy"].cut) == (7.0, 0)


def test_an_agent_that_no_run_was_made_for_is_evaluated() -> None:
    trained = _agent(environment="CartPole-v1")
    agent = ActorCriticAgent(Config(environment="CartPole-v1"), trained.observations, trained.actions)
    assert evaluate(agent, episodes=2).greedy.mean > 0
