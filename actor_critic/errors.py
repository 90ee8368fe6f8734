"""The exceptions of the package. Each class has an exit code; each message names the cause and the remedy."""

import linecache
import traceback
from pathlib import Path
from typing import Any

# Files that call user code. An error raised in one of them has no line in the user code.
_ON_THE_WAY = (str(Path(__file__).parent), str(Path("gymnasium", "envs", "registration.py")))


class ActorCriticError(Exception):
    """Base class of all errors that this package reports to the user.

    Attributes:
        exit_code: The exit code of a command that ends with it.
        drops_changes: Whether the run drops the last changes of its environments, because they were refused.
    """

    exit_code = 1
    drops_changes = False


class ConfigError(ActorCriticError):
    """A setting, flag or path is wrong; the message names the field, the value and the allowed values."""

    exit_code = 2


class NotMadeError(ConfigError):
    """An environment cannot be made; the message names it and the reason."""


class OneAtATimeError(NotMadeError):
    """One instance of an environment can be made, but not two at the same time."""


class EnvironmentFault(ActorCriticError):  # noqa: N818 - a fault of the environment, not of the program
    """An environment broke its contract; the message names the environment, its index and the step."""

    exit_code = 3


class ChangeFault(EnvironmentFault):
    """A change of the environments failed where it took effect; the run drops the change."""

    drops_changes = True


class ReplayFault(EnvironmentFault):
    """An environment did not replay a running episode; the message names the environment and the step."""


class CheckpointError(ActorCriticError):
    """A checkpoint cannot be read, trusted or written; the message names the file and the reason."""

    exit_code = 4


class VerificationError(ActorCriticError):
    """A run cannot be reproduced from its settings; the message names the first epoch that differs."""

    exit_code = 6


class SelftestError(ActorCriticError):
    """A selftest found a fault; the message names the first probe that was not solved."""

    exit_code = 7


class RankFault(ActorCriticError):  # noqa: N818 - a fault of another process, not of this one
    """Another rank of a data-parallel run failed or was lost; the message names it, or what was waited for."""

    exit_code = 8


class NumericalError(ActorCriticError):
    """A loss, gradient, reward or parameter is not finite; the message names it and the epoch.

    Attributes:
        batch: The tensors of the batch that led to it, by name; empty if it was not a gradient.
    """

    exit_code = 5

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.batch: dict[str, Any] = {}


def describe(error: BaseException) -> str:
    """Describe an exception of user code in one line: its class, its text and where it was raised.

    If the text is empty (a bare ``assert``), the line of code that raised the exception takes its place.
    """
    try:
        text = " ".join(str(error).split())
    except Exception as failure:  # __str__ of the exception may raise anything
        text = f"its text cannot be shown: {type(failure).__name__}"
    place = ""
    steps = list(traceback.walk_tb(error.__traceback__))
    if steps:
        path, line = steps[-1][0].f_code.co_filename, steps[-1][1]
        text = text or linecache.getline(path, line).strip()
        place = "" if any(part in path for part in _ON_THE_WAY) else f" ({Path(path).name}, line {line})"
    name = type(error).__name__
    return f"{name}: {text}{place}" if text else f"{name}{place}"
