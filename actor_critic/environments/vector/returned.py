"""Checks of the values that an environment returns from a step or a reset."""

from typing import Any

from actor_critic.spaces import as_array


def checked_step(reward: Any, terminated: Any, truncated: Any, info: Any) -> tuple[float, bool, bool]:
    """Convert the values of an unusual step to the usual types.

    Raises:
        TypeError: A value cannot be converted.
    """
    if isinstance(reward, (str, bytes)) or as_array(reward).size != 1:
        raise TypeError(f"the reward {reward!r} ({type(reward).__name__}) where a number belongs")
    for name, flag in (("terminated", terminated), ("truncated", truncated)):
        if not is_truth_value(flag):
            raise TypeError(f"{name} as {flag!r} ({type(flag).__name__}) where true or false belongs")
    check_info(info)
    try:
        return float(as_array(reward).reshape(())), bool(terminated), bool(truncated)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"the reward {reward!r} ({type(reward).__name__}) where a number belongs") from None


def is_truth_value(flag: Any) -> bool:
    """Return whether a value is true or false: a bool, 0 or 1, or an array or tensor of one of these without axes."""
    found = as_array(flag)
    return found.shape == () and found.dtype.kind in "biu" and int(found) in (0, 1)


def check_info(info: Any) -> None:
    """Check that an info is a dict.

    Raises:
        TypeError: The info is not a dict.
    """
    if not isinstance(info, dict):
        raise TypeError(f"info as {info!r} ({type(info).__name__}) where a dict belongs")


def misfit(returned: Any, count: int, what: str, error: Exception) -> str:
    """Describe what is wrong with the values that an environment returned."""
    values = {2: "an observation and an info", 5: "observation, reward, terminated, truncated and info"}[count]
    if not isinstance(returned, tuple):
        return f"returned a {type(returned).__name__} from {what}; expected {values}"
    if len(returned) != count:
        return f"returned {len(returned)} values from {what}; expected {count}: {values}"
    return f"returned from {what} {error}"
