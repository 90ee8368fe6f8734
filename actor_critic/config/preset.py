"""Presets: tuned settings per environment and algorithm, as JSON files in the package."""

from importlib.resources import files
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from actor_critic.config.config import Algorithm, Config
from actor_critic.config.reading import parse_json_object

_FOLDER = files("actor_critic.config") / "presets"


class Preset(BaseModel):
    """Settings for one algorithm and one environment ("*" is any), with the return that they are expected to reach."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)

    environment: str
    """A Gymnasium id; a namespace as in "ALE/*"; or "*" for every environment that has no preset of its own."""
    algorithm: Algorithm
    """The algorithm."""
    source: str
    """The source of the settings."""
    evaluation: Literal["greedy", "sampled"] = "greedy"
    """The policy whose return is ``expected``; it was chosen before the measurement."""
    expected: float | None = None
    """Return of the last weights: interquartile mean over five seeds, as in docs/learning.md."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Values for the settings that neither a flag nor a file sets."""

    @property
    def is_of_a_namespace(self) -> bool:
        """Whether the preset is for all environments of a namespace."""
        return self.environment.endswith("/*")

    @property
    def name(self) -> str:
        """The file name without extension, such as "CartPole-v1.ppo" or, for "ALE/*", "ALE.ppo"."""
        return _stem(self.environment, self.algorithm)

    @property
    def config(self) -> Config:
        """The settings as a Config.

        Raises:
            ConfigError: One of them is wrong.
        """
        return Config(**self.settings)


def list_presets() -> list[Preset]:
    """Return every preset in the package, sorted by name."""
    names = sorted(entry.name for entry in _FOLDER.iterdir() if entry.name.endswith(".json"))
    return [_read(name) for name in names]


def find_preset(environment: str, algorithm: str) -> Preset:
    """Return the preset of an environment, else of its namespace, else the general preset of the algorithm.

    The module before an id is ignored: ``gymnasium:CartPole-v1`` means ``CartPole-v1``.
    """
    registered = environment.rpartition(":")[2]
    namespace = registered.rpartition("/")[0]
    known = {entry.name for entry in _FOLDER.iterdir()}  # an id may be too long for a file name
    for wanted in (registered, f"{namespace}/*"):
        name = f"{_stem(wanted, algorithm)}.json"
        if name in known and (found := _read(name)).environment == wanted:
            return found
    return find_general_preset(algorithm)


def find_general_preset(algorithm: str) -> Preset:
    """Return the preset of an algorithm for environments that have none of their own."""
    return _read(f"{algorithm}.json")


def _stem(environment: str, algorithm: str) -> str:
    own = environment.removesuffix("*").removesuffix("/").replace("/", "-")
    return f"{own}.{algorithm}".removeprefix(".")


def _read(name: str) -> Preset:
    return Preset(**parse_json_object((_FOLDER / name).read_bytes(), name))
