"""Presets: tuned settings per environment and algorithm, as JSON files in the package."""

from importlib.resources import files
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from actor_critic.config.config import Config
from actor_critic.config.reading import parse_json_object

_FOLDER = files("actor_critic.config") / "presets"


class Preset(BaseModel):
    """Settings for one environment (or, as "*", for any) and one algorithm, and what they are known to reach."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)

    environment: str
    """A Gymnasium id, or "*" for every environment that has no preset of its own."""
    algorithm: Literal["a2c", "ppo"]
    """Which algorithm."""
    source: str
    """Where the settings come from."""
    evaluation: Literal["greedy", "sampled"] = "greedy"
    """Which policy the expected return is of, decided before it was measured."""
    expected: float | None = None
    """Interquartile mean over five seeds of the last weights' return, as docs/learning.md shows it."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """What it fills in where neither flag nor file says anything."""

    @property
    def name(self) -> str:
        """Its file's name, such as "CartPole-v1.ppo"."""
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
    """Every preset in the package, by name."""
    names = sorted(entry.name for entry in _FOLDER.iterdir() if entry.name.endswith(".json"))
    return [_read(name) for name in names]


def find_preset(environment: str, algorithm: str) -> Preset:
    """The preset of one environment, or the algorithm's general one where the environment has none of its own.

    An id says what is registered, and the module before it only where: ``gymnasium:CartPole-v1`` is ``CartPole-v1``.
    """
    registered = environment.rpartition(":")[2]
    own = f"{registered.replace('/', '-')}.{algorithm}.json"
    # Looked for among the names, as an id may be longer than a file's name can be.
    if any(entry.name == own for entry in _FOLDER.iterdir()) and (found := _read(own)).environment == registered:
        return found
    return _read(f"{algorithm}.json")


def _read(name: str) -> Preset:
    return Preset(**parse_json_object((_FOLDER / name).read_bytes(), name))
