"""The reasons to end a run, and the phases of a run."""

from enum import Enum

from actor_critic.config import Settings
from actor_critic.training.counters import Counters

INTERRUPTED = "interrupted"
FINISHED = "finished"


class Phase(Enum):
    """The phase of a run; it decides which calls are allowed."""

    IDLE = "nobody iterates over the run"
    BETWEEN_EPOCHS = "the loop is running, and the last epoch is complete"
    IN_EPOCH = "an epoch is running"
    BROKEN = "an epoch was cut short, and the state before it could not be restored"


def reason_to_stop(settings: Settings, counters: Counters) -> str | None:
    """Return why a run ends before its last epoch; None if no setting ends it.

    Args:
        settings: The settings of the run.
        counters: The counters after an epoch.
    """
    if settings.target_return is not None and counters.totals.is_representative:
        mean_return = counters.totals.mean("return")
        assert mean_return is not None
        if mean_return >= settings.target_return:
            return f"target_return {settings.target_return:g} reached"
    if settings.max_hours is not None and counters.hours >= settings.max_hours:
        return f"max_hours {settings.max_hours:g} passed"
    return None
