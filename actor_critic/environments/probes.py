"""Probe problems: environments so small that the value of every observation and the best action are known exactly.

Each one needs a single ability of a learner, so a learner that fails shows which part is wrong. The first ones follow
Jones (2021), "Debugging reinforcement learning systems". ``actor_critic/probing`` has their values and actions.

Observations are one number, and episodes end within a few steps.
"""

from typing import Any

import gymnasium as gym
import numpy as np

from actor_critic.environments.functional import FunctionalEnvironment


class _Probe(FunctionalEnvironment):
    """A probe: one number is seen, 0 if nothing else is said, and there are two actions."""

    observation_space = gym.spaces.Box(0.0, 4.0, (1,), np.float32)
    action_space: gym.Space[Any] = gym.spaces.Discrete(2)
    state = np.dtype([("seen", np.int64), ("time", np.int64), ("kept", np.int64)])

    @staticmethod
    def initial(state: Any, random: Any, parameters: Any) -> None:
        """Show 0."""

    @staticmethod
    def observation(state: Any, out: Any, parameters: Any) -> None:
        """Show the number."""
        out[0] = state.seen


class _OneOrTwo(_Probe):
    """Shows 1 or 2, as often."""

    @staticmethod
    def initial(state: Any, random: Any, parameters: Any) -> None:
        """Draw the number."""
        state.seen = random.integers(1, 3)


class ConstantReward(_Probe):
    """One step, which pays 1."""

    @staticmethod
    def transition(state: Any, action: Any, random: Any, parameters: Any) -> tuple[float, bool]:
        """Pay 1."""
        return 1.0, True


class ObservedReward(_OneOrTwo):
    """One step, which pays the number that is shown."""

    @staticmethod
    def transition(state: Any, action: Any, random: Any, parameters: Any) -> tuple[float, bool]:
        """Pay the number."""
        return float(state.seen), True


class TwoSteps(_Probe):
    """Two steps, which show 0 and 1. The second one pays 1."""

    @staticmethod
    def transition(state: Any, action: Any, random: Any, parameters: Any) -> tuple[float, bool]:
        """Pay 1 at the end."""
        state.seen += 1
        is_end = state.seen == 2
        return (1.0 if is_end else 0.0), is_end


class NoEnd(_Probe):
    """Pays 1 for ever, but a time limit cuts the episode."""

    max_episode_steps = 5

    @staticmethod
    def transition(state: Any, action: Any, random: Any, parameters: Any) -> tuple[float, bool]:
        """Pay 1."""
        return 1.0, False


class GoodAction(_Probe):
    """One step. Action 1 pays 1."""

    @staticmethod
    def transition(state: Any, action: Any, random: Any, parameters: Any) -> tuple[float, bool]:
        """Pay for action 1."""
        return float(action), True


class MatchingAction(_OneOrTwo):
    """One step. It pays 1 for action 0 where 1 is shown, and for action 1 where 2 is shown."""

    @staticmethod
    def transition(state: Any, action: Any, random: Any, parameters: Any) -> tuple[float, bool]:
        """Pay for a match."""
        return (1.0 if action == state.seen - 1 else 0.0), True


class DelayedReward(_Probe):
    """Four steps, which show 0 to 3. The first action decides what the last step pays."""

    @staticmethod
    def transition(state: Any, action: Any, random: Any, parameters: Any) -> tuple[float, bool]:
        """Keep the first action; pay for it at the end."""
        if state.seen == 0:
            state.kept = action
        state.seen += 1
        is_end = state.seen == 4
        return (float(state.kept) if is_end else 0.0), is_end


class MaskedAction(_Probe):
    """One step with three actions, which pay 0, 1 and 2. In half of the episodes action 2 is masked. Always shows 0."""

    action_space = gym.spaces.Discrete(3)

    @staticmethod
    def initial(state: Any, random: Any, parameters: Any) -> None:
        """Draw whether action 2 is masked."""
        state.kept = random.integers(0, 2)

    @staticmethod
    def transition(state: Any, action: Any, random: Any, parameters: Any) -> tuple[float, bool]:
        """Pay the number of the action."""
        return float(action), True

    @staticmethod
    def action_mask(state: Any, mask: Any, parameters: Any) -> None:
        """Forbid action 2 where it is masked."""
        mask[2] = state.kept == 0


class Cue(_Probe):
    """Three steps, which show 1 or 2, then 0, then 0. The last one pays 1 if its action matches the first number."""

    @staticmethod
    def initial(state: Any, random: Any, parameters: Any) -> None:
        """Draw the number."""
        state.seen = random.integers(1, 3)
        state.kept = state.seen - 1

    @staticmethod
    def transition(state: Any, action: Any, random: Any, parameters: Any) -> tuple[float, bool]:
        """Hide the number; pay for a match at the end."""
        state.seen = 0
        state.time += 1
        is_end = state.time == 3
        return (1.0 if is_end and action == state.kept else 0.0), is_end


class FirstStep(_Probe):
    """Always shows 0. The first step pays 1 for action 1, and each later step takes 1 for it; each may be the last.

    Only a hidden state that is reset where an episode begins tells the first step from later ones.
    """

    @staticmethod
    def transition(state: Any, action: Any, random: Any, parameters: Any) -> tuple[float, bool]:
        """Pay for action 1, and end with a probability of one half."""
        reward = float(action) if state.time == 0 else -float(action)
        state.time += 1
        return reward, random.uniform() < 0.5


for _kind in (
    ConstantReward, ObservedReward, TwoSteps, NoEnd, GoodAction, MatchingAction, DelayedReward, MaskedAction,
    FirstStep, Cue,
):  # fmt: skip
    gym.register(
        f"probe/{_kind.__name__}-v0", f"{__name__}:{_kind.__name__}", max_episode_steps=_kind.max_episode_steps
    )
