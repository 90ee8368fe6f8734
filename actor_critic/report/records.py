"""The records of a run, read from its folder, and what several findings derive from them."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from actor_critic.config import MAX_BYTES, Settings, parse_json_object, settings_from_document
from actor_critic.errors import CheckpointError, ConfigError
from actor_critic.evaluation import Evaluation, ModeResult
from actor_critic.files import open_regular
from actor_critic.storage import Change, check_is_run, read_changes, read_details, read_metrics
from actor_critic.training import METRICS, kept_evaluation

_FEW_RETURNS = 10  # too few to tell a trend


@dataclass(frozen=True)
class Records:
    """The records of a run.

    Attributes:
        settings: Its settings.
        metrics: The metrics [epochs] by name, as in ``metrics.csv``; NaN where an epoch has no value.
        evaluation: Of the final weights; None if the run is not over.
        forced: The share of states in which the mask allowed a single action.
        changed: The settings that were changed during the run.
    """

    settings: Settings
    metrics: dict[str, npt.NDArray[np.float64]]
    evaluation: Evaluation | None
    forced: float = 0.0
    changed: frozenset[str] = frozenset()

    @property
    def epochs(self) -> int:
        """Epochs that were trained."""
        return len(self.metrics["epoch"])

    @property
    def seconds(self) -> npt.NDArray[np.float64]:
        """Seconds [epochs] of collecting and updating up to the end of each epoch."""
        steps = np.diff(self.metrics["env_steps"], prepend=0.0)
        taken: npt.NDArray[np.float64] = np.cumsum(steps / self.metrics["steps_per_second"])
        return taken

    @property
    def is_new(self) -> bool:
        """Whether the run began with random weights."""
        return self.settings.init_from is None

    @property
    def is_over(self) -> bool:
        """Whether the run has ended; one that was stopped or still runs has no evaluation of its last weights."""
        return self.evaluation is not None

    @property
    def has_reached_its_target(self) -> bool:
        """Whether the training return is at least ``target_return``, which then ended the run."""
        target = self.settings.target_return
        return target is not None and bool(self.metrics["mean_return"][-1] >= target)

    @property
    def learned_from(self) -> npt.NDArray[np.float64]:
        """Mean returns [epochs] in the rewards that the agent learned from, before they are scaled."""
        training, model = self.metrics["mean_training_return"], self.metrics["mean_model_return"]
        paid = training if np.isfinite(training).any() else self.metrics["mean_return"]
        if not np.isfinite(model).any():
            return paid
        return model if self.settings.reward_mode == "replace" else paid + model

    @property
    def random(self) -> ModeResult | None:
        """The evaluation of random actions; None if the policy was clearly better than at the beginning."""
        return self.evaluation.modes.get("random") if self.evaluation else None

    @property
    def best_mode(self) -> tuple[str, ModeResult] | None:
        """The better of the two modes of the evaluation, with its name."""
        if self.evaluation is None:
            return None
        modes = {name: self.evaluation.modes[name] for name in ("greedy", "sampled")}
        name = max(modes, key=lambda mode: modes[mode].returns.mean)
        return name, modes[name]

    @property
    def is_near_the_optimum(self) -> bool:
        """Whether the optimum is known and the policy reaches nine tenths of the way from a uniform choice to it."""
        if self.evaluation is None or self.evaluation.reference is None or self.best_mode is None:
            return False
        share = self.evaluation.reference.normalized(self.best_mode[1].returns.mean)
        return share is not None and share > 0.9

    @property
    def improvement(self) -> float:
        """How far the training return rose, from the first mean to the best; 0 if that may be chance."""
        returns = self.metrics["mean_return"][np.isfinite(self.metrics["mean_return"])]
        if len(returns) < _FEW_RETURNS:
            return 0.0
        rose = float(returns.max() - returns[0])
        # The mean of 100 episodes varies by a tenth of their deviation.
        noise = max(0.05 * abs(float(returns[0])), 0.5 * self.evaluation.sampled.std if self.evaluation else 0.0)
        return rose if rose > noise else 0.0

    def mean(self, name: str, start: float = 0.0, stop: float = 1.0) -> float:
        """Return the mean of a metric between two shares of the run; NaN if it has no value there."""
        first = int(start * self.epochs)
        part = self.metrics[name][first : max(int(stop * self.epochs), first + 1)]
        part = part[np.isfinite(part)]
        return float(part.mean()) if len(part) else np.nan


@dataclass(frozen=True)
class Group:
    """One run, or runs of several seeds.

    Attributes:
        name: What to call it.
        folders: The run folders.
        runs: Their records.
    """

    name: str
    folders: list[Path]
    runs: list[Records]

    @property
    def settings(self) -> Settings:
        """The settings of the first run."""
        return self.runs[0].settings

    @property
    def seeds(self) -> list[int]:
        """The seed of each run."""
        return [run.settings.seed for run in self.runs]


def read_group(folder: Path, name: str) -> Group:
    """Read a run folder, or a folder with a run folder ``seed_1`` … for each of several seeds.

    Args:
        folder: The folder.
        name: What to call it.

    Raises:
        ConfigError: It is neither, settings are not valid, or two runs have the same seed.
        CheckpointError: A file is missing, damaged or not readable.
    """
    folders = [folder]
    if not (folder / "settings.json").exists() and folder.is_dir():
        folders = sorted((path.parent for path in folder.glob("seed_*/settings.json")), key=_number) or [folder]
    group = Group(name, folders, [read_records(each) for each in folders])
    if len(set(group.seeds)) < len(group.seeds):
        raise ConfigError(f"{folder}: two of its runs have the same seed: {', '.join(map(str, group.seeds))}")
    return group


def _number(folder: Path) -> tuple[int, str]:
    """Return what sorts seed_2 before seed_10."""
    digits = folder.name.removeprefix("seed_")
    return int(digits) if digits.isdecimal() else 0, folder.name


def read_records(folder: Path) -> Records:
    """Read the records of a run folder; nothing in it is changed.

    Raises:
        ConfigError: The path is no run folder, or its settings are not valid.
        CheckpointError: A file is missing, damaged or not readable.
    """
    check_is_run(folder)
    path = folder / "settings.json"
    try:
        with open_regular(path) as stream:
            settings = settings_from_document(parse_json_object(stream.read(MAX_BYTES), str(path)), path)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from None
    found = read_metrics(folder)
    epochs = found.get("epoch", np.zeros(0))
    metrics = {name: found.get(name, np.full(len(epochs), np.nan)) for name in METRICS}  # older versions wrote fewer
    forced = read_details(folder).get("forced", np.zeros(0))
    evaluation = kept_evaluation(folder, int(epochs[-1])) if len(epochs) else None
    share = float(np.nanmean(forced)) if np.isfinite(forced).any() else 0.0
    return Records(settings, metrics, evaluation, share, changed_settings(read_changes(folder)))


def changed_settings(changes: Iterable[Change]) -> frozenset[str]:
    """Return the settings that changes name."""
    return frozenset(name for change in changes for name in change.settings)
