"""Odd environments, made from documents: "tests.odd.environment:Odd-v0" with {"odd": document}."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np

from tests.odd.answers import FLAGS, MASK_FORMS, RETURNS, REWARDS
from tests.odd.faults import BROKEN, EXCEPTIONS, exceptions
from tests.odd.habits import HABITS
from tests.odd.problems import Odd, choices_of, leaves_of, sizes_of, space_of, value_of
from tests.odd.unsupported import SPACES


@dataclass
class Record:
    """A record of the calls to the environments of this process.

    Attributes:
        calls: Number of calls of each kind.
        open_now: Number of open instances.
        forbidden: Actions that a mask forbids, or outside the space.
        fired: Whether the fault happened.
    """

    calls: Counter[str] = field(default_factory=Counter)
    open_now: int = 0
    forbidden: list[str] = field(default_factory=list)
    fired: bool = False

    def clear(self) -> None:
        self.__init__()  # type: ignore[misc]


RECORD = Record()


class OddEnvironment(gym.Env[Any, Any]):
    """The environment that a document describes; its masks, if any, are in ``info``."""

    def __init__(self, odd: Odd) -> None:
        self._odd = odd
        self._is_open = False
        self._parts = list(leaves_of(odd.observation))
        self._sizes = sizes_of(odd.action)
        self._firsts = np.cumsum([0, *self._sizes[:-1]])  # index in a mask at which each group begins
        self._return = RETURNS[odd.returns]()
        if odd.excludes_another and RECORD.open_now:
            raise RuntimeError("the licence is in use")
        self._habits = [(HABITS[what](), when) for what, when in odd.habits]
        self._begin_call("constructor")
        if odd.unsupported != "spaces that are there only after a reset":
            self._make_spaces()
        self._is_open = True
        RECORD.open_now += 1
        self._steps, self._code, self.earned = 0, 0, 0.0
        self.mask = np.ones(sum(self._sizes), np.bool_)

    def _make_spaces(self) -> None:
        odd = self._odd
        observation, action = space_of(odd.observation), space_of(odd.action)
        if odd.mask == 'observation["action_mask"]':
            _, dtype = MASK_FORMS[odd.mask_form]
            masks = gym.spaces.Box(0, 1, (sum(self._sizes),), dtype)
            inner = observation.spaces if isinstance(observation, gym.spaces.Dict) else {"observation": observation}
            observation = gym.spaces.Dict({**inner, "action_mask": masks})
        if odd.unsupported in SPACES:
            which, make = SPACES[odd.unsupported]
            observation, action = (make(), action) if which == "observation" else (observation, make())
        self.observation_space, self.action_space = observation, action

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self._begin_call("reset")
        if "observation_space" not in self.__dict__:
            self._make_spaces()
        self._steps = 0
        observation, info = self._observe()
        return self._break((observation, info), "reset")

    def step(self, action: Any) -> Any:
        self._begin_call("step")
        odd = self._odd
        reward = self._reward_for(action)
        self._steps += 1
        is_last = self._steps == odd.length
        observation, info = self._observe(is_final=is_last)
        terminated = is_last and odd.ending == "terminated"
        truncated = is_last and odd.ending == "truncated"
        flag = FLAGS[odd.flags]
        return self._break((observation, REWARDS[odd.reward](reward), flag(terminated), flag(truncated), info), "step")

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            RECORD.open_now -= 1
            for habit, _ in self._habits:
                habit.end()
            self._begin_call("close")

    def best_choices(self) -> list[int]:
        """Return the best choices in the current step."""
        return [(self._code + group) % size for group, size in enumerate(self._sizes)]

    def ask_mask(self) -> Any:
        """Return the mask in the form of the document."""
        self._begin_call("mask")
        give, _ = MASK_FORMS[self._odd.mask_form]
        return give(self.mask, self._sizes, self._odd.action)

    def _begin_call(self, call: str) -> None:
        RECORD.calls[call] += 1
        for habit, when in self._habits:
            if when == call:
                habit.act()
        odd = self._odd
        if odd.fault in EXCEPTIONS and odd.fault_call == call and RECORD.calls[call] >= odd.fault_after:
            RECORD.fired = True
            raise exceptions()[odd.fault]

    def _break(self, returned: tuple[Any, ...], call: str) -> Any:
        odd = self._odd
        is_due = odd.fault in BROKEN and odd.fault_call == call and RECORD.calls[call] >= odd.fault_after
        if not is_due:
            return returned
        RECORD.fired = True
        assert odd.fault is not None
        return BROKEN[odd.fault].change(list(returned))

    def _reward_for(self, action: Any) -> float:
        if not self.action_space.contains(action):
            RECORD.forbidden.append(f"{action!r} is not in {self.action_space}")
            raise AssertionError(RECORD.forbidden[-1])
        choices = choices_of(self._odd.action, action)
        if self._odd.mask is not None and not self.mask[self._firsts + choices].all():
            RECORD.forbidden.append(f"{action!r} is forbidden by {self.mask}")
            raise AssertionError(RECORD.forbidden[-1])
        fitting = sum(one == best for one, best in zip(choices, self.best_choices(), strict=True))
        self.earned = fitting / len(choices)
        return self.earned

    def _observe(self, is_final: bool = False) -> tuple[Any, dict[str, Any]]:
        odd = self._odd
        self._code = int(self.np_random.integers(odd.codes))
        self.mask = self._draw_mask()
        values = [
            part.show(self._code if place == odd.signal else None, self.np_random)
            for place, part in enumerate(self._parts)
        ]
        self.shown = values[odd.signal]
        observation = value_of(odd.observation, iter(self._return(values)))
        info: dict[str, Any] = {}
        match odd.mask:
            case 'info["action_mask"]':
                info["action_mask"] = self.ask_mask()
            case 'info["action_mask"], but only where something is forbidden' if not self.mask.all():
                info["action_mask"] = self.ask_mask()
            case 'info["action_mask"], and of nothing after the last step':
                info["action_mask"] = np.zeros_like(self.mask) if is_final else self.ask_mask()
            case 'observation["action_mask"]':
                shown = observation if "Dict" in odd.observation else {"observation": observation}
                observation = {**shown, "action_mask": self.ask_mask()}
        return observation, info

    def _draw_mask(self) -> Any:
        """Draw the allowed choices; the best ones are always allowed."""
        if self._odd.mask is None:
            return self.mask
        mask = self.np_random.random(sum(self._sizes)) < 0.5
        mask[self._firsts + self.best_choices()] = True
        return mask


class _Method(OddEnvironment):
    def action_masks(self) -> Any:
        return self.ask_mask()


class _Property(OddEnvironment):
    @property
    def action_masks(self) -> Any:
        return self.ask_mask()


class _LateProperty(OddEnvironment):
    @property
    def action_masks(self) -> Any:
        if not RECORD.calls["reset"] or "shown" not in self.__dict__:
            raise AttributeError("there is no board before the first reset")
        return self.ask_mask()


class _Attribute(OddEnvironment):
    action_masks: Any = None

    def _observe(self, is_final: bool = False) -> tuple[Any, dict[str, Any]]:
        returned = super()._observe(is_final)
        self.action_masks = self.ask_mask()
        return returned


class _SpaceProperty(OddEnvironment):
    """An environment whose observation space is a property that fails."""

    @property
    def observation_space(self) -> Any:  # type: ignore[override]
        self._begin_call("space")
        return self.__dict__["observation_space"]

    @observation_space.setter
    def observation_space(self, space: Any) -> None:
        self.__dict__["observation_space"] = space


class _WithMaskMethod(gym.Wrapper[Any, Any, Any, Any]):
    def action_masks(self) -> Any:
        return self.unwrapped.ask_mask()  # type: ignore[attr-defined]


class Passes(gym.Wrapper[Any, Any, Any, Any]):
    """Changes nothing."""


class Doubles(gym.RewardWrapper[Any, Any]):
    """Changes the environment's rewards."""

    def reward(self, reward: Any) -> float:
        return 2.0 * float(np.ravel(reward)[0]) - 7.0


class Limits(gym.wrappers.TimeLimit):
    """Ends an episode after three steps."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env, 3)


class Stacks(gym.wrappers.FrameStackObservation):
    """Stacks two observations."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env, 2)


UNREADABLE = "a property action_masks that raises before the first reset"
"""The only place of masks that is refused: such a property looks like a missing one."""

MASKS: dict[str | None, Callable[[Odd], gym.Env[Any, Any]]] = {
    None: OddEnvironment,
    'info["action_mask"]': OddEnvironment,
    'info["action_mask"], but only where something is forbidden': OddEnvironment,
    'info["action_mask"], and of nothing after the last step': OddEnvironment,
    'observation["action_mask"]': OddEnvironment,
    "a method action_masks()": _Method,
    "a method action_masks() of a wrapper": lambda odd: _WithMaskMethod(OddEnvironment(odd)),
    "a property action_masks": _Property,
    "an attribute action_masks, set in a reset": _Attribute,
    UNREADABLE: _LateProperty,
}
"""Places of masks, each with a function that makes the environment."""

WRAPPERS: dict[str, str] = {
    "one that changes nothing": "tests.odd.environment:Passes",
    "one that changes rewards": "tests.odd.environment:Doubles",
    "one that ends episodes": "tests.odd.environment:Limits",
    "one that stacks observations": "tests.odd.environment:Stacks",
    "RecordEpisodeStatistics": "gymnasium.wrappers:RecordEpisodeStatistics",
    "NormalizeReward": "gymnasium.wrappers:NormalizeReward",
    "PassiveEnvChecker": "gymnasium.wrappers:PassiveEnvChecker",
}
"""Wrappers, each with its value in the setting ``wrappers``."""

ENDINGS = ["terminated", "truncated", "max_episode_steps of the settings", "max_episode_steps of its registration"]
"""What ends an episode."""


def make(odd: dict[str, Any]) -> gym.Env[Any, Any]:
    """Make the environment that a document describes."""
    described = Odd.from_document(odd)
    if described.fault_call == "space":
        return _SpaceProperty(described)
    return MASKS[described.mask](described)


gym.register("Odd-v0", make)
gym.register("OddLimited-v0", make, max_episode_steps=4)
