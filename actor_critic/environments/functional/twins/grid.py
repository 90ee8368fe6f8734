"""Functions that several worlds of tiles share."""


def turned(direction: int, number: float, aside: float, ahead: float) -> int:
    """Return the direction of a step that may slip to the side.

    The outcome is the first whose cumulative probability exceeds the number, and the first one of all if rounding left
    the sum of the probabilities below it, as in the originals.

    Args:
        direction: The direction meant, 0 to 3, counted around.
        number: Uniform in [0, 1).
        aside: Probability of each side.
        ahead: Probability of the direction meant.
    """
    if number < aside:
        return (direction + 3) % 4
    if number < aside + ahead:
        return direction
    return (direction + 1) % 4 if number < aside + ahead + aside else (direction + 3) % 4
