"""What is known about each probe: its exact values, its best actions, and what is wrong where a learner misses them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Moment:
    """One observation in an episode of the best policy.

    Attributes:
        seen: The observation.
        value: Its exact value; None if it depends on what was seen before.
        action: The best action; None if all are equally good.
        mask: Which actions are allowed; None if all are.
    """

    seen: float
    value: float | None = None
    action: int | None = None
    mask: tuple[bool, ...] | None = None


@dataclass(frozen=True)
class Probe:
    """A probe and its exact solution.

    Attributes:
        name: Its name; the environment is ``probe/Name-v0``.
        episodes: The episodes that the best policy sees.
        suspect: What is probably wrong if a learner does not find the solution.
        gamma: The discount of the values.
        best_return: The return of every episode of the best policy, without discount; None if episodes differ.
        needs_memory: Whether only a policy with memory can solve it.
    """

    name: str
    episodes: tuple[tuple[Moment, ...], ...]
    suspect: str
    gamma: float = 0.5
    best_return: float | None = 1.0
    needs_memory: bool = False

    @property
    def environment(self) -> str:
        """The id of the environment."""
        return f"probe/{self.name}-v0"


_ONE_OR_TWO = ((1.0, 0), (2.0, 1))  # what is shown, and the action that matches it

PROBES = (
    Probe(
        "ConstantReward",
        ((Moment(0.0, value=1.0),),),
        "the value loss, or the value network",
    ),
    Probe(
        "ObservedReward",
        ((Moment(1.0, value=1.0),), (Moment(2.0, value=2.0),)),
        "the value function does not see the observation as it was trained on, or rewards belong to other observations",
        best_return=None,
    ),
    Probe(
        "TwoSteps",
        ((Moment(0.0, value=0.5), Moment(1.0, value=1.0)),),
        "discounting, or the value that follows a step",
    ),
    Probe(
        "NoEnd",
        ((Moment(0.0, value=2.0),),),
        "truncation is treated as termination",
        best_return=5.0,
    ),
    Probe(
        "GoodAction",
        ((Moment(0.0, value=1.0, action=1),),),
        "advantages have the wrong sign, or do not reach the policy",
    ),
    Probe(
        "MatchingAction",
        tuple((Moment(seen, value=1.0, action=action),) for seen, action in _ONE_OR_TWO),
        "the policy does not see the observation as it was trained on, or actions belong to other observations",
    ),
    Probe(
        "DelayedReward",
        ((Moment(0.0, 0.512, action=1), Moment(1.0, 0.64), Moment(2.0, 0.8), Moment(3.0, 1.0)),),
        "advantages do not carry a reward back over several steps, or gae_lambda is too small for that",
        gamma=0.8,
    ),
    Probe(
        "MaskedAction",
        (
            (Moment(0.0, value=1.5, action=1, mask=(True, True, False)),),
            (Moment(0.0, value=1.5, action=2, mask=(True, True, True)),),
        ),
        "masks are ignored, or belong to other observations",
        best_return=None,
    ),
    Probe(
        "FirstStep",
        ((Moment(0.0, value=1.0, action=1), Moment(0.0, action=0), Moment(0.0, action=0)),),
        "the hidden state is not reset where an episode begins, or not carried from step to step",
        needs_memory=True,
    ),
    Probe(
        "Cue",
        tuple((Moment(seen, value=0.64), Moment(0.0), Moment(0.0, action=action)) for seen, action in _ONE_OR_TWO),
        "the hidden state is not carried over several steps",
        gamma=0.8,
        needs_memory=True,
    ),
)
"""The probes, from the simplest on: each needs what the earlier ones need."""
