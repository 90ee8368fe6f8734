"""The checkpoint format: a safetensors file with a JSON header and a digest of the training state. No pickle.

Any safetensors reader can open the tensors. The metadata of the file has one key,
``actor_critic``: a JSON document with ``schema_version``, ``settings``, ``spaces``, ``counters``,
``records``, ``code``, ``versions`` and ``digest``. Older checkpoints have no ``versions``.
"""

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from actor_critic.config import computed_fields, parse_json_object
from actor_critic.errors import CheckpointError, ConfigError
from actor_critic.files import open_regular, write_durably
from actor_critic.storage import tensor_file
from actor_critic.storage.changes import Change, to_documents
from actor_critic.storage.versions import current_versions

SCHEMA_VERSION = 2  # version 1 was never released, and is not read
_KEY = "actor_critic"
_HEADER = {
    "schema_version": int, "settings": dict, "spaces": dict, "counters": dict, "records": dict, "code": dict,
    "versions": dict, "changes": list, "digest": str, "header_digest": str,
}  # fmt: skip
_OPTIONAL = {"versions", "changes"}  # older files lack the first, and a run without changes the second


@dataclass(frozen=True)
class Checkpoint:
    """A saved training state.

    Attributes:
        settings: The resolved settings, from :meth:`Settings.to_document`.
        spaces: The observation and action spaces of the agent.
        counters: Whole numbers by name: epochs, environment steps and others.
        tensors: Weights, optimizer moments, normaliser statistics, running episodes.
        records: Numbers that do not affect training, such as the best score so far.
        code: SHA-256 of the files that define the user's code, by the setting that names it.
        changes: What the program changed between epochs, as :func:`to_documents` returns it.
        versions: The versions of libraries at the time of writing, by name; empty if not recorded. The digest does
            not include them.
    """

    settings: dict[str, Any]
    spaces: dict[str, Any]
    counters: dict[str, int]
    tensors: dict[str, Tensor]
    records: dict[str, float | None] = field(default_factory=dict)
    code: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=current_versions)
    changes: list[dict[str, Any]] = field(default_factory=list)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything that determines the rest of the run, as 64 hexadecimal digits."""
        header = {
            "settings": computed_fields(self.settings),
            "spaces": self.spaces,
            "counters": self.counters,
            "code": self.code,
            **({"changes": self.changes} if self.changes else {}),
        }
        digest = hashlib.sha256(_canonical(header))
        for name in sorted(self.tensors):
            tensor = self.tensors[name].detach().cpu().contiguous()
            digest.update(_canonical([name, str(tensor.dtype), list(tensor.shape)]))
            digest.update(tensor_file.bytes_of(tensor))
        return digest.hexdigest()


def save(checkpoint: Checkpoint, path: Path) -> str:
    """Write a checkpoint durably.

    Returns:
        Its digest.

    Raises:
        CheckpointError: The file cannot be written, or would not be readable; an older file stays unchanged.
    """
    for name, tensor in checkpoint.tensors.items():
        if tensor.dtype not in tensor_file.DTYPES.values():
            raise CheckpointError(f"{path} cannot be written: {name} is {tensor.dtype}, which a checkpoint cannot hold")
    for name, is_sound in _SOUND.items():
        for key, value in getattr(checkpoint, name).items():
            if not is_sound(value):  # load would refuse it
                raise CheckpointError(f"{path} cannot be written: {name} holds {key} = {value!r}")
    digest = checkpoint.digest
    header: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "settings": checkpoint.settings,
        "spaces": checkpoint.spaces,
        "counters": checkpoint.counters,
        "records": checkpoint.records,
        "code": checkpoint.code,
        "versions": checkpoint.versions,
        "digest": digest,
        **({"changes": checkpoint.changes} if checkpoint.changes else {}),
    }
    # The digest omits settings that only affect the records; the header digest covers these bytes too.
    header["header_digest"] = hashlib.sha256(_canonical(header)).hexdigest()
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()}
    data = safetensors.torch.save(tensors, {_KEY: json.dumps(header)})
    if (length := int.from_bytes(data[:8], "little")) > tensor_file.MAX_HEADER:
        raise CheckpointError(
            f"{path} cannot be written: settings, spaces and the names of {len(tensors)} tensors take {length} bytes, "
            f"and at most {tensor_file.MAX_HEADER} are allowed; make the settings' keyword arguments smaller, or use "
            f"fewer parameters or embeddings"
        )
    try:
        write_durably(path, data)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be written: {error.strerror or error}") from None
    return digest


def load(path: Path) -> Checkpoint:
    """Read a checkpoint and check its digests.

    Raises:
        CheckpointError: The file cannot be read, is no checkpoint, has a newer version, or has a wrong digest.
    """
    try:
        with open_regular(path) as stream:
            metadata, tensors = tensor_file.read(stream)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ConfigError, ValueError) as error:
        raise CheckpointError(f"{path} is not a checkpoint, or is damaged: {error}") from None
    header = _read_header(metadata, path)
    checkpoint = Checkpoint(
        header["settings"],
        header["spaces"],
        header["counters"],
        tensors,
        header["records"],
        header["code"],
        header["versions"],
        header["changes"],
    )
    if checkpoint.digest != header["digest"]:
        raise CheckpointError(f"{path} is damaged: its content does not match its digest {header['digest'][:16]}…")
    return checkpoint


def _read_header(metadata: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return the JSON document in the safetensors metadata."""
    text = metadata.get(_KEY)
    if not isinstance(text, str) or len(metadata) > 1:
        raise CheckpointError(f"{path} is a safetensors file, but not a checkpoint of this program")
    try:
        header = parse_json_object(text.encode(), f"{path}: header")
    except (ConfigError, UnicodeEncodeError) as error:
        raise CheckpointError(f"{path} is not a checkpoint: {error}") from None
    version = header.get("schema_version")
    if type(version) is not int or not 1 <= version < 1000:
        raise CheckpointError(f"{path} is damaged: its header lacks 'schema_version'")
    if version == 1:
        raise CheckpointError(f"{path} has schema version 1, from before the first release; train it again")
    if version > SCHEMA_VERSION:
        raise CheckpointError(
            f"{path} has schema version {version}; this program reads 2 to {SCHEMA_VERSION}: update actor-critic"
        )
    for name, kind in _HEADER.items():
        if not isinstance(header.get(name), kind) and not (name in _OPTIONAL and name not in header):
            raise CheckpointError(f"{path} is damaged: its header lacks {name!r}")
    if header.keys() - _HEADER.keys():
        raise CheckpointError(f"{path} is damaged: its header has more keys than a checkpoint")
    claimed = header.pop("header_digest")
    if claimed != hashlib.sha256(_canonical(header)).hexdigest():
        raise CheckpointError(f"{path} is damaged: its header does not match its digest")
    header.setdefault("versions", {})
    try:
        header["changes"] = to_documents(map(Change.from_document, header.get("changes", [])))
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged: {error}") from None
    for name, is_sound in _SOUND.items():
        for key, value in header[name].items():
            if not key.isprintable() or not is_sound(value):
                raise CheckpointError(f"{path} is damaged: {name} holds a wrong entry, {key[:60]!r}")
    return header


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 63


def _is_record(value: Any) -> bool:
    return value is None or (type(value) in (int, float) and abs(value) <= sys.float_info.max)


# Checks of the content: anybody can compute a digest, so a matching digest proves nothing about it.
_SOUND: dict[str, Callable[[Any], bool]] = {
    "settings": lambda value: True,  # these two are validated where they are used
    "spaces": lambda value: True,
    "counters": _is_count,
    "records": _is_record,
    "code": lambda value: isinstance(value, str) and value.isprintable(),
    "versions": lambda value: isinstance(value, str) and value.isprintable(),
}


def _canonical(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
