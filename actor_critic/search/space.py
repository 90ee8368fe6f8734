"""The space of a search: for each searched setting a range, or a list of choices."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from actor_critic.config import Config, allowed_values, base_type, nearest
from actor_critic.errors import ConfigError

_RANGE_KEYS = ("low", "high", "log", "step")

# Settings of two names for one quantity; a trial may set only one of them.
_SAME = {"num_steps": "batch_size", "batch_size": "num_steps", "total_timesteps": "num_epochs"} | {
    "num_epochs": "total_timesteps"
}

_NOT_SEARCHED = {
    "environment": "scores of different environments cannot be compared",
    "evaluation_environment": "scores of different environments cannot be compared",
    "evaluation_environment_kwargs": "scores of different environments cannot be compared",
    "evaluation_episodes": "it changes the score, but not what is learned",
    "evaluation_max_steps": "it changes the score, but not what is learned",
    "seed": "each trial has the seeds of --trial-seeds (in Python: trial_seeds)",
    "logger": "it does not change what is learned",
    "log_file": "it does not change what is learned",
}


@dataclass(frozen=True)
class Range:
    """The numbers from ``low`` to ``high``, both included.

    Attributes:
        low: The least value.
        high: The largest value.
        log: Whether values are drawn evenly on a logarithmic scale.
        step: The distance of neighbouring values; None for all.
        is_whole: Whether values are whole numbers.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    is_whole: bool = False

    def __contains__(self, value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not self.low <= value <= self.high:
            return False
        steps = (value - self.low) / self.step if self.step else 0.0
        return math.isclose(steps, round(steps), abs_tol=1e-9)

    def ends(self) -> list[Any]:
        """Return the least and the largest value."""
        return [self.low, self.high]

    def to_document(self) -> Any:
        """Return the range as in a file."""
        document: dict[str, Any] = {"low": self.low, "high": self.high}
        return document | ({"log": True} if self.log else {}) | ({"step": self.step} if self.step else {})


@dataclass(frozen=True)
class Choices:
    """A list of values.

    Attributes:
        values: The values, in the order of the file.
    """

    values: tuple[Any, ...]

    def __contains__(self, value: Any) -> bool:
        return _key(value) in map(_key, self.values)

    def ends(self) -> list[Any]:
        """Return every value."""
        return list(self.values)

    def to_document(self) -> Any:
        """Return the choices as in a file."""
        return list(self.values)


class Space(Mapping[str, Range | Choices]):
    """The searched settings by name."""

    def __init__(self, domains: Mapping[str, Range | Choices]) -> None:
        """Keep the ranges and choices; :meth:`read` checks them."""
        self._domains = dict(domains)

    def __getitem__(self, name: str) -> Range | Choices:
        return self._domains[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._domains)

    def __len__(self) -> int:
        return len(self._domains)

    @classmethod
    def read(cls, document: Mapping[str, Any], origin: str) -> "Space":
        """Read a space: ``{"learning_rate": {"low": 1e-4, "high": 1e-2, "log": true}, "num_envs": [4, 8]}``.

        Args:
            document: A range or a list for each searched setting.
            origin: The name of the document in error messages.

        Raises:
            ConfigError: A setting is unknown or not searched, or a range or list is wrong.
        """
        if not isinstance(document, Mapping):
            raise ConfigError(
                f"{origin}: {document!r} is not allowed; expected ranges and lists by the name of a setting"
            )
        if not document:
            raise ConfigError(f'{origin} names no setting; expected one at least, such as {{"gamma": [0.98, 0.99]}}')
        domains: dict[str, Range | Choices] = {}
        for name, entry in document.items():
            try:
                _check_name(name, domains)
                domains[name] = _choices(entry) if isinstance(entry, (list, tuple)) else _range(name, entry)
                _check_values(name, domains[name])
            except ConfigError as error:
                raise ConfigError(f"{origin}: {error}") from None
        return cls(domains)

    def to_document(self) -> dict[str, Any]:
        """Return the space as in a file."""
        return {name: domain.to_document() for name, domain in self.items()}

    def check_not_fixed(self, fixed: Mapping[str, Any], origin: str) -> None:
        """Refuse a setting that is fixed and searched.

        Args:
            fixed: The values of fixed settings.
            origin: The name of the space.

        Raises:
            ConfigError: A setting is in both.
        """
        for name in self:
            for same in (name, _SAME.get(name, name)):
                if same in fixed:
                    flag = f"--{same.replace('_', '-')} {fixed[same]}"
                    raise ConfigError(
                        f"{name}: fixed by {flag} and searched in {origin}; leave the flag out, or {name} in {origin}"
                    )


def _key(value: Any) -> str:
    """Return a text that differs for different JSON values: 1, 1.0 and true are different."""
    return json.dumps(value, sort_keys=True)


def _check_name(name: str, before: Mapping[str, Any]) -> None:
    if name not in Config.model_fields:
        raise ConfigError(f"unknown setting {name!r}{nearest(str(name), list(Config.model_fields))}")
    if name in _NOT_SEARCHED:
        raise ConfigError(f"{name}: it is not searched: {_NOT_SEARCHED[name]}; leave it out")
    if (same := _SAME.get(name)) in before:
        raise ConfigError(f"{name} and {same} are two ways to say the same; keep one of them")


def _choices(entry: list[Any] | tuple[Any, ...]) -> Choices:
    return Choices(tuple(entry))


def _range(name: str, entry: Any) -> Range:
    kind = base_type(name)
    if not isinstance(entry, Mapping):
        raise ConfigError(
            f"{name}: {entry!r} is not allowed; expected a list of choices, or a range such as "
            f'{{"low": 1, "high": 2}}; a setting with one value is a flag or belongs in the settings file'
        )
    if kind not in (int, float):
        raise ConfigError(f"{name}: a range is not allowed; expected a list of choices, each {allowed_values(name)}")
    for key in entry:
        if key not in _RANGE_KEYS:
            raise ConfigError(
                f"{name}: unknown key {key!r}; expected {', '.join(_RANGE_KEYS)}{nearest(str(key), list(_RANGE_KEYS))}"
            )
    for key in ("low", "high"):
        if key not in entry:
            raise ConfigError(f'{name}: the range has no {key!r}; expected {{"low": number, "high": number}}')
    low, high = (_number(name, key, entry[key], kind) for key in ("low", "high"))
    log, step = entry.get("log", False), entry.get("step")
    if not isinstance(log, bool):
        raise ConfigError(f"{name}: log: {log!r} is not allowed; expected true or false")
    if step is not None:
        step = _number(name, "step", step, kind)
    found = Range(low, high, log, step, kind is int)
    _check_range(name, found)
    return found


def _number(name: str, key: str, value: Any, kind: type) -> float:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if is_number and kind is float:
        return float(value)
    if is_number and value == int(value):
        return int(value)
    expected = "a whole number" if kind is int else "a number"
    raise ConfigError(f"{name}: {key}: {value!r} is not allowed; expected {expected}")


def _check_range(name: str, found: Range) -> None:
    low, high, step = found.low, found.high, found.step
    if low > high:
        raise ConfigError(f"{name}: low {low:g} is above high {high:g}; swap them")
    if low == high:
        raise ConfigError(
            f"{name}: the range from {low:g} to {high:g} has one value; expected low below high, or set it as a flag"
        )
    if found.log and low <= 0:
        raise ConfigError(f"{name}: low {low:g} is not possible with log; expected a number above 0, or no log")
    if step is None:
        return
    if found.log:
        raise ConfigError(f"{name}: log and step are both given; keep one of them")
    if not 0 < step <= high - low:
        raise ConfigError(f"{name}: step {step:g} is not allowed; expected above 0 and at most {high - low:g}")


def _check_values(name: str, domain: Range | Choices) -> None:
    if isinstance(domain, Choices):
        if len(domain.values) < 2:
            count = "one value" if domain.values else "no value"
            raise ConfigError(f"{name}: the list has {count}; expected two choices at least, or a flag for one value")
        keys = [_key(value) for value in domain.values]
        if twice := next((key for key in keys if keys.count(key) > 1), None):
            raise ConfigError(f"{name}: {twice} appears twice; keep one of them")
    for value in domain.ends():
        Config(**{name: value})
