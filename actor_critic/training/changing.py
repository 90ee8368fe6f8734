"""What a program may change between epochs."""

from collections.abc import Iterable
from typing import Any

from actor_critic.config import SETTING_NAMES, Config, Settings, nearest, settings_of
from actor_critic.errors import ConfigError
from actor_critic.storage import Change

CHANGEABLE = (
    "learning_rate", "clip_coef", "ent_coef", "vf_coef", "max_grad_norm", "target_kl", "gae_lambda", "update_epochs",
    "clip_rewards",
)  # fmt: skip
"""The settings that may change between epochs: those that only the update reads."""


def new_change(
    settings: Settings, changes: list[Change], epoch: int, values: dict[str, Any], environment: dict[str, Any]
) -> Change:
    """Return a checked change.

    Args:
        settings: The settings that the run began with.
        changes: The changes so far.
        epoch: Epochs done.
        values: New values by setting.
        environment: New values by method or attribute of the environment.

    Raises:
        ConfigError: A setting cannot change, or a value is not allowed.
    """
    for name in values:
        if name not in SETTING_NAMES:
            raise ConfigError(f"change: unknown setting {name!r}{nearest(name, list(CHANGEABLE))}")
        if name not in CHANGEABLE:
            raise ConfigError(
                f"change: {name} cannot change during a run; these can: {', '.join(CHANGEABLE)}, and the environment, "
                f'as environment={{"difficulty": 0.3}}'
            )
    for name in environment:
        if not isinstance(name, str) or not name.isidentifier() or name.startswith("_"):
            raise ConfigError(
                f"change: environment: {name!r} is not allowed; expected the name of a method or attribute that does "
                f"not begin with _"
            )
    checked = Config(**values, environment_kwargs=environment)  # checks and copies the values
    before = changed(settings, changes)
    for name in values:
        new, old = getattr(checked, name), getattr(before, name)
        if new is None or new == "off" or old is None:
            state = "off" if old is None else "on"
            raise ConfigError(
                f"change: {name}={values[name]!r} is not allowed; it is {state}, and stays so in this run"
            )
    change = Change(epoch, {name: getattr(checked, name) for name in values}, checked.environment_kwargs or {})
    settings_of(changed(settings, [*changes, change]))  # checks the rules between settings
    return change


def changed(settings: Settings, changes: Iterable[Change]) -> Settings:
    """Return settings with changes, the last one of each setting."""
    return settings.replace(**{name: value for change in changes for name, value in change.settings.items()})


def of_environments(changes: Iterable[Change]) -> list[dict[str, Any]]:
    """Return the changes of the environments, oldest first."""
    return [change.environment for change in changes if change.environment]
