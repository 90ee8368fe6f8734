"""Environments small enough to know by heart."""

import functools
import os
import time
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.vector import SyncVectorEnv

from actor_critic.errors import ConfigError


class Countdown(gym.Env[npt.NDArray[np.float32], int]):
    """Shows (steps taken, a number drawn at reset); ends after ``length`` steps; action 1 earns the number shown."""

    observation_space = gym.spaces.Box(-10.0, 1000.0, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, length: int = 3, truncates: bool = False) -> None:
        self._length = length
        self._truncates = truncates
        self._steps = 0
        self._number = 0.0

    def _observe(self) -> npt.NDArray[np.float32]:
        return np.array([self._steps, self._number], np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
        super().reset(seed=seed)
        self._steps = 0
        self._number = float(self.np_random.uniform())
        return self._observe(), {}

    def step(self, action: int) -> tuple[npt.NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        self._steps += 1
        ended = self._steps == self._length
        reward = self._number * int(action)
        return self._observe(), reward, ended and not self._truncates, ended and self._truncates, {}


class Steady(gym.Env[npt.NDArray[np.float32], int]):
    """One state, reward 1 a step. It ends after five steps: cut off (truncated), or for good (terminated)."""

    observation_space = gym.spaces.Box(0.0, 1.0, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, terminates: bool = True) -> None:
        self._terminates = terminates
        self._steps = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
        super().reset(seed=seed)
        self._steps = 0
        return np.ones(1, np.float32), {}

    def step(self, action: int) -> tuple[npt.NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        self._steps += 1
        ended = self._steps == 5
        return np.ones(1, np.float32), 1.0, ended and self._terminates, ended and not self._terminates, {}


class Faulty(Countdown):
    """A Countdown that goes wrong in its second step, in the way its argument says."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self._fault = fault

    def step(self, action: int) -> tuple[npt.NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = super().step(action)
        if self._steps == 2:
            match self._fault:
                case "raise":
                    raise RuntimeError("the simulator crashed")
                case "shape":
                    observation = observation[:1]
                case "dtype":
                    observation = observation.astype(np.complex64)
                case "nan observation":
                    observation = observation * np.float32(np.nan)
                case "inf reward":
                    reward = float("inf")
        if self._fault == "nan final" and terminated:
            observation = observation * np.float32(np.nan)
        return observation, reward, terminated, truncated, info


class Endless(Steady):
    """A Steady that never ends."""

    def __init__(self) -> None:
        super().__init__(terminates=False)

    def step(self, action: int) -> tuple[npt.NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        return np.ones(1, np.float32), 1.0, False, False, {}


class Guarded(gym.Env[npt.NDArray[np.float32], npt.NDArray[np.int64]]):
    """Two choices, of three and of two, of which a mask drawn anew each step allows some; a forbidden one raises."""

    observation_space = gym.spaces.Box(0.0, 1.0, (5,), np.float32)
    action_space = gym.spaces.MultiDiscrete([3, 2])

    def __init__(self) -> None:
        self._steps = 0
        self.mask = np.ones(5, np.int8)

    def _draw(self) -> npt.NDArray[np.float32]:
        self.mask = self.np_random.integers(2, size=5).astype(np.int8)
        self.mask[self.np_random.integers(3)] = 1
        self.mask[3 + self.np_random.integers(2)] = 1
        return self.mask.astype(np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
        super().reset(seed=seed)
        self._steps = 0
        return self._draw(), {"action_mask": self.mask}

    def step(self, action: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        if not (self.mask[action[0]] and self.mask[3 + action[1]]):
            raise ValueError(f"action {action} is forbidden by {self.mask}")
        self._steps += 1
        observation = self._draw()
        if self._steps == 6:
            self.mask[:] = 0  # nothing is allowed any more where nothing is left to do
        return observation, float(action[0] + action[1]), self._steps == 6, False, {"action_mask": self.mask}


class GuardedByMethod(Guarded):
    """A Guarded that keeps its mask behind ``action_masks()``."""

    def action_masks(self) -> npt.NDArray[np.bool_]:
        return self.mask.astype(bool)

    def reset(self, **kwargs: Any) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
        return super().reset(**kwargs)[0], {}

    def step(self, action: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        return *super().step(action)[:4], {}


class GuardedByObservation(gym.Wrapper[Any, Any, Any, Any]):
    """A Guarded that shows its mask as part of the observation."""

    def __init__(self) -> None:
        super().__init__(Guarded())
        self.observation_space = gym.spaces.Dict(
            {"observation": self.env.observation_space, "action_mask": gym.spaces.MultiBinary(5)}
        )

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(**kwargs)
        return {"observation": observation, "action_mask": info["action_mask"].copy()}, {}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        return (
            {"observation": observation, "action_mask": info["action_mask"].copy()},
            reward,
            terminated,
            truncated,
            {},
        )


class Nested(gym.Env[Any, Any]):
    """Shows a picture, a mode and two numbers; a step earns 1 for each of three choices that is the shown mode."""

    observation_space = gym.spaces.Dict(
        {
            "camera": gym.spaces.Box(0, 255, (6, 5, 3), np.uint8),
            "inside": gym.spaces.Tuple([gym.spaces.Box(-1.0, 1.0, (2,)), gym.spaces.Discrete(3, start=1)]),
        }
    )
    action_space = gym.spaces.Tuple(
        [gym.spaces.Discrete(3, start=-1), gym.spaces.Dict({"both": gym.spaces.MultiDiscrete([3, 3])})]
    )

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._steps = 0
        return self._observe(), {}

    def _observe(self) -> Any:
        self._mode = int(self.np_random.integers(3))
        camera = self.np_random.integers(0, 256, (6, 5, 3), np.uint8)
        return {"camera": camera, "inside": (self.np_random.uniform(-1, 1, 2).astype(np.float32), self._mode + 1)}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action)
        chosen = [int(action[0]) + 1, *action[1]["both"].tolist()]
        reward = float(chosen.count(self._mode))  # of the mode that was shown: what follows draws the next
        self._steps += 1
        return self._observe(), reward, False, self._steps == 7, {}


class Wordy(Nested):
    """A Nested with parts that no network reads, between those that a network reads."""

    def __init__(self, own: gym.Space[Any] | None = None) -> None:
        own = own or gym.Space()  # without __eq__: it differs from that of another instance
        picture, inside = Nested.observation_space["camera"], Nested.observation_space["inside"]
        assert isinstance(inside, gym.spaces.Tuple)
        between = gym.spaces.Tuple([own, inside[0], gym.spaces.Graph(inside[0], None), inside[1]])
        rest = {"mission": gym.spaces.Text(9), "past": gym.spaces.Dict({"moves": gym.spaces.Sequence(inside[1])})}
        self.observation_space = gym.spaces.Dict([("camera", picture), ("inside", between), *rest.items()])

    def _observe(self) -> Any:
        shown = super()._observe()
        numbers, mode = shown["inside"]
        words, past = "go" * self._mode, {"moves": (self._mode,) * self._steps}
        return {"camera": shown["camera"], "inside": (object(), numbers, None, mode), "mission": words, "past": past}


def _vector_of_wordy(num_envs: int) -> SyncVectorEnv:
    return SyncVectorEnv([functools.partial(Wordy, gym.Space())] * num_envs)


class OnlyInside(gym.ObservationWrapper[Any, Any, Any]):
    """Shows what is inside, and not the picture."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        assert isinstance(env.observation_space, gym.spaces.Dict)
        self.observation_space = gym.spaces.Dict({"inside": env.observation_space["inside"]})

    def observation(self, observation: Any) -> Any:
        return {"inside": observation["inside"]}


class Recall(gym.Env[npt.NDArray[np.float32], int]):
    """Shows a hint (+1 or -1) in the first of four observations; the last action earns 1 if it is the one hinted at."""

    observation_space = gym.spaces.Box(-1.0, 1.0, (2,))
    action_space = gym.spaces.Discrete(2)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
        super().reset(seed=seed)
        self._steps = 0
        self._hint = int(self.np_random.integers(2))
        return np.array([2.0 * self._hint - 1.0, 0.0], np.float32), {}

    def step(self, action: int) -> tuple[npt.NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        self._steps += 1
        ended = self._steps == 4
        reward = float(ended and int(action) == self._hint)
        return np.array([0.0, float(self._steps == 3)], np.float32), reward, ended, False, {}


class Lamp(gym.Env[npt.NDArray[np.uint8], int]):
    """Shows a lamp on a square field, on the left or on the right; naming its side earns 1. An episode has 8 lamps."""

    action_space = gym.spaces.Discrete(2)

    def __init__(self, side: int = 8) -> None:
        self._side = side
        self.observation_space = gym.spaces.Box(0, 1, (side, side, 2), np.uint8)

    def _show(self) -> npt.NDArray[np.uint8]:
        field = np.zeros((self._side, self._side, 2), np.uint8)
        self._place = self.np_random.integers(self._side, size=2)
        field[*self._place, 0] = 1
        field[self._side // 2 :, :, 1] = 1
        return field

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.uint8], dict[str, Any]]:
        super().reset(seed=seed)
        self._steps = 0
        return self._show(), {}

    def step(self, action: int) -> tuple[npt.NDArray[np.uint8], float, bool, bool, dict[str, Any]]:
        self._steps += 1
        reward = float(int(action) == int(self._place[1] >= self._side // 2))
        return self._show(), reward, self._steps == 8, False, {}


class Sampled(gym.Env[npt.NDArray[np.float32], int]):
    """Draws from its generator all the time; an episode ends, or is cut off, at random. Masks one action of three."""

    observation_space = gym.spaces.Box(-10.0, 10.0, (2,))
    action_space = gym.spaces.Discrete(3)

    def _show(self) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
        mask = np.ones(3, np.int8)
        mask[int(self.np_random.integers(3))] = 0
        return self.np_random.normal(size=2).astype(np.float32), {"action_mask": mask}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
        super().reset(seed=seed)
        observation, self._info = self._show()
        return observation, self._info

    def step(self, action: int) -> tuple[npt.NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        assert self._info["action_mask"][action]
        end = float(self.np_random.uniform())
        observation, self._info = self._show()
        return observation, float(action) + end, end < 0.2, 0.2 <= end < 0.3, self._info


class Crash(Countdown):
    """A Countdown whose process dies in the third step of its second episode, if its number is below 0.5."""

    _episodes = 0

    def reset(self, **kwargs: Any) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
        self._episodes += 1
        return super().reset(**kwargs)

    def step(self, action: int) -> tuple[npt.NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        if self._episodes == 2 and self._steps == 2 and self._number < 0.5:
            os._exit(7)
        return super().step(action)


class Enormous(gym.RewardWrapper[Any, Any]):
    """Pays what fits into 32 bits, and twice of which does not."""

    def reward(self, reward: Any) -> float:
        return 3e38


class Slow(Sampled):
    """Takes a thousand times as long for a step as a message between processes does, without using a core."""

    def step(self, action: int) -> Any:
        time.sleep(0.005)
        return super().step(action)


class Patient(Endless):
    """An Endless that takes its time."""

    def step(self, action: int) -> tuple[npt.NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        time.sleep(0.01)
        return super().step(action)


class Judged(Countdown):
    """A Countdown that pays what is no number in the episodes of some seeds, such as those of evaluations."""

    bad_seeds: ClassVar[set[int]] = set()

    def reset(self, *, seed: int | None = None, **kwargs: Any) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
        self._is_bad = seed in self.bad_seeds
        return super().reset(seed=seed, **kwargs)

    def step(self, action: int) -> tuple[npt.NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, -np.inf if self._is_bad else reward, terminated, truncated, info


class Shuffles(Countdown):
    """A Countdown that changes what it was made with."""

    def __init__(self, numbers: list[int]) -> None:
        super().__init__()
        self._numbers = numbers

    def reset(self, **kwargs: Any) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
        super().reset(**kwargs)
        self.np_random.shuffle(self._numbers)
        self._number = float(self._numbers[0])
        return self._observe(), {}


class Clings(Countdown):
    """A Countdown that cannot be closed."""

    def close(self) -> None:
        raise RuntimeError("the display is gone")


class OnlyFirst(gym.Wrapper[Any, Any, Any, Any]):
    """Allows nothing but the first action, by a method."""

    def action_masks(self) -> npt.NDArray[np.bool_]:
        return np.array([True, False])


class OnlyFirstSeen(gym.ObservationWrapper[Any, Any, Any]):
    """Allows nothing but the first action, in the observation."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        masks = gym.spaces.MultiBinary(2)
        self.observation_space = gym.spaces.Dict({"state": env.observation_space, "action_mask": masks})

    def observation(self, observation: Any) -> dict[str, Any]:
        return {"state": observation, "action_mask": np.array([1, 0], np.int8)}


class Uneven(Steady):
    """A step costs 1. Episodes are of one step or of twelve, as their seeds say."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
        found = super().reset(seed=seed, options=options)
        self.left = 1 if self.np_random.random() < 0.6 else 12
        return found

    def step(self, action: int) -> tuple[npt.NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        self.left -= 1
        return np.ones(1, np.float32), -1.0, self.left == 0, False, {}


class FaultyHereAndDeadThere:
    """Makes environments that go wrong in their second step: in this process by a fault, in another by ending it."""

    def __init__(self, fault: str = "raise") -> None:
        self._fault, self._home = fault, os.getpid()

    def __call__(self) -> Countdown:
        return Faulty(self._fault) if os.getpid() == self._home else Dying()


class Dying(Countdown):
    def step(self, action: int) -> Any:
        if self._steps == 1:
            os._exit(3)
        return super().step(action)


class OnlyOnce:
    """Makes one environment in a process, to ask for its spaces, and no other in the one where that was."""

    def __init__(self) -> None:
        self._home, self._made = os.getpid(), 0

    def __call__(self) -> Countdown:
        self._made += os.getpid() == self._home
        if self._made > 1:
            raise ConfigError("not twice in one process")
        return Countdown()


gym.register("Uneven-v0", Uneven)
gym.register("Judged-v0", Judged)
gym.register("Shuffles-v0", Shuffles)
gym.register("Clings-v0", Clings)
gym.register("Slow-v0", Slow)
gym.register("Sampled-v0", Sampled)
gym.register("Crash-v0", Crash)
gym.register("Countdown-v0", Countdown)
gym.register("Nested-v0", Nested)
gym.register("Wordy-v0", Wordy, vector_entry_point=_vector_of_wordy)
gym.register("Recall-v0", Recall)
gym.register("Lamp-v0", Lamp)
gym.register("Steady-v0", Steady)
gym.register("Faulty-v0", Faulty)
gym.register("Endless-v0", Endless)
gym.register("Guarded-v0", Guarded)
gym.register("GuardedByMethod-v0", GuardedByMethod)
gym.register("GuardedByObservation-v0", GuardedByObservation)
