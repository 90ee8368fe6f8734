"""Attributes that cannot be assigned, because an assignment would have no effect or a harmful one."""

from typing import Any, ClassVar

from actor_critic.config import SETTING_NAMES


class FixedAttributes:
    """Base class that forbids a second assignment to some attributes, and names the alternative.

    Names of settings cannot be assigned either, because nothing would read them.
    """

    _fixed: ClassVar[dict[str, str]]

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._fixed:
            if name in vars(self):
                raise AttributeError(f"{type(self).__name__}.{name} cannot be assigned; {self._fixed[name]}")
        elif name in SETTING_NAMES:
            kind = type(self).__name__
            raise AttributeError(
                f"{name} is a setting, and {kind}.settings cannot be changed; make a new {kind} from a new Config"
            )
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        if name in self._fixed and name in vars(self):
            raise AttributeError(f"{type(self).__name__}.{name} cannot be deleted; {self._fixed[name]}")
        super().__delattr__(name)
