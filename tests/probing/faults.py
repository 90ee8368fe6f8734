"""Faults to plant into the real code: each is a mistake that implementations of actor-critic methods are known for."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from actor_critic.agent import ActorCriticAgent
from actor_critic.backends import base, eager
from actor_critic.backends.fused import backend as fused
from actor_critic.networks import FeatureMaker
from actor_critic.ops import losses
from actor_critic.rollouts import Actor, Collector, Rollout

Plant = Callable[[pytest.MonkeyPatch], None]


def wrong_sign(patch: pytest.MonkeyPatch) -> None:
    """The policy is pushed away from good actions."""
    for name in ("clipped_policy_loss", "policy_gradient_loss"):
        right = getattr(losses, name)
        patch.setattr(losses, name, lambda *arguments, right=right: -right(*arguments))


def wrong_sign_of_advantages(patch: pytest.MonkeyPatch) -> None:
    """The same, for every backend."""
    right = base.batch_of

    def batch_of(*arguments: Any) -> Any:
        made = right(*arguments)
        return replace(made, advantages=-made.advantages)

    patch.setattr(base, "batch_of", batch_of)
    patch.setattr(fused.FusedBackend, "learn", base.Backend.learn)  # a compiled function cannot be changed


def _with_rollout(patch: pytest.MonkeyPatch, changed: Callable[[Rollout], dict[str, Any]]) -> None:
    """Change every rollout, step by step or compiled."""
    right = Collector._rollout

    def rollout(self: Collector, *arguments: Any) -> Rollout:
        made = right(self, *arguments)
        return replace(made, **changed(made))

    patch.setattr(Collector, "_rollout", rollout)


def truncation_as_termination(patch: pytest.MonkeyPatch) -> None:
    _with_rollout(patch, lambda r: {"terminated": r.ended.copy(), "truncated": np.zeros_like(r.ended)})


def termination_as_truncation(patch: pytest.MonkeyPatch) -> None:
    """A terminated step bootstraps, too."""
    _with_rollout(patch, lambda r: {"terminated": np.zeros_like(r.ended), "truncated": r.ended.copy()})


def rewards_of_other_environments(patch: pytest.MonkeyPatch) -> None:
    _with_rollout(patch, lambda r: {"rewards": np.roll(r.rewards, 1, axis=1)})


def actions_of_other_environments(patch: pytest.MonkeyPatch) -> None:
    _with_rollout(patch, lambda r: {"actions": np.roll(r.actions, 1, axis=1)})


def no_discount(patch: pytest.MonkeyPatch) -> None:
    for kind in (eager.EagerBackend, fused.FusedBackend):

        def learn(self: Any, *arguments: Any, right: Any = kind.learn) -> Any:
            *others, _gamma, decay = arguments
            return right(self, *others, 1.0, decay)

        patch.setattr(kind, "learn", learn)


def masks_ignored_in_acting(patch: pytest.MonkeyPatch) -> None:
    right = Actor.__call__
    patch.setattr(
        Actor, "__call__", lambda self, seen, uniforms, mask, states: right(self, seen, uniforms, None, states)
    )


def masks_ignored_in_learning(patch: pytest.MonkeyPatch) -> None:
    """Acting is right, and the loss normalizes over all actions."""
    _with_rollout(patch, lambda r: {"masks": None})


def masks_ignored_by_the_agent(patch: pytest.MonkeyPatch) -> None:
    """Training is right, and `act` and evaluations are not."""
    right = ActorCriticAgent.choose
    patch.setattr(
        ActorCriticAgent, "choose", lambda self, seen, uniforms, mask, states: right(self, seen, uniforms, None, states)
    )


def _raw(features: FeatureMaker) -> FeatureMaker:
    return FeatureMaker(features._observations, features._device, None)


def observations_not_normalized_in_acting(patch: pytest.MonkeyPatch) -> None:
    """The networks learn from normalized observations; acting shows them raw ones."""

    def choose(self: Actor, observations: Any, uniforms: Any, mask: Any, states: Any) -> Any:
        return self.policy.act(_raw(self.features)(observations), uniforms, mask, states)

    patch.setattr(Actor, "__call__", choose)


def observations_not_normalized_in_evaluation(patch: pytest.MonkeyPatch) -> None:
    """Training is right, and `act` and evaluations show the policy raw observations."""

    def choose(self: ActorCriticAgent, observations: Any, uniforms: Any, mask: Any, states: Any) -> Any:
        return Actor(_raw(self.actor.features), self.actor.policy)(observations, uniforms, mask, states)

    patch.setattr(ActorCriticAgent, "choose", choose)


def observations_not_normalized_in_values(patch: pytest.MonkeyPatch) -> None:
    right = ActorCriticAgent.value

    def value(self: ActorCriticAgent, observation: Any, *, state: Any = None) -> Any:
        features, self._features = self._features, _raw(self._features)
        try:
            return right(self, observation, state=state)
        finally:
            self._features = features

    patch.setattr(ActorCriticAgent, "value", value)


class _Keeping:
    """A policy that continues from the states that it returned last, whatever states it is given."""

    def __init__(self, choose: Callable[..., Any]) -> None:
        self._choose = choose
        self._states: Any = None

    def __call__(self, seen: Any, uniforms: Any, mask: Any, states: Any) -> Any:
        kept = states if self._states is None or len(self._states) != len(states) else self._states
        actions, after = self._choose(seen, uniforms, mask, kept)
        self._states = after.copy()
        return actions, after


def state_not_reset_in_training(patch: pytest.MonkeyPatch) -> None:
    """Neither the policy that acts nor the networks that learn begin an episode with a state of 0."""
    right = Collector.collect
    kept: dict[int, _Keeping] = {}

    def collect(self: Collector, policy: Any, noise: Any) -> Rollout:
        return right(self, kept.setdefault(id(self), _Keeping(policy)), noise)

    patch.setattr(Collector, "collect", collect)
    patch.setattr(Rollout, "resets_after", property(lambda self: np.zeros_like(self.ended)))


def state_not_reset_in_learning(patch: pytest.MonkeyPatch) -> None:
    """Acting is right, and the networks that learn carry the state into the next episode."""
    patch.setattr(Rollout, "starts", property(lambda self: np.zeros_like(self.ended)))


def state_not_reset_in_evaluation(patch: pytest.MonkeyPatch) -> None:
    right = ActorCriticAgent.choose
    kept: dict[tuple[int, int], _Keeping] = {}

    def choose(self: ActorCriticAgent, seen: Any, uniforms: Any, mask: Any, states: Any) -> Any:
        one = _Keeping(lambda *arguments: right(self, *arguments))
        return kept.setdefault((id(self), len(seen)), one)(seen, uniforms, mask, states)

    patch.setattr(ActorCriticAgent, "choose", choose)


def state_not_carried(patch: pytest.MonkeyPatch) -> None:
    """Every step begins with a state of 0."""
    right = Actor.__call__
    patch.setattr(
        Actor,
        "__call__",
        lambda self, seen, uniforms, mask, states: right(self, seen, uniforms, mask, np.zeros_like(states)),
    )


@dataclass(frozen=True)
class Fault:
    """A fault, and the probe that must find it.

    Attributes:
        plant: Plants it; None if a setting of no sense is the fault.
        probe: The first probe that must fail.
        config: Settings under which it matters.
    """

    plant: Plant | None
    probe: str
    config: dict[str, Any] = field(default_factory=dict)


_EAGER = {"backend": "eager"}
_SYNC = {"vectorization": "sync"}
_NORMALIZED = {"normalize_observations": True}

FAULTS = {
    "the value loss is left out": Fault(None, "ConstantReward", {"vf_coef": 0.0}),
    "rewards of other environments": Fault(rewards_of_other_environments, "ObservedReward"),
    "values of raw observations": Fault(observations_not_normalized_in_values, "ObservedReward", _NORMALIZED),
    "no discount": Fault(no_discount, "TwoSteps"),
    "no discount, eager": Fault(no_discount, "TwoSteps", _EAGER),
    "termination is truncation": Fault(termination_as_truncation, "ConstantReward"),
    "truncation is termination": Fault(truncation_as_termination, "NoEnd"),
    "truncation is termination, eager": Fault(truncation_as_termination, "NoEnd", _EAGER),
    "wrong sign of the policy loss, ppo": Fault(wrong_sign, "GoodAction", _EAGER),
    "wrong sign of the policy loss, a2c": Fault(wrong_sign, "GoodAction", _EAGER | {"algorithm": "a2c"}),
    "wrong sign of the advantages, ppo": Fault(wrong_sign_of_advantages, "GoodAction"),
    "wrong sign of the advantages, a2c": Fault(wrong_sign_of_advantages, "GoodAction", {"algorithm": "a2c"}),
    "actions of other environments": Fault(actions_of_other_environments, "GoodAction"),
    "raw observations in acting": Fault(observations_not_normalized_in_acting, "MatchingAction", _NORMALIZED | _SYNC),
    "raw observations in evaluation": Fault(observations_not_normalized_in_evaluation, "MatchingAction", _NORMALIZED),
    "no trace": Fault(None, "DelayedReward", {"gae_lambda": 0.0}),
    "masks are ignored": Fault(masks_ignored_in_acting, "MaskedAction", _SYNC),
    "masks are ignored, eager": Fault(masks_ignored_in_acting, "MaskedAction", _EAGER),
    "masks are ignored in learning": Fault(masks_ignored_in_learning, "MaskedAction"),
    "masks are ignored in learning, a2c": Fault(masks_ignored_in_learning, "MaskedAction", {"algorithm": "a2c"}),
    "masks are ignored after training": Fault(masks_ignored_by_the_agent, "MaskedAction"),
    "the state is not carried": Fault(state_not_carried, "Cue"),
    "the state is not reset": Fault(state_not_reset_in_training, "FirstStep"),
    "the state is not reset in learning": Fault(state_not_reset_in_learning, "FirstStep"),
    "the state is not reset in evaluation": Fault(state_not_reset_in_evaluation, "FirstStep"),
}
