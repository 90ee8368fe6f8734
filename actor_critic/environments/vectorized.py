"""Single environments side by side, each episode with a seed of its own, reset in the step that ends it."""

import hashlib
import logging
from array import array
from collections.abc import Callable, Iterator
from typing import Any, Literal
from zlib import crc32

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from actor_critic.environments.masks import KEY, read_mask, warn_of_other_masks, with_late_masks
from actor_critic.environments.own_rewards import own_rewards_of
from actor_critic.environments.snapshots import INTERVAL, Snapshot, pack, saver_of, unpack
from actor_critic.environments.vector_environment import GymnasiumInterface, Observed, Step
from actor_critic.errors import (
    ActorCriticError,
    ConfigError,
    EnvironmentFault,
    NotMadeError,
    OneAtATimeError,
    ReplayFault,
    describe,
)
from actor_critic.process import Interrupted, boundary
from actor_critic.seeding import Purpose, episode_seed
from actor_critic.spaces import ActionSpec, ObservationSpec, as_array, parts_of, read_spaces

log = logging.getLogger("actor_critic")

Replay = Literal["reset", "fresh", "none"]

# What steps mostly return, told at a glance; anything else is looked at closely.
_REWARDS = frozenset((float, int, np.float64, np.float32, np.int64))
_FLAGS = frozenset((bool, np.bool_))


class SameStepVectorEnv(
    GymnasiumInterface, gym.vector.VectorEnv[npt.NDArray[Any], npt.NDArray[np.int64], npt.NDArray[Any]]
):
    """N environments stepped one after the other, in same-step autoreset.

    Episode k of environment i begins with ``reset(seed=episode_seed(seed, purpose, i, k))``: what an environment does
    is a function of the run's seed and the actions alone, and a running episode can be rebuilt anywhere from its number
    and its actions so far.
    """

    def __init__(
        self,
        make: Callable[[], gym.Env[Any, Any]],
        num_envs: int,
        *,
        purpose: Purpose = Purpose.EPISODES,
        quotas: npt.NDArray[np.int64] | None = None,
        first: int = 0,
        replay: Replay = "reset",
    ) -> None:
        """Make N environments.

        Args:
            make: Makes one.
            num_envs: N.
            purpose: Which range the episodes' seeds come from.
            quotas: [N], how many episodes each environment runs before it rests; None is no limit. A resting
                environment is not stepped: it repeats its last observation with reward 0.
            first: Number of the first one, where these are some among more.
            replay: How a running episode can be rebuilt: "reset" (a reset with its seed, and its actions), "fresh"
                (the same in an instance made for it, as every episode then is), or "none".

        Raises:
            ConfigError: One cannot be made, or their spaces are not supported.
            EnvironmentFault: Two of them have different spaces.
        """
        self._make = make
        self.num_envs = num_envs
        self._purpose = purpose
        self._quotas = quotas
        self._first = first
        self._replay = replay
        self._keeps_actions = replay != "none"
        self.envs = _make_all(make, num_envs, first)
        boundary.opened()
        try:
            self._set_up()
        except BaseException as error:
            self.close_extras()
            if isinstance(error, (ActorCriticError, Interrupted)):
                raise
            raise ConfigError(  # whatever somebody's property raises
                f"environment: {type(self.envs[0].unwrapped).__name__} cannot be used: {describe(error)}"
            ) from error

    def _set_up(self) -> None:
        num_envs = self.num_envs
        template = self.envs[0]
        self.name = environment_name(template)
        self._spec, self.actions = self._read_spaces()
        self._steps = [env.step for env in self.envs]
        self._is_used = [False] * num_envs  # whether an episode has begun in this instance
        self.spec = template.spec
        self.render_mode = template.render_mode
        self.metadata = {**template.metadata, "autoreset_mode": AutoresetMode.SAME_STEP}
        self.single_observation_space = template.observation_space
        self.single_action_space = template.action_space
        self.observation_space = batch_space(template.observation_space, num_envs)
        self.action_space = batch_space(template.action_space, num_envs)

        self._seed = 0
        self._observations = np.zeros((num_envs, *self._spec.shape), self._spec.dtype)
        self._final_observations = np.zeros_like(self._observations)
        self._parts = self._spec.views(self._observations)
        self._final_parts = self._spec.views(self._final_observations)
        is_numbers = not self._spec.is_nested and self._spec.parts[0].kind != "categories"
        self._usual = (self._spec.dtype, self._spec.shape) if is_numbers else None
        self._rewards = np.zeros(num_envs, np.float64)
        self._terminated = np.zeros(num_envs, np.bool_)
        self._truncated = np.zeros(num_envs, np.bool_)
        self._episodes = np.zeros(num_envs, np.int64)
        self._masks: npt.NDArray[np.bool_] | None = None
        self._masks_come_late: bool | None = None  # None until a reset has shown whether
        self._takes = [own_rewards_of(env) for env in self.envs]
        self._own_rewards = np.zeros(num_envs, np.float64) if self._takes[0] else None
        self._step = Step(
            self._observations, self._rewards, self._terminated, self._truncated, own_rewards=self._own_rewards
        )
        # Whether environments may sample from their spaces. Gymnasium's own never do, and a seed takes its time.
        self._samples = not is_gymnasiums_own(template)
        # Of the running episodes: lengths; choices, if they can be replayed; a checksum over all observations; the
        # sum of rewards.
        self._lengths = np.zeros(num_envs, np.int64)
        self._actions = [array(choice_typecode(self.actions)) for _ in range(num_envs)]
        self._savers = [saver_of(env) if self._keeps_actions else None for env in self.envs]
        # Of each running episode the snapshot that a replay begins at, with the actions since then, and the next one.
        self._bases: list[Snapshot | None] = [None] * num_envs
        self._newest: list[Snapshot | None] = [None] * num_envs
        self._checksums = [0] * num_envs
        # The bytes of each environment's observation, made once: NumPy takes its time to show an array's memory.
        self._rows = [row.data for row in self._observations.reshape(num_envs, -1).view(np.uint8)]
        self._totals = np.zeros(num_envs, np.float64)

    def _read_spaces(self) -> tuple[ObservationSpec, ActionSpec]:
        template = self.envs[0]
        for index, env in enumerate(self.envs):
            if env.observation_space != template.observation_space or env.action_space != template.action_space:
                raise EnvironmentFault(
                    f"environment {self._first + index} has other spaces than environment {self._first}; all must be "
                    f"alike"
                )
        return read_spaces(self.name, template.observation_space, template.action_space)

    def begin(self, seed: int, options: dict[str, Any] | None = None) -> Observed:
        """Begin episode 0 of every environment.

        Args:
            seed: The run's seed; the seeds of all episodes are derived from it.
            options: Passed to every environment.

        Raises:
            EnvironmentFault: An environment raised, or returned something else than its space promises.
        """
        self._seed = seed
        self._episodes[:] = 0
        return self._begin(options)

    def step_indices(self, action_indices: npt.NDArray[np.int64]) -> Step:
        """Step every environment with its action indices [N, G], each counted from 0.

        Raises:
            EnvironmentFault: An environment raised, or returned something else than its space promises.
        """
        if boundary.is_crossed():
            with boundary.inside():
                return self._step_all(action_indices)
        return self._step_all(action_indices)

    def _step_all(self, action_indices: npt.NDArray[np.int64]) -> Step:
        any_ended = False
        self._terminated.fill(False)
        self._truncated.fill(False)
        rewards, observations, usual = self._rewards, self._observations, self._usual
        rows, checksums = self._rows, self._checksums
        own, keeps_actions = self._own_rewards, self._keeps_actions
        self._lengths += 1
        taken, actions = action_indices.tolist(), self.actions.one_by_one(action_indices)
        for index, (step, action, past) in enumerate(zip(self._steps, actions, self._actions, strict=True)):
            if self._quotas is not None and self._episodes[index] >= self._quotas[index]:
                rewards[index] = 0.0
                if own is not None:
                    own[index] = 0.0
                continue
            if keeps_actions:
                past.extend(taken[index])
            try:
                returned = step(action)
            except Interrupted:
                raise
            except BaseException as error:  # whatever somebody's environment raises
                raise self._fault(index, f"raised {describe(error)}") from error
            is_usual = type(returned) is tuple and len(returned) == 5 and type(returned[1]) in _REWARDS
            is_usual = is_usual and type(returned[2]) in _FLAGS and type(returned[3]) in _FLAGS
            if is_usual and type(returned[4]) is dict:
                observation, reward, terminated, truncated, info = returned
            else:
                observation, reward, terminated, truncated, info = self._read(index, returned)
            try:
                rewards[index] = reward
            except OverflowError:
                raise self._fault(index, "returned from step a reward too large for a 64-bit number") from None
            if own is not None:
                own[index] = self._takes[index]()  # type: ignore[misc]
            if terminated or truncated:
                any_ended = True
                self._terminated[index], self._truncated[index] = terminated, truncated
                self._write(index, observation, self._final_parts)
                self._episodes[index] += 1
                if self._quotas is None or self._episodes[index] < self._quotas[index]:
                    observation = self._reset_one(index)
            elif KEY in info or self._masks is not None:
                self._read_mask(index, info)  # that of a final observation may allow nothing, and is never used
            # What environments mostly return is told at a glance; the rest is looked at part by part.
            if type(observation) is np.ndarray and (observation.dtype, observation.shape) == usual:
                observations[index] = observation
            else:
                self._write(index, observation, self._parts)
            checksums[index] = crc32(rows[index], checksums[index])
        self._totals += rewards
        if self._savers[0]:
            for index in np.flatnonzero(self._lengths % INTERVAL == 0).tolist():
                self._save_snapshot(index)
        if any_ended:
            self._totals[self._terminated | self._truncated] = 0.0
        shown = self._step
        shown.masks = self._masks
        shown.final_observations = self._final_observations if any_ended else None
        return shown

    @property
    def is_exact(self) -> bool:
        """Whether :meth:`load_state` rebuilds the running episodes, and does not begin new ones."""
        return self._replay != "none"

    def save_state(self) -> dict[str, npt.NDArray[Any]]:
        """The running episodes: their numbers, the actions taken in them so far, and proof of what these led to."""
        return {
            "seed": np.array([self._seed], np.int64),
            "episodes": self._episodes.copy(),
            "lengths": np.array([len(actions) for actions in self._actions], np.int64),
            "actions": np.concatenate([np.array(actions, actions.typecode) for actions in self._actions]),
            **self.proof(),
            **(pack(self._bases) if self._savers[0] else {}),
        }

    def proof(self) -> dict[str, npt.NDArray[Any]]:
        """What the running episodes have shown: a checksum [N] over the observations, and the sum [N] of rewards."""
        return {"checksums": np.array(self._checksums, np.int64), "totals": self._totals.copy()}

    def load_state(self, state: dict[str, npt.NDArray[Any]], replayed: Callable[[], None] = lambda: None) -> Observed:
        """Rebuild the running episodes by resetting with their seeds and replaying their actions.

        Args:
            state: What :meth:`save_state` gave.
            replayed: Called after each step.

        Raises:
            ReplayFault: An episode went another way than before.
            EnvironmentFault: An environment raised, or returned something else than its space promises.
        """
        self._seed = int(state["seed"][0])
        self._episodes[:] = state["episodes"]
        if not self.is_exact:
            return self.begin_anew()
        borders = np.cumsum(state["lengths"])[:-1]
        self._begin()
        snapshots = unpack(state, self.num_envs)
        for index, choices in enumerate(np.split(state["actions"].astype(np.int64), borders)):
            with boundary.inside():
                if (snapshot := snapshots[index]) is not None:
                    self._restore_one(index, snapshot)
                self._replay_one(index, choices, replayed)
            if (self._checksums[index], self._totals[index]) != (state["checksums"][index], state["totals"][index]):
                raise self._fault(
                    index, "shows other observations or rewards on replay than it did before", ReplayFault
                )
        return self.observed()

    def begin_anew(self) -> Observed:
        """Leave the running episodes and begin the next one of every environment."""
        self._episodes += 1
        return self._begin()

    def _begin(self, options: dict[str, Any] | None = None) -> Observed:
        self._totals[:] = 0.0
        with boundary.inside():
            for index in range(self.num_envs):
                self._write(index, self._reset_one(index, options), self._parts)
                self._checksums[index] = crc32(self._rows[index])
        return self.observed()

    def _save_snapshot(self, index: int) -> None:
        """Save the state of a running episode, and replay it from the snapshot before this one from now on."""
        saver, step = self._savers[index], int(self._lengths[index])
        if saver is None or step == 0:
            return
        base, newest = self._bases[index], self._newest[index]
        if newest is not None:
            del self._actions[index][: (newest.step - (base.step if base else 0)) * self.actions.num_groups]
            self._bases[index] = newest
        try:
            with boundary.inside():
                state = saver.save()
        except Interrupted:
            raise
        except BaseException as error:  # whatever somebody's environment raises
            raise self._fault(index, f"raised in clone_state {describe(error)}") from error
        self._newest[index] = Snapshot(step, state, self._checksums[index], float(self._totals[index]))

    def _restore_one(self, index: int, snapshot: Snapshot) -> None:
        """Bring an environment that was just reset to a snapshot of its episode."""
        saver = self._savers[index]
        if saver is None:
            raise self._fault(index, "does not save its state any more, as it did before", ReplayFault)
        try:
            saver.restore(snapshot.state)
        except Interrupted:
            raise
        except BaseException as error:  # whatever somebody's environment raises
            raise self._fault(index, f"raised in restore_state {describe(error)}", ReplayFault) from error
        self._bases[index] = snapshot
        self._lengths[index], self._checksums[index] = snapshot.step, snapshot.checksum
        self._totals[index] = snapshot.total

    def _replay_one(self, index: int, choices: npt.NDArray[np.int64], replayed: Callable[[], None]) -> None:
        rows = choices.reshape(-1, self.actions.num_groups)
        for row, action in zip(rows.tolist(), self.actions.one_by_one(rows), strict=True):
            self._actions[index].extend(row)
            self._lengths[index] += 1
            try:
                returned = self._steps[index](action)
            except Interrupted:
                raise
            except BaseException as error:  # whatever somebody's environment raises
                raise self._fault(index, f"raised on replay {describe(error)}", ReplayFault) from error
            observation, reward, terminated, truncated, info = self._read(index, returned)
            if terminated or truncated:
                raise self._fault(
                    index, "ended an episode on replay that was still running when it was saved", ReplayFault
                )
            self._read_mask(index, info)
            self._write(index, observation, self._parts)
            self._checksums[index] = crc32(self._rows[index], self._checksums[index])
            self._totals[index] += reward
            if self._lengths[index] % INTERVAL == 0:
                self._save_snapshot(index)
            replayed()
        if self._own_rewards is not None:
            self._takes[index]()  # type: ignore[misc]  # counted when the steps were taken first

    def _read(self, index: int, returned: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """What an unusual step returned, in the types that it should have had."""
        try:
            observation, reward, terminated, truncated, info = returned
            return observation, *_checked(reward, terminated, truncated, info), info
        except (TypeError, ValueError) as error:
            raise self._fault(index, _misfit(returned, 5, "step", error)) from None

    def close_extras(self, **kwargs: Any) -> None:
        """Close every environment."""
        for env in self.envs:
            close_environment(env)
        boundary.closed()

    def _write(self, index: int, observation: Any, parts: list[npt.NDArray[Any]]) -> None:
        try:
            with np.errstate(over="ignore"):  # a number too large for its type is told where all are looked at
                self._spec.write(observation, parts, index)
        except ValueError as error:
            raise self._fault(index, f"returned an observation {error}") from error

    def _reset_one(self, index: int, options: dict[str, Any] | None = None) -> Any:
        del self._actions[index][:]
        self._bases[index] = self._newest[index] = None
        self._lengths[index] = 0
        self._checksums[index] = 0
        seed = episode_seed(self._seed, self._purpose, self._first + index, int(self._episodes[index]))
        try:
            if self._replay == "fresh" and self._is_used[index]:
                close_environment(self.envs[index])
                self._take_over(index, self._make())
            self._is_used[index] = True
            if self._samples:
                seed_spaces(self.envs[index], seed)
            returned = self.envs[index].reset(seed=seed, options=options)
        except Interrupted:
            raise
        except BaseException as error:  # whatever somebody's environment raises
            raise self._fault(index, f"raised in reset {describe(error)}") from error
        try:
            observation, info = returned
            _check_info(info)
        except (TypeError, ValueError) as error:
            raise self._fault(index, _misfit(returned, 2, "reset", error)) from None
        if self._own_rewards is not None:
            self._takes[index]()  # type: ignore[misc]  # what wrappers earned while they reset
        if self._masks_come_late is not False:
            info = self._look_for_masks(index, observation, info)
        self._read_mask(index, info)
        return observation

    def _take_over(self, index: int, env: gym.Env[Any, Any]) -> None:
        self.envs[index] = env
        self._steps[index] = env.step
        self._takes[index] = own_rewards_of(env)
        self._savers[index] = saver_of(env) if self._keeps_actions else None

    def _look_for_masks(self, index: int, observation: Any, info: dict[str, Any]) -> dict[str, Any]:
        """The info of a reset, with a mask that the environment has only since then."""
        try:
            env, info = with_late_masks(self.envs[index], info)
        except Interrupted:
            raise
        except ConfigError as error:
            raise ConfigError(f"environment: {self.name}: {error}") from None
        except BaseException as error:  # whatever somebody's property raises
            raise self._fault(index, f"raised in action_masks {describe(error)}") from error
        if self._masks_come_late is None:
            self._masks_come_late = env is not self.envs[index]
            warn_of_other_masks(env, observation, info)
        self._take_over(index, env)
        return info

    def _read_mask(self, index: int, info: dict[str, Any]) -> None:
        try:
            mask = read_mask(info, self.actions)
        except (TypeError, ValueError) as error:
            raise self._fault(index, f"returned a mask that does not fit: {error}") from error
        if mask is None:
            if self._masks is not None:
                self._masks[index] = True
            return
        if self._masks is None:
            self._masks = np.ones((self.num_envs, self.actions.num_logits), np.bool_)
        if not self.actions.allows_an_action(mask[None])[0]:
            raise self._fault(index, "returned a mask that allows no action, though the episode goes on")
        self._masks[index] = mask

    def observed(self) -> Observed:
        """Return the observations that were returned last, and their masks."""
        return Observed(self._observations, self._masks)

    def _fault(self, index: int, what: str, kind: type[EnvironmentFault] = EnvironmentFault) -> EnvironmentFault:
        return kind(
            f"{self.name}, environment {self._first + index}, episode {self._episodes[index]}, "
            f"step {self._lengths[index]}: {what}"
        )


def close_environment(env: gym.Env[Any, Any] | gym.vector.VectorEnv[Any, Any, Any]) -> None:
    """Close an environment; one that refuses takes nothing with it."""
    try:
        with boundary.inside():
            env.close()
    except Interrupted:
        raise
    except BaseException as error:  # whatever somebody's environment raises
        log.warning("%s: close raised %s", environment_name(env), describe(error))


def environment_name(env: gym.Env[Any, Any] | gym.vector.VectorEnv[Any, Any, Any]) -> str:
    """How to call an environment in an error."""
    return env.spec.id if env.spec else type(env.unwrapped).__name__


def is_gymnasiums_own(env: gym.Env[Any, Any]) -> bool:
    """Whether an environment is one of Gymnasium's, with no wrapper but Gymnasium's and ours."""
    return all(type(layer).__module__.startswith(("gymnasium.", "actor_critic.")) for layer in _layers(env))


def seed_spaces(env: gym.Env[Any, Any], seed: int) -> None:
    """Seed what an environment, or a wrapper around it, samples from: its spaces have generators of their own.

    Their states are set, which takes a tenth of the time of ``space.seed``.
    """
    seen: set[int] = set()
    for layer in _layers(env):
        for space in (layer.action_space, layer.observation_space):
            for _, leaf in parts_of(space):
                if id(leaf) not in seen:
                    _set_state(leaf, seed, len(seen))
                    seen.add(id(leaf))


def _set_state(space: gym.Space[Any], seed: int, number: int) -> None:
    """Make a space's generator a function of a seed and of which of the spaces it is."""
    generator = space.np_random.bit_generator
    if not isinstance(generator, np.random.PCG64):
        space.seed(seed)
        return
    drawn = hashlib.blake2b(f"{seed} {number}".encode(), digest_size=32).digest()
    state, increment = (int.from_bytes(half, "little") for half in (drawn[:16], drawn[16:]))
    generator.state = {
        "bit_generator": "PCG64",
        "state": {"state": state, "inc": increment | 1},  # an increment is odd
        "has_uint32": 0,
        "uinteger": 0,
    }


def choice_typecode(actions: ActionSpec) -> str:
    """The type that choices are kept in, as ``array`` and NumPy name it: a byte where each fits into one."""
    return "B" if max(actions.sizes) <= 1 << 8 else "i"


def _layers(env: gym.Env[Any, Any]) -> Iterator[gym.Env[Any, Any]]:
    """An environment and all that it wraps, outermost first."""
    layer: Any = env
    while isinstance(layer, gym.Wrapper):
        yield layer
        layer = layer.env
    yield layer


def _make_all(make: Callable[[], gym.Env[Any, Any]], count: int, first: int) -> list[gym.Env[Any, Any]]:
    """Make some environments; where one cannot be made, close those that were.

    Raises:
        ConfigError: One cannot be made; where others could be, the message says what that may mean.
    """
    made: list[gym.Env[Any, Any]] = []
    try:
        while len(made) < count:
            made.append(make())
    except BaseException as error:
        for env in made:
            close_environment(env)
        if isinstance(error, NotMadeError) and made:
            raise OneAtATimeError(
                f"{error}; {len(made)} of {count} side by side could be made: if it can exist only once (a port, a "
                f"licence, a device), set num_envs to 1"
            ) from error
        raise
    return made


def _checked(reward: Any, terminated: Any, truncated: Any, info: Any) -> tuple[float, bool, bool]:
    """What an unusual step returned, in the types that it should have had.

    Raises:
        TypeError: It means something else.
    """
    if isinstance(reward, (str, bytes)) or as_array(reward).size != 1:
        raise TypeError(f"the reward {reward!r} ({type(reward).__name__}) where a number belongs")
    flags = []
    for name, flag in (("terminated", terminated), ("truncated", truncated)):
        found = as_array(flag)
        if found.shape != () or found.dtype.kind not in "biu" or found not in (0, 1):
            raise TypeError(f"{name} as {flag!r} ({type(flag).__name__}) where true or false belongs")
        flags.append(bool(found))
    _check_info(info)
    try:
        return float(as_array(reward).reshape(())), flags[0], flags[1]
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"the reward {reward!r} ({type(reward).__name__}) where a number belongs") from None


def _check_info(info: Any) -> None:
    if not isinstance(info, dict):
        raise TypeError(f"info as {info!r} ({type(info).__name__}) where a dict belongs")


def _misfit(returned: Any, count: int, what: str, error: Exception) -> str:
    """What is wrong with what an environment returned, in words."""
    values = {2: "an observation and an info", 5: "observation, reward, terminated, truncated and info"}[count]
    if not isinstance(returned, tuple):
        return f"returned a {type(returned).__name__} from {what}; expected {values}"
    if len(returned) != count:
        return f"returned {len(returned)} values from {what}; expected {count}: {values}"
    return f"returned from {what} {error}"
