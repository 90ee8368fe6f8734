"""A panel beside the frames of an episode: step, value, and a bar for the probability of each action."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from actor_critic.evaluation.recorded import RecordedEpisode

if TYPE_CHECKING:
    from PIL import ImageDraw, ImageFont

_BACKGROUND, _TEXT, _FAINT = (24, 26, 30), (235, 235, 235), (120, 124, 132)
_BAR, _CHOSEN, _TROUGH = (86, 132, 196), (240, 168, 60), (46, 49, 56)
_HEADINGS = 3  # lines above the bars


def panel_width(height: int) -> int:
    """Return the width of a panel of some height."""
    return max(200, min(360, height // 2))


def draw_panel(episode: RecordedEpisode, step: int, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Draw the panel of the frame at a step; at the end of the episode it shows the return.

    If the panel is too small for all actions, it shows the most probable ones.

    Args:
        episode: The episode.
        step: The number of steps that had been taken.
        size: Width and height in pixels.

    Returns:
        The panel, [H, W, 3].
    """
    from PIL import Image, ImageDraw, ImageFont

    width, height = size
    letters = max(12, min(20, height // 22))
    font = ImageFont.load_default(letters)
    line, margin = round(letters * 1.5), letters // 2
    image = Image.new("RGB", size, _BACKGROUND)
    draw = ImageDraw.Draw(image)
    so_far = float(episode.rewards[:step].sum())
    is_end = step >= episode.length
    headings = [f"step {step}" + (" (end)" if is_end else ""), f"return so far {so_far:.4g}"]
    headings += [] if is_end else [f"value {episode.values[step]:.4g}"]
    for number, words in enumerate(headings):
        draw.text((margin, margin + number * line), words, _TEXT, font=font)
    if not is_end:
        top = margin + _HEADINGS * line + margin
        rows = (height - top - margin) // line
        _draw_bars(draw, font, episode, step, (margin, top, width - margin, line), max(1, rows))
    return np.asarray(image)


def _draw_bars(
    draw: "ImageDraw.ImageDraw",
    font: "ImageFont.FreeTypeFont | ImageFont.ImageFont",
    episode: RecordedEpisode,
    step: int,
    place: tuple[int, int, int, int],
    rows: int,
) -> None:
    """Draw a row for each action, at ``place``: left, top, right, and the height of a row."""
    left, top, right, line = place
    shares, mask = episode.probabilities[step], None if episode.masks is None else episode.masks[step]
    first_of_groups = np.cumsum((0, *episode.action_sizes[:-1]))
    chosen = set((first_of_groups + episode.choices[step]).tolist())
    actions = list(range(len(shares)))
    if len(actions) > rows:  # the last row says how many are left out
        actions = sorted(np.argsort(-shares, kind="stable")[: rows - 1].tolist())
    left_out = len(shares) - len(actions)
    names = {action: _short(episode.action_names[action]) for action in actions}
    several = len(episode.action_sizes) > 1
    if several:  # choices of several groups have the same numbers
        groups = np.searchsorted(first_of_groups, range(len(shares)), side="right")
        names = {action: f"{groups[action]}: {name}" for action, name in names.items()}
    begin = left + max((round(draw.textlength(name, font)) for name in names.values()), default=0) + line // 3
    end = right - round(draw.textlength("0.00", font)) - line // 3
    for row, action in enumerate(actions):
        y = top + row * line
        is_allowed = mask is None or bool(mask[action])
        ink = _CHOSEN if action in chosen else _TEXT if is_allowed else _FAINT
        draw.text((left, y), names[action], ink, font=font)
        if is_allowed:
            bottom = y + line - line // 4
            draw.rectangle((begin, y, end, bottom), _TROUGH)
            if (length := round((end - begin) * float(shares[action]))) > 0:
                draw.rectangle((begin, y, begin + length, bottom), _CHOSEN if action in chosen else _BAR)
            draw.text((end + line // 3, y), f"{shares[action]:.2f}", ink, font=font)
        else:
            draw.text((begin, y), "masked", _FAINT, font=font)
    if left_out:
        draw.text((left, top + len(actions) * line), f"and {left_out} more", _FAINT, font=font)


def _short(name: str) -> str:
    return name if len(name) <= 12 else f"{name[:11]}…"
