"""Blackjack: the twin of Blackjack-v1."""

from typing import Any

import gymnasium as gym
import numpy as np

from actor_critic.environments.functional.twins.twin import Twin

HIT = 1


def drawn(random: Any) -> Any:
    """Return a card: 1 is an ace, and jack, queen and king count 10."""
    return min(random.integers(1, 14), 10)


def worth(total: Any, has_ace: Any) -> Any:
    """Return the sum of a hand, in which an ace counts 11 where it can."""
    return total + 10 if has_ace and total <= 11 else total


class Blackjack(Twin):
    """A game of cards against a dealer."""

    observation_space = gym.spaces.Tuple([gym.spaces.Discrete(size) for size in (32, 11, 2)])
    action_space = gym.spaces.Discrete(2)
    state = np.dtype(
        [
            ("total", np.int64),  # of the player, with aces as 1
            ("has_ace", np.bool_),
            ("is_natural", np.bool_),  # an ace and a ten, from the start
            ("shown", np.int64),  # the dealer's first card
            ("hidden", np.int64),
        ]
    )
    parameters: Any = {"natural": False, "sab": False}  # noqa: RUF012 - as in FunctionalEnvironment
    needed = ("player", "dealer")

    @staticmethod
    def initial(state: Any, random: Any, parameters: Any) -> None:
        """Deal two cards to each."""
        state.shown = drawn(random)
        state.hidden = drawn(random)
        first = drawn(random)
        second = drawn(random)
        state.total = first + second
        state.has_ace = first == 1 or second == 1
        state.is_natural = state.has_ace and state.total == 11

    @staticmethod
    def transition(state: Any, action: Any, random: Any, parameters: Any) -> tuple[float, bool]:
        """Draw a card, or let the dealer draw and compare."""
        if action == HIT:
            card = drawn(random)
            state.total += card
            state.has_ace = state.has_ace or card == 1
            state.is_natural = False
            return (-1.0, True) if state.total > 21 else (0.0, False)
        total = state.shown + state.hidden
        has_ace = state.shown == 1 or state.hidden == 1
        is_natural = has_ace and total == 11
        while worth(total, has_ace) < 17:
            card = drawn(random)
            total += card
            has_ace = has_ace or card == 1
        player = 0 if state.total > 21 else worth(state.total, state.has_ace)
        dealer = 0 if total > 21 else worth(total, has_ace)
        reward = 1.0 if player > dealer else (-1.0 if player < dealer else 0.0)
        if parameters.sab:
            if state.is_natural and not is_natural:
                reward = 1.0
        elif parameters.natural and state.is_natural and reward == 1.0:
            reward = 1.5
        return reward, True

    @staticmethod
    def observation(state: Any, out: Any, parameters: Any) -> None:
        """Write the player's sum, the dealer's shown card, and whether an ace counts 11."""
        out[0] = worth(state.total, state.has_ace)
        out[1] = state.shown
        out[2] = state.has_ace and state.total <= 11

    @staticmethod
    def spread(state: Any, random: Any, parameters: Any) -> None:
        """Write any state."""
        state.total = random.integers(4, 22)
        state.has_ace = random.uniform() < 0.5
        state.is_natural = state.has_ace and state.total == 11 and random.uniform() < 0.5
        state.shown = random.integers(1, 11)
        state.hidden = random.integers(1, 11)

    def put(self, state: Any, original: Any) -> None:
        """See :class:`Twin`."""
        total, has_ace, is_natural, shown, hidden = state.item()
        hand = [1, total - 1] if has_ace else [2, total - 2]
        original.player = [1, 5, 5] if hand == [1, 10] and not is_natural else hand
        original.dealer = [shown, hidden]

    def take(self, original: Any) -> tuple[Any, ...]:
        """See :class:`Twin`."""
        player, dealer = original.player, original.dealer
        return sum(player), 1 in player, sorted(player) == [1, 10], dealer[0], dealer[1]
