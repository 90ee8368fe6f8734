"""TensorBoard events: scalars over environment steps, under our names and under those of Stable-Baselines3."""

import socket
import struct
import time
from pathlib import Path
from typing import Any

from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.record_writer import masked_crc32c
from tensorboardX.summary import hparams

from actor_critic.storage.appended import Appended

KNOWN_TAGS: dict[str, tuple[str, float]] = {
    "mean_return": ("rollout/ep_rew_mean", 1.0),
    "mean_length": ("rollout/ep_len_mean", 1.0),
    "approx_kl": ("train/approx_kl", 1.0),
    "clip_fraction": ("train/clip_fraction", 1.0),
    "entropy": ("train/entropy_loss", -1.0),
    "explained_variance": ("train/explained_variance", 1.0),
    "policy_loss": ("train/policy_gradient_loss", 1.0),
    "value_loss": ("train/value_loss", 2.0),
    "learning_rate": ("train/learning_rate", 1.0),
    "steps_per_second": ("time/fps", 1.0),
    "evaluation_greedy_return": ("eval/mean_reward", 1.0),
}
"""The tags that people know from Stable-Baselines3, and the factor to their meaning: its value loss is the mean squared
error, and its entropy loss the negative entropy."""


def known_figures(row: dict[str, Any]) -> dict[str, float]:
    """Return the figures of an epoch under the tags that people know; those without a value are left out."""
    return {
        tag: factor * row[name] for name, (tag, factor) in KNOWN_TAGS.items() if isinstance(row.get(name), (int, float))
    }


def renamed_figures(row: dict[str, float]) -> dict[str, float]:
    """Return the figures of an epoch, each once: under the tag that people know, or else under our name."""
    return {name: value for name, value in row.items() if name not in KNOWN_TAGS} | known_figures(row)


class Events:
    """An event file that TensorBoard reads."""

    def __init__(self, folder: Path, epoch: int, env_steps: int, settings: dict[str, Any]) -> None:
        """Begin a file.

        Args:
            folder: The run folder.
            epoch: Continue after this epoch.
            env_steps: Environment steps up to this epoch; readers drop later events of other files.
            settings: For the tab of hyperparameters.

        Raises:
            OSError: The file cannot be written.
        """
        self._event = Event()  # the last event and its tags, reused because making them is slow
        self._tags: list[str] | None = None
        # TensorBoard's form of a name; the epoch distinguishes two files of the same second.
        name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{epoch:09d}"
        self.file = Appended(folder / name)
        self._add(Event(wall_time=time.time(), file_version="brain.Event:2"))
        if epoch:  # readers then drop events of later epochs
            start = SessionLog(status=SessionLog.START)
            self._add(Event(wall_time=time.time(), step=env_steps + 1, session_log=start))
        elif settings:
            shown = {
                name: value if isinstance(value, (bool, int, float)) else str(value) for name, value in settings.items()
            }
            for summary in hparams(shown, dict.fromkeys(("rollout/ep_rew_mean", "eval/mean_reward")))[:2]:
                self._add(Event(wall_time=time.time(), summary=summary))
        self.file.flush()

    def write(self, env_steps: int, figures: dict[str, float]) -> None:
        """Record scalars; they are written with the next flush."""
        tags = list(figures)
        if tags != self._tags:
            self._event, self._tags = Event(summary=Summary(value=[Summary.Value(tag=tag) for tag in tags])), tags
        for value, number in zip(self._event.summary.value, figures.values(), strict=True):
            value.simple_value = number
        self._event.wall_time, self._event.step = time.time(), env_steps
        self._add(self._event)

    def _add(self, event: Event) -> None:
        """Append an event as a record: length, its checksum, the event, its checksum."""
        data = event.SerializeToString()
        length = struct.pack("<Q", len(data))
        record = [length, struct.pack("<I", masked_crc32c(length)), data, struct.pack("<I", masked_crc32c(data))]
        self.file.add(b"".join(record))
