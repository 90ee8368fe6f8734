"""A recorded episode as a file: GIF, MP4 or text. Pillow and imageio-ffmpeg are imported only when they are used."""

import contextlib
import importlib.util
import itertools
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from actor_critic.errors import ConfigError
from actor_critic.evaluation.panel import draw_panel, panel_width
from actor_critic.evaluation.recorded import RecordedEpisode
from actor_critic.files import write_durably

if TYPE_CHECKING:
    from PIL import Image

Picture = npt.NDArray[np.uint8]

SUFFIXES = (".gif", ".mp4", ".txt")
"""The kinds of files."""

_PACKAGES = {".gif": ("PIL",), ".mp4": ("PIL", "imageio_ffmpeg"), ".txt": ()}
_SHORT, _LONG = 240, 960  # pixels: small images are enlarged to the first, but not beyond the second
_SHORTEST = 20  # milliseconds: browsers show a GIF of shorter frames much slower
_COLOURS = 256
_LOOKED_AT = 12  # frames, for the colours of a GIF
_LAST = 1000  # milliseconds that a GIF shows the end before it begins again


def save_episode(episode: RecordedEpisode, path: str | Path, *, probabilities: bool = False) -> None:
    """Write an episode to a file: images to ``.gif`` or ``.mp4``, texts to ``.txt``. An existing file is replaced.

    Small images are enlarged. A GIF shows at most 50 frames a second; an MP4 keeps the speed of the environment.

    Args:
        episode: The episode.
        path: The file; its suffix says of which kind.
        probabilities: Whether to show the probabilities of all actions, the critic's value and the step beside each
            frame.

    Raises:
        ConfigError: The suffix is another one or does not fit the frames, a package is not installed, or the file
            cannot be written.
    """
    path = Path(path)
    check_can_write(path)
    _check_has_frames(episode, path)
    match path.suffix.lower():
        case ".gif":
            data = encode_gif(episode, probabilities=probabilities)
        case ".mp4":
            data = _encode_mp4(episode, path, probabilities)
        case _:
            data = encode_text(episode, probabilities=probabilities)
    try:
        write_durably(path, data)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}; expected a writable path") from None


def encode_gif(episode: RecordedEpisode, *, max_frames: int | None = None, probabilities: bool = False) -> bytes:
    """Return an episode as a GIF that repeats for ever, such as for a page.

    Args:
        episode: The episode; its frames are images.
        max_frames: At most this many frames, spread evenly over the episode; None takes all.
        probabilities: As for :func:`save_episode`.

    Raises:
        ConfigError: The episode has no images, or Pillow is not installed.
        ValueError: ``max_frames`` is below 2.
    """
    if max_frames is not None and max_frames < 2:
        raise ValueError(f"max_frames: {max_frames} is not allowed; expected at least 2")
    check_installed(".gif")
    _check_has_frames(episode, Path("a.gif"))
    from PIL import Image

    count = len(episode.frames)
    kept: Sequence[int] = range(count)
    if max_frames is not None and count > max_frames:
        kept = np.linspace(0, count - 1, max_frames).round().astype(int).tolist()
    steps = [episode.frame_steps[number] for number in kept]
    durations = [_milliseconds((after - before) / episode.fps) for before, after in itertools.pairwise(steps)]
    palette = _palette(episode, kept, probabilities)
    pictures = _pictures(episode, kept, probabilities)
    images = (Image.fromarray(picture).quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures)
    stream = BytesIO()
    next(images).save(
        stream, "GIF", save_all=True, append_images=images, duration=[*durations, _LAST], loop=0, optimize=False
    )
    return stream.getvalue()


def encode_text(episode: RecordedEpisode, *, probabilities: bool = False) -> bytes:
    """Return the texts of an episode, each below a line about its step.

    Args:
        episode: The episode; its frames are texts, or it has none.
        probabilities: Whether to write the probabilities of all actions too.
    """
    shown = dict(zip(episode.frame_steps, episode.frames, strict=True))
    blocks = []
    for step in range(episode.length + 1):
        if episode.frames and step not in shown:
            continue
        line = step_line(episode, step, probabilities) if step < episode.length else episode.describe()
        frame = str(shown[step]).rstrip("\n") + "\n" if step in shown else ""
        blocks.append(f"{frame}{line}\n")
    return ("\n" if episode.frames else "").join(blocks).encode()


def step_line(episode: RecordedEpisode, step: int, probabilities: bool) -> str:
    """Return a step in one line: its action, reward and value, and perhaps the probabilities of all actions.

    The probabilities of each choice of an action are separated by a semicolon.
    """
    taken, shares, first = [], [], 0
    for choice, size in zip(episode.choices[step], episode.action_sizes, strict=True):
        names = episode.action_names[first : first + size]
        taken.append(names[choice])
        pairs = zip(names, episode.probabilities[step, first : first + size], strict=True)
        shares.append(", ".join(f"{name} {share:.3f}" for name, share in pairs))
        first += size
    line = f"step {step}: action {' '.join(taken)}, reward {episode.rewards[step]:g}, value {episode.values[step]:.3g}"
    return f"{line}, probabilities {'; '.join(shares)}" if probabilities else line


def check_can_write(path: Path) -> None:
    """Check that a file is of a known kind, and that the packages for it are installed.

    Raises:
        ConfigError: It is of another kind, or a package is not installed.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{path} is none of the kinds of files that an episode is written to: {', '.join(SUFFIXES)}")
    check_installed(path.suffix.lower())


def check_installed(suffix: str) -> None:
    """Check that the packages for a kind of file are installed.

    Raises:
        ConfigError: One is not.
    """
    for package in _PACKAGES[suffix]:
        if importlib.util.find_spec(package) is None:
            name = {"PIL": "Pillow", "imageio_ffmpeg": "imageio-ffmpeg"}[package]
            raise ConfigError(f'{suffix} files need {name}, which is not installed: pip install "actor-critic[video]"')


def _check_has_frames(episode: RecordedEpisode, path: Path) -> None:
    is_image_file = path.suffix.lower() != ".txt"
    if not episode.frames and is_image_file:
        raise ConfigError("the episode was recorded without frames; record it with frames=True")
    if episode.frames and is_image_file == episode.is_text:
        has, mend = ("texts", ".txt") if episode.is_text else ("images", ".gif or .mp4")
        raise ConfigError(f"the episode has {has}, which are no {path.suffix.lower()}; write it to {mend}")


def _encode_mp4(episode: RecordedEpisode, path: Path, probabilities: bool) -> bytes:
    import imageio_ffmpeg

    pictures = (_even(each) for each in _pictures(episode, range(len(episode.frames)), probabilities))
    first = next(pictures)
    steps = episode.frame_steps
    fps = episode.fps / (steps[1] - steps[0]) if len(steps) > 1 else episode.fps
    with tempfile.TemporaryDirectory() as folder:
        file, errors = Path(folder) / "episode.mp4", Path(folder) / "errors"
        given = f"-f rawvideo -pix_fmt rgb24 -s {first.shape[1]}x{first.shape[0]} -r {fps} -i -"
        made = "-an -c:v libx264 -pix_fmt yuv420p -crf 18 -movflags +faststart"
        try:
            command = [imageio_ffmpeg.get_ffmpeg_exe(), *f"-loglevel error {given} {made}".split(), str(file)]
            with (
                errors.open("wb") as stream,
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=stream) as process,
            ):
                assert process.stdin is not None
                with contextlib.suppress(BrokenPipeError):  # the exit code and its errors say why
                    for picture in itertools.chain([first], pictures):
                        process.stdin.write(picture.tobytes())
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.close()
            if process.returncode == 0:
                return file.read_bytes()
            why = errors.read_text(errors="replace") or f"exit code {process.returncode}"
        except (OSError, RuntimeError) as error:  # no such program, or no space for the file
            why = str(error)
        raise ConfigError(f"{path} cannot be encoded by ffmpeg: {' '.join(why.split())[:300]}; write a .gif instead")


def _pictures(episode: RecordedEpisode, kept: Sequence[int], probabilities: bool) -> Iterator[Picture]:
    """Return frames, enlarged if they are small, and perhaps with a panel beside them."""
    for number in kept:
        frame = episode.frames[number]
        assert not isinstance(frame, str)
        scale = _scale(frame)
        picture = frame.repeat(scale, 0).repeat(scale, 1)
        if probabilities:
            height = max(picture.shape[0], _SHORT)
            above = (height - picture.shape[0]) // 2
            picture = np.pad(picture, ((above, height - picture.shape[0] - above), (0, 0), (0, 0)))
            panel = draw_panel(episode, episode.frame_steps[number], (panel_width(height), height))
            picture = np.concatenate([picture, panel], axis=1)
        yield picture


def _palette(episode: RecordedEpisode, kept: Sequence[int], probabilities: bool) -> "Image.Image":
    """Return an image with the 256 colours of a GIF: the most frequent ones of some frames, and means of the others.

    A palette for every frame would take ten times as long.
    """
    from PIL import Image

    seen = []
    for picture in _pictures(episode, kept[:: -(-len(kept) // _LOOKED_AT)], probabilities):
        wide = picture.astype(np.uint32)
        seen.append(np.unique(wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2], return_counts=True))
    colours, places = np.unique(np.concatenate([found for found, _ in seen]), return_inverse=True)
    counts = np.bincount(places, np.concatenate([count for _, count in seen]))
    colours = colours[np.argsort(-counts, kind="stable")]
    # Pillow compares colours in steps of four, so of colours that are closer only the most frequent one is kept.
    colours = colours[np.sort(np.unique(colours & 0xFCFCFC, return_index=True)[1])]
    each = np.stack([colours >> 16, colours >> 8 & 255, colours & 255], axis=1).astype(np.uint8)
    exact = each if len(each) <= _COLOURS else each[: _COLOURS // 2]
    bytes_of_palette = exact.tobytes()
    if len(rest := each[len(exact) :]):
        means = Image.fromarray(rest[None]).quantize(_COLOURS - len(exact), dither=Image.Dither.NONE)
        bytes_of_palette += bytes(means.getpalette() or [])
    palette = Image.new("P", (1, 1))
    palette.putpalette(bytes_of_palette)
    return palette


def _scale(frame: Picture) -> int:
    """Return how many times a small frame is enlarged."""
    short, long = sorted(frame.shape[:2])
    return max(1, min(-(-_SHORT // short), _LONG // long))


def _even(picture: Picture) -> Picture:
    """Return a picture with its last row and column repeated where a size is odd, which MP4 does not allow."""
    height, width = picture.shape[:2]
    return np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _milliseconds(seconds: float) -> int:
    return max(_SHORTEST, round(seconds * 100) * 10)  # a GIF counts hundredths of a second
