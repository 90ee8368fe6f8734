"""The checkpoint format: whole or refused."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from actor_critic import checkpoints
from actor_critic.checkpoints import Checkpoint
from actor_critic.errors import CheckpointError


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
