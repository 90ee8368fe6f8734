"""Checkpoint files taken apart and put together again, with digests as whoever forges one would compute them."""

import contextlib
import hashlib
import json
from dataclasses import dataclass
from typing import Any

import torch

from actor_critic.storage.checkpoints import Checkpoint
from actor_critic.storage.tensor_file import DTYPES


@dataclass
class Parts:
    """A checkpoint file in its parts, which may be changed.

    Attributes:
        entries: What the outer header says of the tensors.
        header: Our own.
        data: The tensors' bytes.
    """

    entries: dict[str, Any]
    header: dict[str, Any]
    data: bytes

    def seal(self) -> None:
        """Compute both digests anew, as far as the parts can be understood."""
        header = self.header
        with contextlib.suppress(Exception):
            tensors = {}
            for name, entry in self.entries.items():
                begin, end = entry["data_offsets"]
                raw = torch.frombuffer(bytearray(self.data[begin:end]), dtype=torch.uint8) if end > begin else None
                dtype, shape = DTYPES[entry["dtype"]], entry["shape"]
                tensors[name] = torch.zeros(shape, dtype=dtype) if raw is None else raw.view(dtype).reshape(shape)
            header["digest"] = Checkpoint(
                header["settings"], header["spaces"], header["counters"], tensors, header["records"], header["code"]
            ).digest
        with contextlib.suppress(Exception):
            header.pop("header_digest", None)
            text = json.dumps(header, sort_keys=True, separators=(",", ":"))
            header["header_digest"] = hashlib.sha256(text.encode()).hexdigest()

    def to_bytes(self) -> bytes:
        """The file."""
        return frame(json.dumps({"__metadata__": {"actor_critic": json.dumps(self.header)}, **self.entries}), self.data)


def frame(header: str | bytes, data: bytes = b"") -> bytes:
    """A safetensors file of a header's text and the bytes behind it."""
    text = header.encode(errors="surrogatepass") if isinstance(header, str) else header
    return len(text).to_bytes(8, "little") + text + data


def take_apart(file: bytes) -> Parts:
    """The parts of a sound checkpoint file."""
    length = int.from_bytes(file[:8], "little")
    outer = json.loads(file[8 : 8 + length])
    return Parts(outer, json.loads(outer.pop("__metadata__")["actor_critic"]), file[8 + length :])
