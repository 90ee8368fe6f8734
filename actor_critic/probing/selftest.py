"""The selftest: train on each probe for a second or two, and compare what was learned with the exact solution."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from actor_critic.agent import ActorCriticAgent
from actor_critic.config import OUTSIDE_LEARNING, Config, EncoderLike, Layer, resolve
from actor_critic.environments import EnvironmentMaker, close_environment
from actor_critic.errors import ConfigError, EnvironmentFault, NumericalError
from actor_critic.evaluation import evaluate
from actor_critic.probing.table import PROBES, Moment, Probe
from actor_critic.rewards import compute_potentials, make_reward_rule
from actor_critic.training import Trainer

_SETTINGS = {
    "hidden_dim": 16,
    "anneal_lr": True,
    "ent_coef": 0.05,
    "anneal_ent": True,
    "num_envs": 16,
    "num_steps": 8,
    "evaluation_episodes": 20,
}
_OF_ALGORITHM = {
    "ppo": {"learning_rate": 0.01, "num_epochs": 40, "update_epochs": 4, "num_minibatches": 4},
    "a2c": {"learning_rate": 0.02, "num_epochs": 150},
}
_WITH_MEMORY = {"learning_rate": 0.02, "num_envs": 64, "num_steps": 6, "num_minibatches": 1}  # few, large steps

_TOLERANCE = 0.1  # of a value
_ENOUGH = 0.9  # the least share of the best action
_SAMPLES = 200  # actions sampled at a moment


@dataclass(frozen=True)
class Measurement:
    """A number that was found, and the exact one.

    Attributes:
        what: What was measured, such as "value at 1".
        found: What was found.
        expected: The exact number.
        tolerance: How far they may differ.
    """

    what: str
    found: float
    expected: float
    tolerance: float

    @property
    def is_right(self) -> bool:
        """Whether they differ by no more than the tolerance."""
        return abs(self.found - self.expected) <= self.tolerance


@dataclass(frozen=True)
class ProbeResult:
    """What training on a probe led to.

    Attributes:
        probe: The probe.
        measurements: What was found and expected.
        error: The error that ended the training, or "".
    """

    probe: Probe
    measurements: tuple[Measurement, ...]
    error: str = ""

    @property
    def passed(self) -> bool:
        """Whether the exact solution was found."""
        return not self.error and all(measured.is_right for measured in self.measurements)

    def describe(self) -> str:
        """Return what was found; if it is wrong, only the wrong numbers, with the exact ones and what is suspected."""
        if self.passed:
            return ", ".join(f"{m.what}: {m.found:.2f}" for m in self.measurements)
        wrong = [f"{m.what}: {m.found:.2f}, expected {m.expected:.2f}" for m in self.measurements if not m.is_right]
        return f"{self.error or '; '.join(wrong)}; suspect: {self.probe.suspect}"


def selftest(config: Config | None = None, *, encoder: EncoderLike | None = None) -> list[ProbeResult]:
    """Train on each probe for a second or two, and compare values and actions with the exact ones.

    The probes that need memory are trained with ``memory`` "gru" unless the config says "lstm". They are left out if
    it says "off", or ``backend`` "fused", which has no memory. The same config gives the same results.

    Args:
        config: Settings to test, such as algorithm, backend, memory, encoder or seed; those that it leaves open are
            the selftest's.
        encoder: Your module class that encodes observations of shape (1,).

    Raises:
        ConfigError: A setting is wrong, or belongs to the probes.
    """
    return list(probe_results(Layer("Config", config or Config()), encoder))


def probe_results(
    given: Layer, encoder: EncoderLike | None = None, probes: Sequence[Probe] = PROBES
) -> Iterator[ProbeResult]:
    """Yield the results of :func:`selftest` one by one, for settings with the name of their source."""
    _check(given)
    has_no_memory = given.config.memory == "off" or (given.config.memory is None and given.config.backend == "fused")
    for probe in probes:
        if not (probe.needs_memory and has_no_memory):
            yield _result(probe, given, encoder)


def _check(given: Layer) -> None:
    """Refuse settings that belong to the probes, and rewards for which their values are not known."""
    for name in OUTSIDE_LEARNING:
        if (value := getattr(given.config, name)) is not None:
            raise ConfigError(
                f"{name}: {value} ({given.source}) is not allowed in a selftest, which sets it itself; leave it out"
            )
    model, mode = given.config.reward_model, given.config.reward_mode
    if model not in (None, "environment") and mode != "shape":
        raise ConfigError(
            f"reward_mode: {mode or 'replace'} with reward_model={model} ({given.source}) is not allowed in a "
            f"selftest, which knows only values of the probes' own rewards; set reward_mode to shape, which keeps the "
            f"best actions, or leave reward_model out"
        )


def _result(probe: Probe, given: Layer, encoder: EncoderLike | None) -> ProbeResult:
    """Train on a probe, and measure what was learned."""
    own: dict[str, Any] = {**_SETTINGS, **_OF_ALGORITHM[given.config.algorithm or "ppo"]}
    if probe.needs_memory or given.config.memory in ("gru", "lstm"):
        own |= {**_WITH_MEMORY, "memory": "gru", "num_epochs": own["num_epochs"] * 3 // 4}
    layer = Layer("selftest", Config(environment=probe.environment, gamma=probe.gamma, **own))
    trainer = Trainer(resolve(given, layer).settings, encoder=encoder)
    try:
        for _ in trainer:
            pass
        return ProbeResult(probe, tuple(_measure(trainer.agent, probe)))
    except (NumericalError, EnvironmentFault) as error:
        return ProbeResult(probe, (), str(error))
    finally:
        trainer.close()


def _measure(agent: ActorCriticAgent, probe: Probe) -> Iterator[Measurement]:
    """Compare an agent with the solution: what it expects, what it does, and what it earns."""
    for episode in probe.episodes:
        states, critic = agent.initial_state(_SAMPLES), None
        for step, moment in enumerate(episode):
            seen = episode[: step + 1] if probe.needs_memory else (moment,)
            where = " at " + ", ".join(f"{each.seen:g}" for each in seen)
            if moment.mask is not None:
                where += f" with mask {''.join(str(int(allowed)) for allowed in moment.mask)}"
            observations = np.full((_SAMPLES, 1), moment.seen, np.float32)
            value = agent.value(observations[0], state=critic)
            if agent.has_memory:
                value, critic = value
            if moment.value is not None:
                expected = moment.value - _potential(agent, observations[:1])
                yield Measurement(f"value{where}", value, expected, _TOLERANCE)
            actions, states = _act(agent, observations, moment, states)
            if moment.action is not None:
                share = float(np.mean(actions == moment.action))
                yield Measurement(f"share of action {moment.action}{where}", share, 1.0, 1 - _ENOUGH)
            if moment.mask is not None:
                share = 1 - float(np.mean(np.array(moment.mask)[actions]))
                yield Measurement(f"share of masked actions{where}", share, 0.0, 0.0)
    if probe.best_return is not None:
        found = evaluate(agent).modes["greedy"].returns.mean
        yield Measurement("return in evaluation", found, probe.best_return, 1e-6)


def _act(
    agent: ActorCriticAgent, observations: npt.NDArray[np.float32], moment: Moment, states: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Sample actions for a batch of equal observations."""
    masks = None if moment.mask is None else np.tile(moment.mask, (len(observations), 1))
    if agent.has_memory:
        actions, states = agent.act(observations, state=states, action_mask=masks)
        return actions, states
    return agent.act(observations, action_mask=masks), states


def _potential(agent: ActorCriticAgent, observations: npt.NDArray[np.float32]) -> float:
    """Return the potential Φ of one observation [1, 1]; shaping by Φ lowers every value by it. 0 without a model."""
    env = EnvironmentMaker(agent.settings)()
    rule = make_reward_rule(agent.settings, env.observation_space, env.action_space)
    close_environment(env)
    return 0.0 if rule is None else float(compute_potentials(rule.model, observations, 1)[0])
