"""The checkpoint format: whole or refused."""

import dataclasses
import json
import math
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from actor_critic.errors import CheckpointError
from actor_critic.storage import checkpoints
from actor_critic.storage.checkpoints import Checkpoint


def _example() -> Checkpoint:
    settings = {"gamma": 0.99, "log_file": "x.log", "num_epochs": 7, "anneal_lr": False}
    tensors = {"w": torch.arange(6.0).reshape(2, 3), "n": torch.tensor([3], dtype=torch.int64), "e": torch.zeros(0, 2)}
    return Checkpoint(settings, {"action": {"sizes": [2]}}, {"epoch": 4}, tensors, {"best": 1.5})


def test_what_is_saved_is_loaded_back(tmp_path: Path) -> None:
    saved = _example()
    digest = checkpoints.save(saved, tmp_path / "a.safetensors")
    loaded = checkpoints.load(tmp_path / "a.safetensors")
    assert digest == saved.digest == loaded.digest
    assert (loaded.settings, loaded.spaces, loaded.counters) == (saved.settings, saved.spaces, saved.counters)
    assert loaded.records == {"best": 1.5}
    for name, tensor in saved.tensors.items():
        assert torch.equal(loaded.tensors[name], tensor)
        assert loaded.tensors[name].dtype == tensor.dtype


def test_any_safetensors_reader_opens_it(tmp_path: Path) -> None:
    checkpoints.save(_example(), tmp_path / "a.safetensors")
    assert torch.equal(safetensors.torch.load_file(tmp_path / "a.safetensors")["w"], _example().tensors["w"])


def test_the_digest_changes_with_every_bit_of_every_tensor() -> None:
    base = _example()
    seen = {base.digest}
    bits = 0
    for name, tensor in base.tensors.items():
        raw = tensor.contiguous().numpy().tobytes()
        for bit in range(8 * len(raw)):
            flipped = bytearray(raw)
            flipped[bit // 8] ^= 1 << bit % 8
            array = np.frombuffer(bytes(flipped), tensor.numpy().dtype).reshape(tensor.shape)
            changed = {**base.tensors, name: torch.from_numpy(array.copy())}
            seen.add(Checkpoint(base.settings, base.spaces, base.counters, changed).digest)
            bits += 1
    assert bits == 8 * (6 * 4 + 8)
    assert len(seen) == bits + 1


def test_the_digest_covers_what_is_computed_and_not_what_is_recorded() -> None:
    base = _example()

    def digest(**changes: object) -> str:
        return Checkpoint(base.settings | changes, base.spaces, base.counters, base.tensors).digest

    assert digest(gamma=0.98) != base.digest
    assert digest(log_file="y.log") == base.digest
    assert digest(num_epochs=8) == base.digest
    assert digest(num_epochs=8, anneal_lr=True) != digest(anneal_lr=True)
    assert Checkpoint(base.settings, base.spaces, {"epoch": 5}, base.tensors).digest != base.digest
    renamed = {("v" if name == "w" else name): tensor for name, tensor in base.tensors.items()}
    assert Checkpoint(base.settings, base.spaces, base.counters, renamed).digest != base.digest
    reshaped = base.tensors | {"w": base.tensors["w"].reshape(3, 2)}
    assert Checkpoint(base.settings, base.spaces, base.counters, reshaped).digest != base.digest


def test_every_flipped_byte_of_the_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    checkpoints.save(_example(), path)
    good = path.read_bytes()
    for position in range(len(good)):
        bad = bytearray(good)
        bad[position] ^= 0x55
        path.write_bytes(bytes(bad))
        with pytest.raises(CheckpointError, match=re.escape(str(path))):
            checkpoints.load(path)


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    checkpoints.save(_example(), path)
    good = path.read_bytes()
    for length in range(0, len(good), 7):
        path.write_bytes(good[:length])
        with pytest.raises(CheckpointError):
            checkpoints.load(path)
    path.write_bytes(good + b"\0")
    with pytest.raises(CheckpointError):
        checkpoints.load(path)


def test_a_newer_schema_is_refused_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.safetensors"
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "SCHEMA_VERSION", 3)
        checkpoints.save(_example(), path)
    with pytest.raises(CheckpointError, match="schema version 3; this program reads 2 to 2"):
        checkpoints.load(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 a zip, as torch.save writes",
        b"\x80\x04\x95 a pickle",
        b"\xff" * 64,
        (2).to_bytes(8, "little") + b"{}",
        (4).to_bytes(8, "little") + b"null",
        safetensors.torch.save({"w": torch.zeros(2)}),
        safetensors.torch.save({"w": torch.zeros(2)}, {"actor_critic": "[]"}),
        safetensors.torch.save({"w": torch.zeros(2)}, {"actor_critic": json.dumps({"schema_version": True})}),
        safetensors.torch.save({"w": torch.zeros(2)}, {"actor_critic": json.dumps({"schema_version": 2})}),
    ],
)
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=re.escape(str(path))):
        checkpoints.load(path)


def test_a_disk_that_refuses_is_a_checkpoint_error_and_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    checkpoints.save(_example(), path)
    before = path.read_bytes()
    (tmp_path / "folder").mkdir()
    with pytest.raises(CheckpointError, match="cannot be written"):
        checkpoints.save(_example(), tmp_path / "folder")
    with pytest.raises(CheckpointError, match="cannot be written"):
        checkpoints.save(_example(), tmp_path / "missing" / "a.safetensors")
    assert path.read_bytes() == before
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.safetensors", "folder"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes and devices are those of POSIX")
def test_a_pipe_a_device_and_a_folder_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder.safetensors").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    for path in (tmp_path / "pipe", tmp_path / "folder.safetensors", tmp_path / "loop", Path("/dev/zero")):
        with pytest.raises(CheckpointError, match=f"^{path} cannot be read: "):
            checkpoints.load(path)


def test_a_file_larger_than_the_memory_that_is_free_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    entry = {"dtype": "F32", "shape": [1 << 38], "data_offsets": [0, 1 << 40]}
    header = json.dumps({"w": entry}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    os.truncate(path, 8 + len(header) + (1 << 40))  # a hole, which takes no room on the disk
    with pytest.raises(CheckpointError, match=r"it needs 1099511627776 bytes of memory, and \d+ are free"):
        checkpoints.load(path)


def test_tensors_follow_one_another_without_a_gap(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    checkpoints.save(_example(), path)
    good = path.read_bytes()
    length = int.from_bytes(good[:8], "little")
    outer = json.loads(good[8 : 8 + length])
    for name in _example().tensors:
        for offsets in ([0, 0], [8, 4], [-8, 0], [1, 25], [0, 2**64], [0.0, 8], None):
            changed = json.dumps({**outer, name: {**outer[name], "data_offsets": offsets}}).encode()
            if json.loads(changed) != outer:
                path.write_bytes(len(changed).to_bytes(8, "little") + changed + good[8 + length :])
                with pytest.raises(CheckpointError, match=f"{name}: the offsets are wrong"):
                    checkpoints.load(path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"counters": {"epoch": -1}}, "counters holds a wrong entry, 'epoch'"),
        ({"counters": {"epoch": True}}, "counters holds a wrong entry, 'epoch'"),
        ({"counters": {"epoch": 10**400}}, "counters holds a wrong entry, 'epoch'"),
        ({"records": {"best": "high"}}, "records holds a wrong entry, 'best'"),
        ({"code": {"encoder": 1}}, "code holds a wrong entry, 'encoder'"),
        ({"settings": {"\x1b[2J": 1}}, r"settings holds a wrong entry, '.x1b"),
    ],
)
def test_what_is_no_count_figure_or_text_is_refused_whatever_the_digest(
    tmp_path: Path, changes: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.safetensors"
    with monkeypatch.context() as somebody_else:
        somebody_else.setattr(checkpoints, "_SOUND", {})
        checkpoints.save(dataclasses.replace(_example(), **changes), path)
    with pytest.raises(CheckpointError, match=words):
        checkpoints.load(path)


def test_what_could_not_be_read_again_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    base = _example()
    with pytest.raises(CheckpointError, match="records holds best = -inf"):
        checkpoints.save(dataclasses.replace(base, records={"best": -math.inf}), path)
    assert not path.exists()
    checkpoints.save(dataclasses.replace(base, tensors={f"w{k}": torch.zeros(0) for k in range(5000)}), path)
    assert len(checkpoints.load(path).tensors) == 5000
    with pytest.raises(CheckpointError, match="the names of 20000 tensors take"):
        checkpoints.save(dataclasses.replace(base, tensors={f"w{k}": torch.zeros(0) for k in range(20000)}), path)
    checkpoints.save(dataclasses.replace(base, tensors={"w": torch.zeros(2, dtype=torch.float16)}), path)
    with pytest.raises(CheckpointError, match=r"w is torch\.bfloat16, which a checkpoint cannot hold"):
        checkpoints.save(dataclasses.replace(base, tensors={"w": torch.zeros(2, dtype=torch.bfloat16)}), path)
    large = {"environment_kwargs": {"map": "x" * (1 << 20)}}
    with pytest.raises(CheckpointError, match="make the settings' keyword arguments smaller"):
        checkpoints.save(dataclasses.replace(base, settings=large), path)
    assert checkpoints.load(path).tensors["w"].dtype == torch.float16


def test_a_truth_value_is_zero_or_one(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    checkpoints.save(dataclasses.replace(_example(), tensors={"b": torch.tensor([True, False])}), path)
    assert checkpoints.load(path).tensors["b"].tolist() == [True, False]
    path.write_bytes(path.read_bytes()[:-1] + b"\2")
    with pytest.raises(CheckpointError, match="b: a truth value is neither 0 nor 1"):
        checkpoints.load(path)
