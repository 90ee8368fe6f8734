"""RecordedEpisode: what was seen, chosen and earned in each step of an episode."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Mode = Literal["greedy", "sampled"]


@dataclass(frozen=True, eq=False)
class RecordedEpisode:
    """One episode of T steps; A is the number of logits, G the number of choices of an action.

    Attributes:
        environment: Id of the environment.
        episode: Number of the episode.
        mode: "greedy" or "sampled".
        frames: Images [H, W, 3] of uint8, or texts; empty if nothing was rendered.
        frame_steps: The number of steps that had been taken when each frame was rendered. The frame of t shows what
            action t was chosen for; that of T shows the end.
        actions: The action of each step, as the environment takes it.
        choices: [T, G], the same actions as indices, each counted from 0.
        rewards: [T], the environment's own rewards, below all wrappers.
        probabilities: [T, A], of all actions, 0 where masked; laid out as ``agent.probabilities`` does.
        values: [T], the critic's estimates.
        masks: [T, A], True where an action is allowed; None if all are.
        action_sizes: The number of choices in each of the G groups; their sum is A.
        action_names: A name for each of the A choices.
        returns: The return, as :func:`evaluate` counts it.
        length: T.
        truncated: Whether a limit of steps ended the episode.
        fps: Steps a second at the speed of the environment.
    """

    environment: str
    episode: int
    mode: Mode
    frames: list[npt.NDArray[np.uint8]] | list[str]
    frame_steps: list[int]
    actions: list[Any]
    choices: npt.NDArray[np.int64]
    rewards: npt.NDArray[np.float64]
    probabilities: npt.NDArray[np.float32]
    values: npt.NDArray[np.float32]
    masks: npt.NDArray[np.bool_] | None
    action_sizes: tuple[int, ...]
    action_names: tuple[str, ...]
    returns: float
    length: int
    truncated: bool
    fps: float

    @property
    def is_text(self) -> bool:
        """Whether the frames are texts."""
        return bool(self.frames) and isinstance(self.frames[0], str)

    def describe(self) -> str:
        """Return the episode in one line."""
        end = "cut off" if self.truncated else "ended"
        steps = "1 step" if self.length == 1 else f"{self.length} steps"
        return f"episode {self.episode}, {self.mode}: return {self.returns:g}, {end} after {steps}"
