"""Twin: a functional environment with the dynamics of an environment of Gymnasium."""

from collections.abc import Callable
from typing import Any, ClassVar

from actor_critic.environments.functional.environment import FunctionalEnvironment


class Twin(FunctionalEnvironment):
    """An environment that gives the same bits as one of Gymnasium, its original, from the same state.

    First states have the same distribution, but the numbers that are drawn with a seed differ, because ``random`` is
    another generator.

    Attributes:
        needed: Attributes of the original that :meth:`put` and :meth:`take` use.
        first_tolerance: How far entries of a first observation may be from the original's.
    """

    needed: ClassVar[tuple[str, ...]] = ("s",)
    first_tolerance: ClassVar[float] = 0.0

    spread: Callable[..., None]
    """``spread(state, random, parameters)`` writes any state, so that all states are compared, not only early ones."""

    def put(self, state: Any, original: Any) -> None:
        """Set the original into a state."""
        raise NotImplementedError

    def take(self, original: Any) -> tuple[Any, ...]:
        """Return the state of the original, as the fields of a state."""
        raise NotImplementedError
