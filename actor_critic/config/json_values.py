"""Convert Python and NumPy values to JSON values, and refuse values that JSON cannot hold."""

import os
import sys
from typing import Any

import numpy as np

from actor_critic.config.messages import show
from actor_critic.config.reading import MAX_DEPTH
from actor_critic.errors import ConfigError

# Settings are part of larger documents, such as the header of a checkpoint, whose nesting is limited to MAX_DEPTH.
_MAX_KWARGS_DEPTH = MAX_DEPTH - 8


def as_json(value: Any, depth: int = 0) -> Any:
    """Convert NumPy scalars, paths and tuples to JSON values; return other values unchanged."""
    if isinstance(value, (np.floating, np.integer, np.bool_, np.str_)):
        return float(value) if isinstance(value, np.floating) else value.item()
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return as_json(value[()], depth)
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if depth > _MAX_KWARGS_DEPTH + 1:
        return value
    if isinstance(value, (list, tuple)):
        return [as_json(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {str(k) if isinstance(k, np.str_) else k: as_json(item, depth + 1) for k, item in value.items()}
    return value


def check_is_json(name: str, value: Any, depth: int = 1) -> None:
    """Check that a JSON file can hold a setting, so that the settings of a run can be saved and loaded.

    Args:
        name: The setting, for the message.
        value: Its value.
        depth: How deeply the value is nested in the setting.

    Raises:
        ConfigError: It contains anything but None, booleans, finite numbers, valid strings, lists and dicts with
            string keys.
    """
    if depth > _MAX_KWARGS_DEPTH and isinstance(value, (list, dict)):
        raise ConfigError(f"{name} is nested too deeply; at most {_MAX_KWARGS_DEPTH} levels are allowed")
    match value:
        case None | bool():
            return
        case int() | float():
            if not abs(value) <= sys.float_info.max:
                raise ConfigError(
                    f"{name}: {show(value)} is not allowed; every number must be finite (below 1.8e308 in size)"
                )
        case str():
            if any("\ud800" <= character <= "\udfff" for character in value):
                raise ConfigError(f"{name}: {value!r} holds half a surrogate pair, which is not valid Unicode")
        case list():
            for item in value:
                check_is_json(name, item, depth + 1)
        case dict():
            for key, item in value.items():
                if not isinstance(key, str):
                    raise ConfigError(f"{name}: key {key!r} is not allowed; keys must be texts")
                check_is_json(name, key)
                check_is_json(name, item, depth + 1)
        case _:
            remedy = "; write the array as a list: array.tolist()" if isinstance(value, np.ndarray) else ""
            raise ConfigError(f"{name}: {show(value)} is not allowed; expected JSON values{remedy}")
