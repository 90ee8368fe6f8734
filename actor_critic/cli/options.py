"""A flag for every setting, generated from the settings."""

import contextlib
import json
from collections.abc import Callable
from typing import Any, TypeVar

import click

from actor_critic.config import Config, Layer, allowed_values, base_type, parse_json_object
from actor_critic.errors import ConfigError

CONFIG_FILE = "config.json"

_Function = TypeVar("_Function", bound=Callable[..., Any])


class SettingsCommand(click.Command):
    """A command with settings that accepts ``--anneal-lr false`` and ``--anneal-lr=true``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Convert switches with a value to the form that click expects."""
        switches = {flag for name in Config.model_fields if base_type(name) is bool for flag in [_flag(name)]}
        words: list[str] = []
        for word in args:
            flag, is_one, value = word.partition("=")
            if not is_one and words and words[-1] in switches:
                flag, value = words[-1], word
            if flag in switches and value.lower() in ("true", "false"):
                if not is_one:
                    words.pop()
                word = flag if value.lower() == "true" else f"--no-{flag.removeprefix('--')}"
            words.append(word)
        return super().parse_args(ctx, words)


def setting_options(*names: str) -> Callable[[_Function], _Function]:
    """Add a flag for each named setting, or for all settings, to a command."""

    def decorate(function: _Function) -> _Function:
        for name in reversed(names or tuple(Config.model_fields)):
            function = click.option(*_declaration(name), **_attributes(name))(function)
        return function

    return decorate


def flags_layer(flags: dict[str, Any]) -> Layer:
    """Return the settings given as flags.

    Raises:
        ConfigError: A setting is wrong.
    """
    given = {name: _parse(name, value) for name, value in flags.items() if value is not None}
    try:
        return Layer("flag", Config(**given))
    except ConfigError as error:
        raise ConfigError(f"command line: {error}") from None


def as_flags(config: Config) -> list[str]:
    """Return the command-line words for the values of a Config."""
    words: list[str] = []
    for name, value in config.model_dump(exclude_none=True).items():
        if isinstance(value, bool):
            words.append(_declaration(name)[0].split("/")[not value])
        else:
            words += [_flag(name), json.dumps(value) if isinstance(value, (list, dict)) else str(value)]
    return words


def _declaration(name: str) -> tuple[str, ...]:
    flag = _flag(name)
    return (f"{flag}/--no-{flag.removeprefix('--')}" if base_type(name) is bool else flag, name)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _attributes(name: str) -> dict[str, Any]:
    text = " ".join((Config.model_fields[name].description or "").split())
    if base_type(name) is bool:
        return {"default": None, "help": text}
    kind = {int: "INTEGER", float: "NUMBER", str: "TEXT", list: "LIST", dict: "JSON"}[base_type(name)]
    return {"default": None, "help": f"{text} [{allowed_values(name)}]", "metavar": kind}


def _parse(name: str, value: Any) -> Any:
    """Return the value of a flag's text; invalid text is returned unchanged, and the settings refuse it."""
    if not isinstance(value, str) or base_type(name) is str:
        return value
    if base_type(name) in (int, float):
        with contextlib.suppress(ValueError):
            number = float(value)
            if base_type(name) is float:
                return number
            # People write steps as 1e6 or 1_000_000; 1.5 stays a fraction.
            return int(value) if value.lstrip("+-").replace("_", "").isdigit() else _whole(number)
        return value
    if base_type(name) is dict:  # as strictly as in a file
        return parse_json_object(value.encode(errors="surrogateescape"), f"command line: {name}: {value[:60]!r}")
    if base_type(name) is list and not value.lstrip().startswith("["):
        return value.split(",")
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _whole(number: float) -> int | float:
    return int(number) if number.is_integer() else number
