"""The changes that a program made between the epochs of a run, so that resuming and verifying repeat them."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from actor_critic.config import MAX_BYTES, parse_json_object
from actor_critic.errors import CheckpointError, ConfigError
from actor_critic.files import open_regular


@dataclass(frozen=True)
class Change:
    """New values of settings, and of methods or attributes of the environments, from the end of an epoch on.

    Attributes:
        epoch: The epoch after which it was made; 0 is before the first.
        settings: New values by setting.
        environment: New values by method or attribute.
    """

    epoch: int
    settings: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_document(cls, document: Any) -> "Change":
        """Read an entry of :func:`to_documents`.

        Raises:
            ValueError: It is no such entry.
        """
        match document:
            case {"epoch": int(epoch), "settings": dict(settings), "environment": dict(environment)}:
                names = [*settings, *environment]
                if 0 <= epoch < 1 << 63 and all(name.isidentifier() and not name.startswith("_") for name in names):
                    return cls(epoch, settings, environment)
        raise ValueError(f"{str(document)[:60]!r} is no change")


def to_documents(changes: Iterable[Change]) -> list[dict[str, Any]]:
    """Return changes as JSON objects."""
    return [vars(change) for change in changes]


def read_changes(folder: Path) -> list[Change]:
    """Return the changes that a run folder holds; none if it has no ``changes.json``.

    Raises:
        CheckpointError: The file is damaged or not readable.
    """
    path = folder / "changes.json"
    if not path.exists():
        return []
    try:
        with open_regular(path) as stream:
            document = parse_json_object(stream.read(MAX_BYTES), str(path))
        return [Change.from_document(entry) for entry in document["changes"]]
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ConfigError, LookupError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from None


def changes_file(changes: Iterable[Change]) -> bytes:
    """Return the content of ``changes.json``."""
    return (json.dumps({"changes": to_documents(changes)}, indent=2) + "\n").encode()
