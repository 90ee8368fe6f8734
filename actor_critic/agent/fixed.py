"""Attributes that cannot be assigned, where an assignment would be taken and have no effect, or a harmful one."""

from dataclasses import fields
from typing import Any, ClassVar

from actor_critic.config import Settings

_SETTINGS = frozenset(field.name for field in fields(Settings))


class FixedAttributes:
    """The base of classes that say which of their attributes are assigned once and for all, and what to do instead.

    The names of settings are no attributes to assign either: nobody would read them.
    """

    _fixed: ClassVar[dict[str, str]]

    def __setattr__(self, name: str, value: Any) -> None:
        kind = type(self).__name__
        if name in self._fixed:
            if name in vars(self):
                raise AttributeError(f"{kind}.{name} cannot be assigned; {self._fixed[name]}")
        elif name in _SETTINGS:
            raise AttributeError(
                f"{name} is a setting, and {kind}.settings cannot be changed; make another one from another Config"
            )
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        if name in self._fixed and name in vars(self):
            raise AttributeError(f"{type(self).__name__}.{name} cannot be deleted; {self._fixed[name]}")
        super().__delattr__(name)
