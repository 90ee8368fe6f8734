"""One whole episode of a policy, step by step, with its pictures."""

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from actor_critic.agent import ActorCriticAgent
from actor_critic.config import EnvironmentLike, Passed, Settings, WrapperLike
from actor_critic.environments import (
    IMAGES,
    TEXTS,
    WINDOW,
    RenderedEnvironment,
    Step,
    VectorEnvironment,
    make_vector_environment,
    render_modes,
)
from actor_critic.errors import ConfigError
from actor_critic.evaluation.episodes import Played, play
from actor_critic.evaluation.evaluation import evaluation_settings
from actor_critic.evaluation.recorded import Mode, RecordedEpisode
from actor_critic.process import boundary, recognized
from actor_critic.seeding import Purpose, generator

Frame = npt.NDArray[np.uint8] | str

_SIDE_BY_SIDE = 10  # environments of an evaluation of ten or more episodes


@recognized()
def record_episode(
    agent: ActorCriticAgent,
    *,
    seed: int | None = None,
    episode: int = 0,
    mode: Mode = "greedy",
    environment: EnvironmentLike | None = None,
    environment_kwargs: dict[str, Any] | None = None,
    wrappers: Sequence[WrapperLike] | None = None,
    every: int = 1,
    max_frames: int | None = None,
    max_steps: int | None = None,
    frames: bool | Literal["images", "texts"] = True,
) -> RecordedEpisode:
    """Play one whole episode, and record it step by step.

    The episodes 0 to n − 1 are those of ``evaluate(agent, episodes=n)``, with the same greedy actions and returns.
    Sampled actions have random numbers of their own. (If only one instance of an environment can exist at a time, an
    evaluation plays other episodes from the second one on.)

    Args:
        agent: The policy; it does not change.
        seed: Seed of the episodes; None takes the agent's seed.
        episode: Number of the episode, from 0.
        mode: "greedy" takes the most probable actions, "sampled" draws them.
        environment: Another environment, as for :func:`evaluate`.
        environment_kwargs: Other keyword arguments of the environment, as for :func:`evaluate`.
        wrappers: Other wrappers, as for :func:`evaluate`.
        every: Render only every this many steps, and the end.
        max_frames: Keep at most about this many frames, spread over the episode; None keeps all.
        max_steps: End the episode after this many steps at the latest; None for the usual limits.
        frames: Whether to render. True takes images if the environment has them ("rgb_array"), or else texts ("ansi").
            "images" and "texts" take only these.

    Raises:
        ConfigError: The environment cannot render this, cannot be made, or has other spaces than the agent.
        EnvironmentFault: The environment failed, or returned a frame that is neither an image nor a text.
        CheckpointError: The agent was read from a file that names code to import, without ``trust_code``.
        ValueError: A number is below its least value, or ``mode`` or ``frames`` is another word.
    """
    _check_arguments(episode, mode, every, max_frames, max_steps)
    kinds: dict[Any, tuple[str, ...]] = {True: (IMAGES, TEXTS), "images": (IMAGES,), "texts": (TEXTS,), False: ()}
    if frames not in kinds:
        raise ValueError(f'frames: {frames!r} is not allowed; expected True, False, "images" or "texts"')
    passed = Passed(None, wrappers, None, None, environment, beside=agent.settings.objects)
    settings = evaluation_settings(agent, passed, environment_kwargs)
    with _quiet_pygame():
        render_mode = _choose_render_mode(settings, kinds[frames]) if frames else None
        recorder = _Recorder(agent, every, max_frames)
        return _play_one(agent, settings, recorder, seed, episode, mode, render_mode, max_steps)


@recognized()
def show_episode(
    agent: ActorCriticAgent, settings: Settings, *, seed: int | None, episode: int, mode: Mode, speed: float
) -> RecordedEpisode:
    """Play one episode in a window, and record its steps without frames.

    Args:
        agent: The policy.
        settings: What it plays, from :func:`evaluation_settings`; the environment has the render mode "human".
        seed: Seed of the episodes; None takes the agent's seed.
        episode: Number of the episode, as in :func:`record_episode`.
        mode: "greedy" or "sampled".
        speed: How many times faster than usual.

    Raises:
        ConfigError: As :func:`record_episode`.
        EnvironmentFault: As :func:`record_episode`.
    """
    with _quiet_pygame():
        return _play_one(agent, settings, _Recorder(agent, 1, None), seed, episode, mode, WINDOW, None, speed)


def find_render_modes(settings: Settings) -> tuple[str, ...]:
    """Return how the environment of settings can render; see :func:`render_modes`."""
    with _quiet_pygame():
        return render_modes(settings)


class _Recorder:
    """Sees the steps of an episode, and renders frames."""

    def __init__(self, agent: ActorCriticAgent, every: int, max_frames: int | None) -> None:
        self.frames: list[Any] = []
        self.frame_steps: list[int] = []
        self.choices: list[npt.NDArray[np.int64]] = []
        self.rewards: list[float] = []
        self.probabilities: list[npt.NDArray[np.float32]] = []
        self.values: list[np.float32] = []
        self.masks: list[npt.NDArray[np.bool_] | None] = []
        self.is_truncated = False
        self._agent = agent
        self._every, self._max_frames = every, max_frames
        self._value_states = agent.initial_state(1)
        self._rendered: RenderedEnvironment | None = None
        self._row = 0

    def watch(self, environment: VectorEnvironment, row: int, renders_frames: bool) -> None:
        """Record row ``row`` of an environment from here on."""
        self._row = row
        if renders_frames:
            assert isinstance(environment, RenderedEnvironment)
            self._rendered = environment

    def acts(
        self,
        observations: npt.NDArray[Any],
        masks: npt.NDArray[np.bool_] | None,
        states: npt.NDArray[np.float32],
        action_indices: npt.NDArray[np.int64],
    ) -> None:
        """Render a frame if one is due, and ask policy and critic what they see in it."""
        if len(self.choices) % self._every == 0:
            self._look()
        only = slice(self._row, self._row + 1)
        mask = None if masks is None else masks[only].copy()
        probabilities, values, self._value_states = self._agent.assess(
            observations[only], mask, states[only], self._value_states
        )
        self.probabilities.append(probabilities[0])
        self.values.append(values[0])
        self.masks.append(None if mask is None else mask[0])
        self.choices.append(action_indices[self._row].copy())

    def stepped(self, step: Step) -> None:
        """Note the reward, and render the end of the episode."""
        rewards = step.rewards if step.own_rewards is None else step.own_rewards
        self.rewards.append(float(rewards[self._row]))
        if step.terminated[self._row] or step.truncated[self._row]:
            self.is_truncated = not step.terminated[self._row]
            self._look()

    def _look(self) -> None:
        if self._rendered is None:
            return
        frame = _checked(self._rendered.render_frame(), self.frames, self._rendered)
        # An even number, so that the newest frame continues the others after every second one went.
        if self._max_frames is not None and len(self.frames) >= self._max_frames - self._max_frames % 2:
            # Every second frame goes, so that the others stay evenly spread over the episode, however long it gets.
            del self.frames[1::2], self.frame_steps[1::2]
            self._every *= 2
        self.frames.append(frame)
        self.frame_steps.append(len(self.choices))


def _checked(frame: Any, earlier: list[Any], environment: RenderedEnvironment) -> Frame:
    """Return a copy of a frame.

    Raises:
        EnvironmentFault: It is neither an image nor a text, or differs in kind or size from the earlier ones.
    """
    expected = "expected an array [H, W, 3] of uint8, or of floats from 0 to 1, or a text"
    if isinstance(frame, str):
        kind: Any = "a text"
    elif isinstance(frame, np.ndarray):
        if frame.dtype.kind == "f" and frame.size and frame.min() >= 0 and frame.max() <= 1:  # as MinAtar's
            frame = np.rint(frame * 255).astype(np.uint8)
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or frame.size == 0:
            raise environment.fault(f"render returned an array {list(frame.shape)} of {frame.dtype}; {expected}")
        kind = f"an image of {frame.shape[1]} x {frame.shape[0]} pixels"
    else:
        raise environment.fault(f"render returned {'None' if frame is None else type(frame).__name__}; {expected}")
    if earlier:
        first = earlier[0]
        before = "a text" if isinstance(first, str) else f"an image of {first.shape[1]} x {first.shape[0]} pixels"
        if before != kind:
            raise environment.fault(f"render returned {kind}, and earlier in the same episode {before}")
    return frame if isinstance(frame, str) else frame.copy()


def _play_one(
    agent: ActorCriticAgent,
    settings: Settings,
    recorder: _Recorder,
    seed: int | None,
    episode: int,
    mode: Mode,
    render_mode: str | None,
    max_steps: int | None,
    speed: float = 1.0,
) -> RecordedEpisode:
    seed = settings.seed if seed is None else seed
    environment: VectorEnvironment
    if settings.is_random_states:  # an evaluation plays each of its episodes in an environment of its own
        environment, row = make_vector_environment(settings, Purpose.TEST, episode + 1), episode
    else:
        place = (episode % _SIDE_BY_SIDE, episode // _SIDE_BY_SIDE)
        environment, row = (
            RenderedEnvironment(settings, place, render_mode=render_mode, max_steps=max_steps, speed=speed),
            0,
        )
    recorder.watch(environment, row, render_mode in (IMAGES, TEXTS))
    quotas = np.zeros(environment.num_envs, np.int64)
    quotas[row] = 1
    noise = generator(seed, Purpose.EVALUATION_ACTIONS, int(Purpose.TEST), episode)
    try:
        with boundary.watched():
            played = play(
                agent,
                settings,
                environment,
                agent.choose if mode == "sampled" else _greedy(agent),
                quotas,
                seed,
                noise,
                recorder,
            )
        return _recorded(agent, settings, environment, recorder, played, episode, mode)
    finally:
        environment.close()


def _greedy(agent: ActorCriticAgent) -> Any:
    return lambda observations, _, mask, states: agent.choose(observations, None, mask, states)


def _recorded(
    agent: ActorCriticAgent,
    settings: Settings,
    environment: VectorEnvironment,
    recorder: _Recorder,
    played: Played,
    episode: int,
    mode: Mode,
) -> RecordedEpisode:
    names, fps = tuple(map(str, range(agent.actions.num_logits))), 1.0
    if isinstance(environment, RenderedEnvironment):
        names, fps = environment.action_names(), environment.fps
    choices = np.stack(recorder.choices)
    actions = list(agent.actions.one_by_one(choices))
    masks = [
        np.ones(agent.actions.num_logits, np.bool_) if mask is None else mask for mask in recorder.masks
    ]  # the first observation of an episode may come without one
    return RecordedEpisode(
        environment=settings.environment,
        episode=episode,
        mode=mode,
        frames=recorder.frames,
        frame_steps=recorder.frame_steps,
        actions=[int(action) if isinstance(action, np.integer) else action for action in actions],
        choices=choices,
        rewards=np.array(recorder.rewards),
        probabilities=np.stack(recorder.probabilities),
        values=np.array(recorder.values, np.float32),
        masks=np.stack(masks) if any(mask is not None for mask in recorder.masks) else None,
        action_sizes=agent.actions.sizes,
        action_names=names,
        returns=float(played.returns[0]),
        length=len(choices),
        truncated=recorder.is_truncated,
        fps=fps,
    )


def _choose_render_mode(settings: Settings, wanted: tuple[str, ...]) -> str:
    """Return the first wanted mode that the environment has.

    Raises:
        ConfigError: It has none.
    """
    found = find_render_modes(settings)
    for mode in wanted:
        if mode in found:
            return mode
    has = f"the render modes {', '.join(found)}" if found else "no render modes"
    mend = "record its steps alone with frames=False"
    if not settings.is_random_states:
        mend = f'let it render and say so in its metadata ("render_modes"), or {mend}'
    raise ConfigError(
        f"environment: {settings.environment} has {has}, and these frames need {' or '.join(wanted)}; {mend}"
    )


def _check_arguments(episode: int, mode: str, every: int, max_frames: int | None, max_steps: int | None) -> None:
    for name, number, least in (
        ("episode", episode, 0),
        ("every", every, 1),
        ("max_frames", max_frames, 2),
        ("max_steps", max_steps, 1),
    ):
        if number is not None and number < least:
            raise ValueError(f"{name}: {number} is not allowed; expected at least {least}")
    if mode not in ("greedy", "sampled"):
        raise ValueError(f'mode: {mode!r} is not allowed; expected "greedy" or "sampled"')


def has_display() -> bool:
    """Return whether a window can open on this machine."""
    if sys.platform in ("win32", "darwin"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"))


@contextmanager
def _quiet_pygame() -> Iterator[None]:
    """Keep Pygame, which draws most environments, from warning of what it imports, and of a missing display.

    Images need no display: without one, Pygame draws with its driver "dummy".
    """
    is_dummy = not has_display()
    if is_dummy:
        os.environ["SDL_VIDEODRIVER"] = "dummy"
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"pygame|pkg_resources")
            yield
    finally:
        if is_dummy:
            os.environ.pop("SDL_VIDEODRIVER", None)
