"""The part of a stored result's name that changes when something that decides the result changes."""

import hashlib
import json
from typing import Any

from actor_critic.config import Settings, computed_fields


def digest(others: dict[str, Any], settings: Settings | None = None) -> str:
    """Return a SHA-256 as 64 hexadecimal digits.

    Args:
        others: What decides the result besides the settings.
        settings: The settings of a run of ours.
    """
    document = others | (computed_fields(settings.to_document()) if settings else {})
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
