"""Returns of a policy on episodes it never trained on, with intervals; and single episodes, recorded."""

from actor_critic.evaluation.evaluation import (
    evaluate,
    evaluate_random,
    evaluation_settings,
    long_evaluations,
    try_evaluation_environment,
)
from actor_critic.evaluation.recorded import RecordedEpisode
from actor_critic.evaluation.recording import (
    find_render_modes,
    has_display,
    record_episode,
    show_episode,
)
from actor_critic.evaluation.results import EVALUATED, Evaluation, ModeResult
from actor_critic.evaluation.video import check_can_write, encode_gif, encode_text, save_episode, step_line

__all__ = [
    "EVALUATED",
    "Evaluation",
    "ModeResult",
    "RecordedEpisode",
    "check_can_write",
    "encode_gif",
    "encode_text",
    "evaluate",
    "evaluate_random",
    "evaluation_settings",
    "find_render_modes",
    "has_display",
    "long_evaluations",
    "record_episode",
    "save_episode",
    "show_episode",
    "step_line",
    "try_evaluation_environment",
]
