"""Presets: tuned settings per environment and algorithm, as JSON files in the package."""

from importlib.resources import files
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from actor_critic.config.config import Algorithm, Config
from actor_critic.config.reading import parse_json_object

_FOLDER = files("actor_critic.config") / "presets"


class Preset(BaseModel):
    """Settings for one environment (or, as "*", for any) and one algorithm, and what they are known to reach."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)

    environment: str
    """A Gymnasium id, or "*" for every environment that has no preset of its own."""
    algorithm: Algorithm
    """The algorithm."""
    source: str
    """The source of the settings."""
    evaluation: Literal["greedy", "sampled"] = "greedy"
    """The policy that the expected return belongs to, decided before it was measured."""
    expected: float | None = None
    """Interquartile mean over five seeds of the return of the last weights, as docs/learning.md shows it."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """The values for settings that neither flag nor file sets."""

    @property
    def name(self) -> str:
        """The name of its file, such as "CartPole-v1.ppo"."""
        own = f"{self.environment.replace('/', '-')}.{self.algorithm}"
        return self.algorithm if self.environment == "*" else own

    @property
    def config(self) -> Config:
        """Its settings.

        Raises:
            ConfigError: One of them is wrong.
        """
        return Config(**self.settings)


def list_presets() -> list[Preset]:
    """Return every preset in the package, in the order of their names."""
    names = sorted(entry.name for entry in _FOLDER.iterdir() if entry.name.endswith(".json"))
    return [_read(name) for name in names]


def find_preset(environment: str, algorithm: str) -> Preset:
    """Return the preset of one environment, or the algorithm's general one if the environment has none of its own.

    The module before an id only says where it is registered: ``gymnasium:CartPole-v1`` is ``CartPole-v1``.
    """
    registered = environment.rpartition(":")[2]
    own = f"{registered.replace('/', '-')}.{algorithm}.json"
    # Compared with the names of the files: an id may be longer than a file name can be.
    if any(entry.name == own for entry in _FOLDER.iterdir()) and (found := _read(own)).environment == registered:
        return found
    return _read(f"{algorithm}.json")


def _read(name: str) -> Preset:
    return Preset(**parse_json_object((_FOLDER / name).read_bytes(), name))
