"""The probes are what the table of their solutions says."""

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from actor_critic import FunctionalEnvironment
from actor_critic.environments.functional import try_functions
from actor_critic.environments.functional.compiled import CompiledExecutor
from actor_critic.probing import PROBES, Moment, Probe

EPISODES = 400


def _play(env: gym.Env[Any, Any], probe: Probe, seed: int) -> list[tuple[Moment, float]]:
    """Play the best policy; return the moments of the table in the order in which they came, each with its reward."""
    observation, info = env.reset(seed=seed)
    found: list[tuple[Moment, float]] = []
    played = [
        episode
        for episode in probe.episodes
        if episode[0].seen == observation[0] and _allowed(episode[0]) == _given(info, episode[0])
    ]
    (episode,) = played
    has_ended = False
    while not has_ended:
        moment = episode[min(len(found), len(episode) - 1)]
        assert observation == moment.seen
        observation, reward, terminated, truncated, info = env.step(moment.action or 0)
        found.append((moment, float(reward)))
        has_ended = terminated or truncated
    assert terminated != (probe.name == "NoEnd")
    return found


def _allowed(moment: Moment) -> list[bool] | None:
    return None if moment.mask is None else list(moment.mask)


def _given(info: dict[str, Any], moment: Moment) -> list[bool] | None:
    assert ("action_mask" in info) == (moment.mask is not None)
    return list(info["action_mask"]) if "action_mask" in info else None


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
def test_the_best_policy_earns_what_the_table_says(probe: Probe) -> None:
    env = gym.make(probe.environment)
    returns: dict[tuple[float, float], list[float]] = defaultdict(list)
    met = set()
    for seed in range(EPISODES):
        played = _play(env, probe, seed)
        assert probe.best_return in (None, sum(reward for _, reward in played))
        following = 2.0 if probe.name == "NoEnd" else 0.0  # what comes after a cut is worth as much as before
        for moment, reward in reversed(played):
            met.add(moment)
            following = reward + probe.gamma * following
            if moment.value is not None:
                returns[moment.seen, moment.value].append(following)
    assert met == {moment for episode in probe.episodes for moment in episode}
    for (_, value), found in returns.items():
        assert np.mean(found) == pytest.approx(value, abs=0.1 if probe.name == "MaskedAction" else 1e-6)


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
def test_python_and_compiled_functions_give_the_same_bits(probe: Probe) -> None:
    environment = gym.make(probe.environment).unwrapped
    assert isinstance(environment, FunctionalEnvironment)
    found = try_functions(environment, CompiledExecutor(environment), steps=200, seconds=30.0)
    assert (found.problem, found.difference) == (None, None)


def test_the_page_describes_every_probe_in_order_with_what_to_suspect() -> None:
    page = (Path(__file__).parents[2] / "docs/extending.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", page, re.M)
    assert rows == [(probe.name, probe.suspect.replace("gae_lambda", "`gae_lambda`")) for probe in PROBES]
