"""Strict JSON: unlike the standard parser, it refuses duplicate keys, NaN, overflow and deep nesting."""

import json
import math
from pathlib import Path
from typing import Any

from actor_critic.errors import ConfigError
from actor_critic.process import command_line

MAX_BYTES = 1 << 20
MAX_DEPTH = 32


def read_json_object(path: Path) -> dict[str, Any]:
    """Read one JSON object from a file.

    Raises:
        ConfigError: The file cannot be read, or is not one strict JSON object.
    """
    try:
        if path.is_dir():
            raise ConfigError(f"{path} is a folder; expected a JSON file")
        with open(path, "rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        remedy = f"; `{command_line('init', '--config', path)}` writes a starting file" if path.parent.is_dir() else ""
        raise ConfigError(f"{path} does not exist{remedy}") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from None
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{path} is larger than {MAX_BYTES} bytes; a settings file is a few kilobytes")
    return parse_json_object(data, str(path))


def parse_json_object(data: bytes, origin: str) -> dict[str, Any]:
    """Parse one strict JSON object: UTF-8, unique keys, finite numbers, nested at most ``MAX_DEPTH`` deep.

    Args:
        data: The document.
        origin: The name of the document in error messages.

    Raises:
        ConfigError: The document is not such an object.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{origin} is not UTF-8 text: byte {error.start} is {data[error.start]:#04x}") from None
    try:
        document = json.loads(text, object_pairs_hook=_unique_keys, parse_int=_whole_number)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{origin} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise ConfigError(f"{origin} is nested too deeply; at most {MAX_DEPTH} levels are allowed") from None
    except ValueError as error:
        raise ConfigError(f"{origin}: {error}") from None
    if not isinstance(document, dict):
        raise ConfigError(f"{origin} holds {_kind(document)}; expected one JSON object, {{…}}")
    _check_values(document, origin)
    return document


def shown(text: str) -> str:
    """Make an external text safe for a message: short and without control characters."""
    short = text if len(text) <= 60 else f"{text[:57]}..."
    return short if short.isprintable() else ascii(short)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for key, value in pairs:
        if key in document:
            raise ValueError(f"key {shown(repr(key))} appears twice; keep one of them")
        document[key] = value
    return document


def _whole_number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:  # too many digits for int(); float() gives infinity
        return float(text)


def _check_values(document: dict[str, Any], origin: str) -> None:
    """Refuse nesting beyond ``MAX_DEPTH``, and numbers that are not finite; the error names the top-level key."""
    level: list[tuple[str, Any]] = [("", document)]
    for _ in range(MAX_DEPTH):
        inside: list[tuple[str, Any]] = []
        for name, node in level:
            entries = node.items() if isinstance(node, dict) else (("", item) for item in node)
            inside += [(name or key, child) for key, child in entries]
        for name, value in inside:
            if isinstance(value, float) and not math.isfinite(value):
                raise ConfigError(
                    f"{origin}: {shown(name)}: {value} is not allowed; every number must be finite (below 1.8e308 in "
                    f"size)"
                )
        level = [(name, node) for name, node in inside if isinstance(node, (dict, list))]
        if not level:
            return
    raise ConfigError(f"{origin} is nested too deeply; at most {MAX_DEPTH} levels are allowed")


def _kind(value: Any) -> str:
    names = {list: "an array", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    return names.get(type(value), "null")
