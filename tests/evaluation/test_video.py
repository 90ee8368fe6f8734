"""Recorded episodes as files: what is written is read back by another library."""

import importlib.util
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from actor_critic import ConfigError, RecordedEpisode, encode_gif, save_episode
from actor_critic.evaluation import encode_text, step_line


def _episode(
    size: tuple[int, int] = (41, 37), length: int = 5, sizes: tuple[int, ...] = (2,), every: int = 1, **others: Any
) -> RecordedEpisode:
    """An episode whose frames have a green line that moves down."""
    steps = [*range(0, length, every), length]
    frames: list[npt.NDArray[np.uint8]] = []
    for step in steps:
        frame = np.zeros((*size, 3), np.uint8)
        frame[step % size[0], :, 1] = 255
        frames.append(frame)
    names = tuple(str(choice) for size in sizes for choice in range(size))
    shares = np.concatenate([np.full(size, 1 / size, np.float32) for size in sizes])
    content: dict[str, Any] = {
        "environment": "Screen-v0",
        "episode": 0,
        "mode": "greedy",
        "frames": frames,
        "frame_steps": steps,
        "actions": [0] * length,
        "choices": np.zeros((length, len(sizes)), np.int64),
        "rewards": np.ones(length),
        "probabilities": np.tile(shares, (length, 1)),
        "values": np.linspace(1, 2, length, dtype=np.float32),
        "masks": None,
        "action_sizes": sizes,
        "action_names": names,
        "returns": float(length),
        "length": length,
        "truncated": False,
        "fps": 5.0,
    }
    return RecordedEpisode(**(content | others))


def _of_gif(data: bytes) -> tuple[list[npt.NDArray[np.uint8]], list[int]]:
    """The frames of a GIF, and the milliseconds that it shows each."""
    frames, durations = [], []
    with Image.open(BytesIO(data)) as image:
        assert image.info["loop"] == 0
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            durations.append(image.info["duration"])
            frames.append(np.asarray(image.convert("RGB")))
    return frames, durations


def _of_mp4(path: Path) -> tuple[int, float, int]:
    """How many frames an MP4 has, how many it shows a second, and the pixels of each."""
    count, seconds = imageio_ffmpeg.count_frames_and_secs(str(path))
    command = [imageio_ffmpeg.get_ffmpeg_exe(), *f"-loglevel error -i {path} -f rawvideo -pix_fmt rgb24 -".split()]
    data = subprocess.run(command, capture_output=True, check=True).stdout
    return count, count / seconds, len(data) // count // 3


def test_a_gif_has_every_frame_enlarged_and_in_its_colours() -> None:
    episode = _episode()
    frames, durations = _of_gif(encode_gif(episode))
    assert len(frames) == 6
    assert durations == [200] * 5 + [1000]
    for frame, original in zip(frames, episode.frames, strict=True):
        assert frame.shape == (41 * 7, 37 * 7, 3)
        assert np.array_equal(frame[3::7, 3::7], original)


def test_a_gif_of_few_frames_takes_as_long() -> None:
    frames, durations = _of_gif(encode_gif(_episode(length=40), max_frames=5))
    assert len(frames) == 5
    assert durations == [2000] * 4 + [1000]
    _, fast = _of_gif(encode_gif(_episode(fps=1000.0)))
    assert fast[:-1] == [20] * 5


def test_a_gif_of_many_colours_keeps_the_most_frequent_ones() -> None:
    random = np.random.default_rng(0)
    frame = random.integers(0, 256, (240, 240, 3), np.uint8)
    frame[:, :120] = (200, 20, 120)
    (found,), _ = _of_gif(encode_gif(_episode(frames=[frame, frame])))
    assert np.abs(found[:, :120].astype(int) - frame[:, :120]).max() <= 4
    assert np.abs(found.astype(int) - frame).mean() < 30


@pytest.mark.parametrize("size", [(41, 37), (40, 40), (241, 321), (1, 1), (7, 500)])
@pytest.mark.parametrize("probabilities", [False, True])
def test_an_mp4_has_every_frame_at_the_speed_of_the_environment(
    size: tuple[int, int], probabilities: bool, tmp_path: Path
) -> None:
    path = tmp_path / "episode.mp4"
    save_episode(_episode(size, every=2), path, probabilities=probabilities)
    count, fps, pixels = _of_mp4(path)
    assert count == 4
    assert fps == pytest.approx(2.5, rel=0.01)
    scale = {41: 7, 40: 6, 241: 1, 1: 240, 7: 1}[size[0]]
    height, width = (length * scale for length in size)
    if probabilities:
        height = max(height, 240)
        width += 200
    assert pixels == (height + height % 2) * (width + width % 2)
    assert [entry.name for entry in tmp_path.iterdir()] == ["episode.mp4"]


def test_the_panel_shows_chosen_actions_and_masks_beside_the_frame() -> None:
    masks = np.ones((5, 5), np.bool_)
    masks[:, 1] = False
    with_masks = _episode((240, 240), sizes=(3, 2), masks=masks, action_names=("a very long name", "b", "c", "0", "1"))
    without = _episode((240, 240), sizes=(3, 2))
    (plain, *_), _ = _of_gif(encode_gif(without))
    (panel, *_), _ = _of_gif(encode_gif(without, probabilities=True))
    (masked, *_), _ = _of_gif(encode_gif(with_masks, probabilities=True))
    assert panel.shape == (240, 440, 3)
    assert np.array_equal(panel[:, :240], plain)
    orange = np.abs(panel[:, 240:].astype(int) - (240, 168, 60)).sum(2) < 12
    assert 2 * 8 <= np.count_nonzero(orange.sum(1) > 20) <= 2 * 20  # two bars of chosen actions
    assert not np.array_equal(panel, masked)


def test_a_panel_with_more_actions_than_lines_shows_the_most_probable() -> None:
    frames, _ = _of_gif(encode_gif(_episode((240, 240), sizes=(200,)), probabilities=True))
    assert frames[0].shape == (240, 440, 3)
    assert len(frames) == 6


def test_texts_are_written_with_their_steps(tmp_path: Path) -> None:
    texts = [f"at {step}\n" for step in range(3)]
    episode = _episode(length=2, frames=texts, frame_steps=[0, 1, 2], sizes=(2, 2))
    save_episode(episode, tmp_path / "episode.txt", probabilities=True)
    assert (tmp_path / "episode.txt").read_text() == (
        "at 0\nstep 0: action 0 0, reward 1, value 1, probabilities 0 0.500, 1 0.500; 0 0.500, 1 0.500\n\n"
        "at 1\nstep 1: action 0 0, reward 1, value 2, probabilities 0 0.500, 1 0.500; 0 0.500, 1 0.500\n\n"
        "at 2\nepisode 0, greedy: return 2, ended after 2 steps\n"
    )
    bare = _episode(length=2, frames=[], frame_steps=[])
    assert encode_text(bare).decode().splitlines() == [
        step_line(bare, 0, False), step_line(bare, 1, False), "episode 0, greedy: return 2, ended after 2 steps"
    ]  # fmt: skip


TEXT: dict[str, Any] = {"frames": ["x"], "frame_steps": [0]}
NOTHING: dict[str, Any] = {"frames": [], "frame_steps": []}


@pytest.mark.parametrize(
    ("changes", "name", "words"),
    [
        ({}, "a.avi", r"a\.avi is none of the kinds of files that an episode is written to: \.gif, \.mp4, \.txt$"),
        ({}, "a.txt", r"^the episode has images, which are no \.txt; write it to \.gif or \.mp4$"),
        (TEXT, "a.GIF", r"^the episode has texts, which are no \.gif; write it to \.txt$"),
        (NOTHING, "a.mp4", r"^the episode was recorded without frames; record it with frames=True$"),
        ({}, "missing/a.gif", r"missing/a\.gif cannot be written: No such file or directory; expected a writable"),
    ],
)
def test_what_cannot_be_written_is_an_error_of_one_line(
    changes: dict[str, Any], name: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=words):
        save_episode(_episode(**changes), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_gif_has_at_least_two_frames() -> None:
    with pytest.raises(ValueError, match="max_frames: 1 is not allowed; expected at least 2"):
        encode_gif(_episode(), max_frames=1)


@pytest.mark.parametrize(
    ("suffix", "package", "name"),
    [(".gif", "PIL", "Pillow"), (".mp4", "PIL", "Pillow"), (".mp4", "imageio_ffmpeg", "imageio-ffmpeg")],
)
def test_a_package_that_is_missing_is_named_with_the_command_that_installs_it(
    suffix: str, package: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: None if module == package else find(module))
    with pytest.raises(ConfigError) as caught:
        save_episode(_episode(), tmp_path / f"a{suffix}")
    assert str(caught.value) == (
        f'{suffix} files need {name}, which is not installed: pip install "actor-critic[video]"'
    )


def test_an_encoder_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"old")
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", sys.executable)  # which takes none of the arguments
    with pytest.raises(ConfigError, match=r"a\.mp4 cannot be encoded by ffmpeg: .*; write a \.gif instead$"):
        save_episode(_episode(), path)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.mp4"]
