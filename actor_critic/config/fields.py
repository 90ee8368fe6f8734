"""Tables of what the fields of Config declare: their defaults and types, and which may be "off" or None."""

import copy
from typing import Annotated, Any, Literal, get_args, get_origin

from actor_critic.config.config import Config, Default
from actor_critic.config.messages import alternatives, describe_field

ALTERNATIVES = {"num_epochs": "total_timesteps", "batch_size": "num_steps"}
"""Two names for one quantity. One source may set only one of them; settings keep the first."""

DEFAULTS: dict[str, Default] = {
    name: entry for name, field in Config.model_fields.items() for entry in field.metadata if isinstance(entry, Default)
}
"""The declared defaults, by setting."""

OLD_VALUES = {name: default.old for name, default in DEFAULTS.items() if default.old is not None}
"""The values of settings that older versions did not have."""

SWITCHABLE = frozenset(
    name for name, field in Config.model_fields.items() if Literal["off"] in alternatives(field.annotation)
)
"""Settings whose None means off. A Config uses "off" instead, since its None means "from the preset"."""

NULLABLE = frozenset(name for name, default in DEFAULTS.items() if default.value is None)
"""Settings that may stay None: no limit, target or source, or a size that the environment's spaces decide later."""

DEFAULT_LOG: str = DEFAULTS["log_file"].value


OUTSIDE_LEARNING = (
    "environment", "environment_kwargs", "wrappers", "observation_keys", "frame_stack", "max_episode_steps",
    "input_dim", "output_dim",
    "clip_rewards", "gamma", "target_return", "max_hours", "init_from", "checkpoint_interval", "keep_checkpoints",
    "on_checkpoint_error", "evaluation_interval", "evaluation_episodes", "evaluation_max_steps",
    "evaluation_environment", "evaluation_environment_kwargs", "video_interval", "logger", "report", "log_file",
)  # fmt: skip
"""The settings that say what the best policy and its values are, when a run ends and what it writes. All others say how
a run learns."""


def default_values(is_random_states: bool) -> dict[str, Any]:
    """Return the default of every setting that has one, in copies.

    Args:
        is_random_states: Whether the environment is the built-in one.
    """
    values = {
        name: default.random_states if is_random_states and default.random_states is not None else default.value
        for name, default in DEFAULTS.items()
    }
    return {name: copy.deepcopy(value) for name, value in values.items() if value is not None}


def allowed_values(name: str) -> str:
    """Describe in words the values that field ``name`` of :class:`Config` accepts, as "a finite number above 0"."""
    return describe_field(Config.model_fields[name])


def base_type(name: str) -> type:
    """Return the plain type of field ``name`` of :class:`Config`: bool, int, float, str, list or dict."""
    first = alternatives(Config.model_fields[name].annotation)[0]
    if get_origin(first) is Annotated:
        first = get_args(first)[0]
    origin = get_origin(first)
    if origin is Literal:
        return str
    plain: type = origin or first
    return plain
