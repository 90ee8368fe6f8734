"""Weights & Biases and MLflow: the figures of a run in the tools of others, for those who have them installed."""

import contextlib
import importlib.util
import json
import logging
import math
import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from actor_critic.errors import ConfigError, describe
from actor_critic.files import write_durably

log = logging.getLogger("actor_critic")

_PROJECT = "actor-critic"
_MOST = 900  # MLflow accepts 1,000 metrics at once
_MLFLOW_SECONDS = 5.0  # between two writes to its database

PAUSE = 0.25
"""Seconds between two rows for loggers. Epochs in between are left out: fast runs have thousands a second."""

_MOST_SENT_AGAIN = 1000


class FigureLogger(Protocol):
    """Takes the figures of a run, by name, at an environment step. What it raises does not end the run.

    Attributes:
        id: The id of the record, with which a resumed run continues it.
        holds_until: Environment steps of the last row that an earlier process has surely stored.
    """

    id: str
    holds_until: int

    def log(self, env_steps: int, figures: dict[str, float]) -> None:
        """Record figures."""

    def flush(self) -> None:
        """Write what was recorded."""

    def close(self) -> None:
        """End the record of this process."""


class Loggers:
    """Sends the figures of a run to loggers. One that fails is left out from then on, and the run goes on."""

    def __init__(self, loggers: Sequence[FigureLogger]) -> None:
        """Keep the loggers; nothing is sent yet."""
        self._loggers = list(loggers)
        self._sent = -math.inf
        self._steps = 0
        self._waiting: dict[str, float] = {}  # figures of the last epoch
        self._is_rare = False
        self._of_the_user: dict[str, float] = {}

    def __bool__(self) -> bool:
        return bool(self._loggers)

    def row(self, env_steps: int, figures: dict[str, float], is_rare: bool) -> None:
        """Take the figures of an epoch, and send those of the one before, unless others were sent just before it.

        Args:
            env_steps: Environment steps done.
            figures: The figures by name.
            is_rare: Whether they must be sent, as those of an evaluation.
        """
        if self._is_rare or time.monotonic() - self._sent >= PAUSE:
            self._send()
        self._steps, self._waiting, self._is_rare = env_steps, figures, is_rare

    def add(self, env_steps: int, name: str, value: float) -> None:
        """Take a number of the user's; the last of each name is sent with the figures of its epoch or a later one."""
        self._steps = env_steps
        self._of_the_user[name] = value

    def send_again(self, rows: Sequence[tuple[int, dict[str, float]]]) -> None:
        """Send the rows of an earlier process that loggers may have lost."""
        for env_steps, figures in rows[-_MOST_SENT_AGAIN:]:
            lost = [logger for logger in self._loggers if env_steps > logger.holds_until]
            self._each(lost, "log", env_steps, figures)

    def flush(self) -> None:
        """Let each logger write what it has."""
        self._each(self._loggers, "flush")

    def close(self) -> None:
        """Send what waits, and end each record."""
        self._send()
        self._each(self._loggers, "close")

    def _send(self) -> None:
        if figures := self._waiting | self._of_the_user:
            self._each(self._loggers, "log", self._steps, figures)
        self._waiting, self._of_the_user, self._sent = {}, {}, time.monotonic()

    def _each(self, loggers: Sequence[FigureLogger], method: str, *arguments: Any) -> None:
        for logger in list(loggers):
            try:
                getattr(logger, method)(*arguments)
            except Exception as error:  # of other packages, which may raise anything
                self._loggers.remove(logger)
                name = type(logger).__name__.strip("_")
                log.error("logger: %s gets no more figures, because it raised %s", name, describe(error))


def make_loggers(names: Sequence[str], folder: Path, settings: dict[str, Any]) -> list[FigureLogger]:
    """Make the loggers that the setting ``logger`` names.

    A resumed run continues its records: ``loggers.json`` in the run folder has their ids.

    Args:
        names: "wandb" or "mlflow".
        folder: The run folder.
        settings: The settings of the run, as a document.

    Raises:
        ConfigError: One is not installed, or cannot begin.
    """
    ids: dict[str, str] = {}
    with contextlib.suppress(OSError, ValueError):
        found = json.loads((folder / "loggers.json").read_text())
        ids = found if isinstance(found, dict) else {}
    return _make(names, folder, settings, ids)


def check_loggers(names: Sequence[str]) -> None:
    """Check that loggers are installed.

    Raises:
        ConfigError: One is not.
    """
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise ConfigError(f'logger: {name} is not installed: pip install "actor-critic[{name}]"')


def _make(names: Sequence[str], folder: Path, settings: dict[str, Any], ids: dict[str, str]) -> list[FigureLogger]:
    check_loggers(names)
    made: list[FigureLogger] = []
    kinds: dict[str, Callable[..., FigureLogger]] = {"wandb": _Wandb, "mlflow": _MLflow}
    for name in names:
        try:
            with _without_warnings():
                logger = kinds[name](folder, settings, ids.get(name))
        except Exception as error:  # of other packages, which may raise anything
            for each in made:
                each.close()
            raise ConfigError(f"logger: {name} cannot begin: {error}") from error
        made.append(logger)
        ids[name] = logger.id
    if names:
        write_durably(folder / "loggers.json", (json.dumps(ids) + "\n").encode())
    return made


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    """Ignore the warnings of a library about itself; a program may have made them errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class _Wandb:
    """A run of Weights & Biases, offline unless ``WANDB_MODE`` says otherwise; ``wandb sync`` uploads it."""

    def __init__(self, folder: Path, settings: dict[str, Any], earlier: str | None) -> None:
        import wandb

        self._run = wandb.init(
            mode=os.environ.get("WANDB_MODE", "offline"),  # type: ignore[arg-type] # wandb checks it
            dir=folder,
            project=os.environ.get("WANDB_PROJECT", _PROJECT),
            name=folder.name,
            id=earlier,
            resume="allow" if earlier else None,
            config=settings,
            settings=wandb.Settings(silent=True, console="off"),
        )
        self._run.define_metric("env_steps")
        self._run.define_metric("*", step_metric="env_steps")
        self.id = str(self._run.id)
        self.holds_until = 0  # unknown: a killed process loses a block of 32 KiB

    def log(self, env_steps: int, figures: dict[str, float]) -> None:
        self._run.log({"env_steps": env_steps, **figures})

    def flush(self) -> None:
        """Do nothing: another process of its own writes."""

    def close(self) -> None:
        self._run.finish()


class _MLflow:
    """A run of MLflow, in ``mlflow.db`` beside the run folder unless ``MLFLOW_TRACKING_URI`` says otherwise."""

    def __init__(self, folder: Path, settings: dict[str, Any], earlier: str | None) -> None:
        logging.getLogger("alembic").setLevel(logging.WARNING)  # else a new store prints its migrations
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param

        self._metric = Metric
        store = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(folder.parent / 'mlflow.db').resolve()}"
        self._client = MlflowClient(tracking_uri=store)
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", _PROJECT)
        found = self._client.get_experiment_by_name(name)
        experiment = found.experiment_id if found else self._client.create_experiment(name)
        self.holds_until = 0
        if earlier:
            self.id = earlier
            self._client.update_run(self.id, status="RUNNING")
            stored = self._client.get_metric_history(self.id, "epoch")
            self.holds_until = max((metric.step for metric in stored), default=0)
        else:
            self.id = self._client.create_run(experiment, run_name=folder.name).info.run_id
            params = [Param(key, str(value)[:500]) for key, value in settings.items()]
            for first in range(0, len(params), 100):
                self._client.log_batch(self.id, params=params[first : first + 100])
        self._waiting: list[Any] = []
        self._written = time.monotonic()

    def log(self, env_steps: int, figures: dict[str, float]) -> None:
        now = int(time.time() * 1000)
        self._waiting += [self._metric(name, value, now, env_steps) for name, value in figures.items()]

    def flush(self) -> None:
        if time.monotonic() - self._written >= _MLFLOW_SECONDS:
            self._write()

    def close(self) -> None:
        self._write()
        with _without_warnings():
            self._client.set_terminated(self.id)

    def _write(self) -> None:
        with _without_warnings():
            while self._waiting:
                self._client.log_batch(self.id, metrics=self._waiting[:_MOST])
                del self._waiting[:_MOST]
        self._written = time.monotonic()
