"""Weights & Biases and MLflow: the figures of a run in the tools of others, for those who have them installed."""

import contextlib
import importlib.util
import json
import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from actor_critic.errors import ConfigError
from actor_critic.files import write_durably

log = logging.getLogger("actor_critic")

_PROJECT = "actor-critic"
_MOST = 900  # MLflow accepts 1,000 metrics at once


class FigureLogger(Protocol):
    """Takes the figures of a run, by name, at an environment step. What it raises does not end the run.

    Attributes:
        id: The id of the record, with which a resumed run continues it.
        keeps_in_memory: How many of the last rows are lost if the process is killed; a resumed run sends them again.
    """

    id: str
    keeps_in_memory: int

    def log(self, env_steps: int, figures: dict[str, float]) -> None:
        """Record figures."""

    def flush(self) -> None:
        """Write what was recorded."""

    def close(self) -> None:
        """End the record of this process."""


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
    path = folder / "loggers.json"
    with contextlib.suppress(OSError, ValueError):
        return _make(names, folder, settings, json.loads(path.read_text()))
    return _make(names, folder, settings, {})


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

    keeps_in_memory = 1000  # it writes blocks of 32 KiB

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

    def log(self, env_steps: int, figures: dict[str, float]) -> None:
        self._run.log({"env_steps": env_steps, **figures})

    def flush(self) -> None:
        """Do nothing: another process of its own writes."""

    def close(self) -> None:
        self._run.finish()


class _MLflow:
    """A run of MLflow, in ``mlflow.db`` beside the run folder unless ``MLFLOW_TRACKING_URI`` says otherwise."""

    keeps_in_memory = 0  # it is written before every checkpoint

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
        if earlier:
            self.id = earlier
            self._client.update_run(self.id, status="RUNNING")
        else:
            self.id = self._client.create_run(experiment, run_name=folder.name).info.run_id
            params = [Param(key, str(value)[:500]) for key, value in settings.items()]
            for first in range(0, len(params), 100):
                self._client.log_batch(self.id, params=params[first : first + 100])
        self._waiting: list[Any] = []

    def log(self, env_steps: int, figures: dict[str, float]) -> None:
        now = int(time.time() * 1000)
        self._waiting += [self._metric(name, value, now, env_steps) for name, value in figures.items()]

    def flush(self) -> None:
        with _without_warnings():
            while self._waiting:
                self._client.log_batch(self.id, metrics=self._waiting[:_MOST])
                del self._waiting[:_MOST]

    def close(self) -> None:
        self.flush()
        with _without_warnings():
            self._client.set_terminated(self.id)
