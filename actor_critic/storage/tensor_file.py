"""A strict reader of the safetensors format: a file is validated before memory is allocated for its tensors."""

import math
import os
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import psutil
import torch
from torch import Tensor

from actor_critic.config import parse_json_object

MAX_HEADER = 1 << 20
DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "I64": torch.int64, "I32": torch.int32,
    "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
_MAX_AXES = 16
_MAX_NUMBERS = 1 << 60  # the limit of PyTorch, also for an empty tensor


@dataclass(frozen=True)
class _Entry:
    """A tensor as the header describes it."""

    name: str
    dtype: torch.dtype
    shape: list[int]


def read(stream: BinaryIO) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read a whole file.

    Returns:
        Its metadata, and its tensors by name.

    Raises:
        OSError: The file cannot be read.
        ConfigError: The header is not strict JSON.
        ValueError: The file is invalid, or larger than the free memory.
    """
    metadata, entries = _read_header(stream)
    return metadata, {entry.name: _read_tensor(stream, entry) for entry in entries}


def bytes_of(tensor: Tensor) -> memoryview:
    """Return the memory of a contiguous tensor on the CPU."""
    return tensor.numpy().reshape(-1).view(np.uint8).data


def _read_header(stream: BinaryIO) -> tuple[dict[str, Any], list[_Entry]]:
    size = os.fstat(stream.fileno()).st_size
    length = int.from_bytes(stream.read(8), "little")
    if size < 8 or length > size - 8:
        raise ValueError("it is cut short, or it is no safetensors file")
    if length > MAX_HEADER:
        raise ValueError(f"its header claims {length} bytes; at most {MAX_HEADER} are allowed")
    header = parse_json_object(stream.read(length), "its header")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict):
        raise ValueError("its metadata is no JSON object")
    end, entries = 0, []
    for name, entry in header.items():
        found, end = _read_entry(name, entry, end)
        entries.append(found)
    if end != size - 8 - length:
        raise ValueError(f"it holds {size - 8 - length} bytes of tensors; its header says {end}")
    free = psutil.virtual_memory().available
    if end > free:
        raise ValueError(f"it needs {end} bytes of memory, and {free} are free; use a machine with more")
    return metadata, entries


def _read_entry(name: str, entry: Any, begin: int) -> tuple[_Entry, int]:
    """Return the tensor that begins at a byte of the data, and its end; no byte is skipped or shared."""
    if not name.isprintable() or not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"its header has a wrong entry, {name[:60]!r}")
    dtype, shape = entry["dtype"], entry["shape"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ValueError(f"{name}: the dtype is none of {', '.join(DTYPES)}")
    if not _are_counts(shape) or len(shape) > _MAX_AXES or math.prod(max(1, axis) for axis in shape) > _MAX_NUMBERS:
        raise ValueError(f"{name}: the shape is wrong")
    end = begin + math.prod(shape) * DTYPES[dtype].itemsize
    if not _are_counts(entry["data_offsets"]) or entry["data_offsets"] != [begin, end]:
        raise ValueError(f"{name}: the offsets are wrong")
    return _Entry(name, DTYPES[dtype], shape), end


def _are_counts(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def _read_tensor(stream: BinaryIO, entry: _Entry) -> Tensor:
    tensor = torch.empty(entry.shape, dtype=entry.dtype)
    memory = bytes_of(tensor)
    if stream.readinto(memory) != len(memory):  # type: ignore[attr-defined]
        raise ValueError("it was cut short while it was read")
    if entry.dtype is torch.bool and not set(memory.tobytes()) <= {0, 1}:
        raise ValueError(f"{entry.name}: a truth value is neither 0 nor 1")
    return tensor
