"""Config (the settings that a user gives), Settings (the resolved ones), presets, rules and messages."""

from actor_critic.config.config import MAX_OUTPUT_DIM, RANDOM_STATES, Config
from actor_critic.config.fields import (
    DEFAULT_LOG,
    OLD_VALUES,
    OUTSIDE_LEARNING,
    allowed_values,
    base_type,
    default_values,
)
from actor_critic.config.memory import check_evaluation_fits_in_memory, check_fits_in_memory
from actor_critic.config.messages import OTHER_NAMES, nearest
from actor_critic.config.passed import (
    EncoderLike,
    EnvironmentLike,
    Passed,
    PassedObjects,
    RewardModelLike,
    WrapperLike,
    check_names,
)
from actor_critic.config.preset import Preset, find_preset, list_presets
from actor_critic.config.reading import MAX_BYTES, parse_json_object, read_json_object, shown
from actor_critic.config.resolve import (
    Layer,
    Resolution,
    resolve,
    settings_from_document,
    settings_of,
    starting_config,
)
from actor_critic.config.settings import FEWER_ACTIONS, SETTING_NAMES, Settings, computed_fields, wrapper_and_kwargs

__all__ = [
    "DEFAULT_LOG",
    "FEWER_ACTIONS",
    "MAX_BYTES",
    "MAX_OUTPUT_DIM",
    "OLD_VALUES",
    "OTHER_NAMES",
    "OUTSIDE_LEARNING",
    "RANDOM_STATES",
    "SETTING_NAMES",
    "Config",
    "EncoderLike",
    "EnvironmentLike",
    "Layer",
    "Passed",
    "PassedObjects",
    "Preset",
    "Resolution",
    "RewardModelLike",
    "Settings",
    "WrapperLike",
    "allowed_values",
    "base_type",
    "check_evaluation_fits_in_memory",
    "check_fits_in_memory",
    "check_names",
    "computed_fields",
    "default_values",
    "find_preset",
    "list_presets",
    "nearest",
    "parse_json_object",
    "read_json_object",
    "resolve",
    "settings_from_document",
    "settings_of",
    "shown",
    "starting_config",
    "wrapper_and_kwargs",
]
