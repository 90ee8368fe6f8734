"""The records of a run, read from its folder."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from actor_critic.config import MAX_BYTES, Settings, parse_json_object, settings_from_document
from actor_critic.errors import CheckpointError, ConfigError
from actor_critic.evaluation import Evaluation
from actor_critic.files import open_regular
from actor_critic.storage import check_is_run, read_metrics


@dataclass(frozen=True)
class Records:
    """The records of a run.

    Attributes:
        settings: Its settings.
        metrics: The metrics [epochs] by name, as in ``metrics.csv``; NaN where an epoch has no value.
        evaluation: Of the final weights; None if the run is not over.
    """

    settings: Settings
    metrics: dict[str, npt.NDArray[np.float64]]
    evaluation: Evaluation | None


def read_records(folder: Path) -> Records:
    """Read the records of a run folder; nothing in it is changed.

    Raises:
        ConfigError: The path is no run folder, or its settings are not valid.
        CheckpointError: A file is missing, damaged or not readable.
    """
    check_is_run(folder)
    settings = settings_from_document(_document(folder / "settings.json"), folder / "settings.json")
    evaluation = None
    if (folder / "evaluation.json").exists():
        document = _document(folder / "evaluation.json")
        with contextlib.suppress(LookupError, TypeError, ValueError):  # it holds only an evaluation before training
            evaluation = Evaluation.from_document(document)
    return Records(settings, read_metrics(folder), evaluation)


def _document(path: Path) -> dict[str, Any]:
    try:
        with open_regular(path) as stream:
            return parse_json_object(stream.read(MAX_BYTES), str(path))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from None
    except ConfigError as error:
        raise CheckpointError(str(error)) from None
