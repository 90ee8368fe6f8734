"""Files of a run: checkpoints, the run folder, metrics."""

from actor_critic.storage.changes import Change, read_changes, to_documents
from actor_critic.storage.checkpoints import Checkpoint
from actor_critic.storage.failed_batch import keep_failed_batch
from actor_critic.storage.loggers import check_loggers, make_loggers
from actor_critic.storage.metrics import (
    SECONDS,
    MetricsWriter,
    detail_columns,
    is_epoch,
    read_details,
    read_episodes,
    read_logged,
    read_metrics,
)
from actor_critic.storage.runs import (
    RunFolder,
    check_is_run,
    edited_settings,
    find_checkpoint,
    here,
    new_folder,
    newest_sound,
    other_ends,
    periodic,
    read_evaluation,
    timestamped_path,
)
from actor_critic.storage.versions import current_versions, different_versions

__all__ = [
    "SECONDS",
    "Change",
    "Checkpoint",
    "MetricsWriter",
    "RunFolder",
    "check_is_run",
    "check_loggers",
    "current_versions",
    "detail_columns",
    "different_versions",
    "edited_settings",
    "find_checkpoint",
    "here",
    "is_epoch",
    "keep_failed_batch",
    "make_loggers",
    "new_folder",
    "newest_sound",
    "other_ends",
    "periodic",
    "read_changes",
    "read_details",
    "read_episodes",
    "read_evaluation",
    "read_logged",
    "read_metrics",
    "timestamped_path",
    "to_documents",
]
