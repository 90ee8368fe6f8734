"""Resolve a Config to complete settings: flag > file > preset of (environment, algorithm) > default."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actor_critic.config.adapting import adapt
from actor_critic.config.config import MAX_ENVS, RANDOM_STATES, Config
from actor_critic.config.fields import ALTERNATIVES, DEFAULTS, NULLABLE, OLD_VALUES, SWITCHABLE, default_values
from actor_critic.config.passed import Passed
from actor_critic.config.preset import Preset, find_general_preset, find_preset
from actor_critic.config.rules import NEW_RUN_RULES, RULES, Values, check
from actor_critic.config.settings import SETTING_NAMES, Settings
from actor_critic.errors import ConfigError

# A preset of an environment applies only with its own values of these.
_TUNED_FOR = (
    "environment_kwargs",
    "wrappers",
    "observation_keys",
    "frame_stack",
    "max_episode_steps",
    "reward_model",
    "reward_mode",
    "shared_encoder",
    "encoder",
    "embedding_dim",
    "memory",
)

# The sizes of random states. For a named environment, its spaces decide them. Every saved run contains them.
_SIZES = {"input_dim", "output_dim"}


@dataclass(frozen=True)
class Layer:
    """One source of settings.

    Attributes:
        source: Its name in error messages, such as "config.json".
        config: The settings that it sets.
    """

    source: str
    config: Config


@dataclass(frozen=True)
class Resolution:
    """Resolved settings, with the source of each."""

    settings: Settings
    sources: dict[str, str]


def resolve(*layers: Layer) -> Resolution:
    """Resolve one or more sources into complete, checked settings.

    Args:
        layers: The sources, highest precedence first; presets and defaults are added beneath them.

    Returns:
        The settings, and the source of each. Values of presets and defaults that contradict a source are adapted to it
        (:func:`actor_critic.config.adapting.adapt`).

    Raises:
        ConfigError: One source sets a quantity twice, or two settings contradict each other.
    """
    # A copy is validated again: the program may have changed a list or dict inside a Config.
    layers = tuple(Layer(layer.source, layer.config.model_copy()) for layer in layers)
    for layer in layers:
        _check_alternatives(layer)
    user_layers = [(layer.source, explicit_values(layer.config)) for layer in layers]
    beneath = _layers_beneath(user_layers)
    values, sources = _merge([*user_layers, *beneath])
    adapt(values, sources, _merge(user_layers)[0], _merge(beneath)[0])
    _derive_sizes(values, sources)
    _derive_others(values, sources)
    check(Values(values, sources), (*RULES, *NEW_RUN_RULES))
    return Resolution(_complete(values), sources)


def settings_of(config: "Config | Settings", passed: Passed | None = None) -> Settings:
    """Return complete settings for a Config or Settings object.

    Args:
        config: A Config, which is resolved; or Settings, which are checked and deep-copied.
        passed: Objects that replace settings.

    Raises:
        ConfigError: Settings are not allowed or contradict each other.
    """
    passed = passed or Passed()
    if isinstance(config, Settings):
        return _checked(config.replace(**passed.settings, objects=config.objects | passed.objects))
    if passed.settings:
        config = config.model_copy(update=passed.settings)
    return resolve(Layer("Config", config)).settings.replace(objects=passed.objects)


def starting_config(
    environment: str, algorithm: str | None, input_dim: int, output_dim: int, given: dict[str, Any] | None = None
) -> Config:
    """Return the Config of a new settings file: values for the main keys, and None (the preset) for all others.

    Args:
        environment: The environment.
        algorithm: The algorithm; None for the environment's usual one.
        input_dim: Numbers that the networks see.
        output_dim: Number of logits.
        given: Other settings that the file has, on which the preset may depend.
    """
    given = given or {}
    start = Config(environment=environment, algorithm=algorithm, **given)  # type: ignore[arg-type]
    settings = resolve(Layer("start", start)).settings
    described = ("hidden_dim", "learning_rate", "batch_size", "num_epochs", "seed", "environment", "algorithm")
    values = {name: getattr(settings, name) for name in described}
    return Config(input_dim=input_dim, output_dim=output_dim, **values, **given)


def settings_from_document(document: dict[str, Any], origin: str | Path) -> Settings:
    """Read the settings that a run or checkpoint saved. They are complete, so presets and defaults are not used.

    Raises:
        ConfigError: They are incomplete or invalid.
    """
    try:
        if len(document) > 2 * len(Config.model_fields):  # suggestions for so many names would take minutes
            raise ConfigError(f"{len(document)} settings; there are {len(Config.model_fields)}")
        document = OLD_VALUES | document
        config = Config(**document)
        may_be_open = NULLABLE - _SIZES
        missing = [name for name in SETTING_NAMES if name not in may_be_open and document.get(name) is None]
        if missing:
            raise ConfigError(f"{', '.join(missing)} not set; saved settings are complete")
        values = explicit_values(config)
        if unknown := sorted(set(ALTERNATIVES.values()) & set(values)):
            raise ConfigError(f"{', '.join(unknown)} set; saved settings hold {', '.join(ALTERNATIVES)} instead")
        check(Values(values, dict.fromkeys(values, str(origin))), RULES)
        return _complete(values)
    except ConfigError as error:
        raise ConfigError(f"{origin}: {error}") from None


def explicit_values(config: Config) -> dict[str, Any]:
    """Return the settings of a Config that are not None."""
    return {name: value for name, value in config.model_dump().items() if value is not None}


def _checked(settings: Settings) -> Settings:
    """Check settings that a program may have changed, and return a deep copy."""
    values = explicit_values(settings.to_config())
    if missing := [name for name in SETTING_NAMES if name not in values and name not in NULLABLE]:
        raise ConfigError(f"{', '.join(missing)} not set; Settings are complete")
    check(Values(values, dict.fromkeys(values, "Settings")), RULES)
    return _complete(values).replace(objects=settings.objects)


def _check_alternatives(layer: Layer) -> None:
    """Refuse a source that sets one quantity under both of its names."""
    for name, other in ALTERNATIVES.items():
        if getattr(layer.config, name) is not None and getattr(layer.config, other) is not None:
            raise ConfigError(
                f"{layer.source} sets both {name}={getattr(layer.config, name)} and "
                f"{other}={getattr(layer.config, other)}, two ways to say the same; keep one of them"
            )


_Named = tuple[str, dict[str, Any]]  # a source and its settings


def _layers_beneath(layers: list[_Named]) -> list[_Named]:
    """Return the preset, if one applies, and the defaults."""
    environment = _lookup(layers, "environment", DEFAULTS["environment"].value)
    defaults = default_values(is_random_states=environment == RANDOM_STATES)
    algorithm = _lookup(layers, "algorithm", defaults["algorithm"])
    preset = find_preset(environment, algorithm)
    is_wanted = _lookup(layers, "preset", defaults["preset"]) == "auto"
    if environment != RANDOM_STATES and not (is_wanted and _is_its_problem(preset, layers)):
        preset = find_general_preset(algorithm)
    return [(f"preset {preset.name}", explicit_values(preset.config)), ("default", defaults)]


def _is_its_problem(preset: Preset, layers: list[_Named]) -> bool:
    """Return whether a preset was tuned for the problem and the kind of network that the user set.

    A preset for a whole namespace is a starting point for all its environments, whatever the user sets.
    """
    if preset.is_of_a_namespace:
        return True
    said, _ = _merge(layers)
    return all(said[name] == preset.settings.get(name, DEFAULTS[name].value) for name in _TUNED_FOR if name in said)


def _lookup(layers: list[_Named], name: str, default: Any) -> Any:
    return next((settings[name] for _, settings in layers if name in settings), default)


def _merge(layers: list[_Named]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return each setting from the highest layer that sets it under either name, and the source of that layer."""
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for source, settings in layers:
        for name, value in settings.items():
            if name not in values and _alternative_of(name) not in values:
                values[name], sources[name] = value, source
    return values, sources


def _alternative_of(name: str) -> str | None:
    inverse = {other: name for name, other in ALTERNATIVES.items()}
    return ALTERNATIVES.get(name) or inverse.get(name)


def _derive_sizes(values: dict[str, Any], sources: dict[str, str]) -> None:
    """Fill in num_envs, batch_size and num_epochs; num_steps and total_timesteps are converted."""
    if "num_steps" in values:
        # A random state is a whole episode, so the default batch of 32 is 32 environments.
        values.setdefault("num_envs", DEFAULTS["batch_size"].value)
        values["batch_size"] = values["num_envs"] * values.pop("num_steps")
        Config(batch_size=values["batch_size"])  # checks the range of the product
        sources["batch_size"] = f"num_envs x num_steps ({sources.pop('num_steps')})"
    elif "num_envs" not in values:
        values["num_envs"] = _largest_divisor(values["batch_size"], MAX_ENVS)
    batch_size, num_envs = values["batch_size"], values["num_envs"]
    sources.setdefault("num_envs", "= batch_size" if num_envs == batch_size else "default")
    if "total_timesteps" in values:
        total = values.pop("total_timesteps")
        source = sources.pop("total_timesteps")
        if total < batch_size:
            raise ConfigError(
                f"total_timesteps: {total} ({source}) is less than one epoch of batch_size={batch_size} "
                f"({sources['batch_size']}); expected at least {batch_size}"
            )
        values["num_epochs"] = total // batch_size
        sources["num_epochs"] = f"total_timesteps / batch_size ({source})"


def _derive_others(values: dict[str, Any], sources: dict[str, str]) -> None:
    """Fill in the settings whose default depends on other settings."""
    if "workers" not in values:
        values["workers"] = "auto" if values["vectorization"] in ("shared", "workers") else 1
        sources["workers"] = "default"
    if "checkpoint_interval" not in values:
        # With thousands of short epochs, a checkpoint every 10 epochs would take half of the time.
        values["checkpoint_interval"] = min(max(10, values["num_epochs"] // 20), 250)
        sources["checkpoint_interval"] = "default" if values["checkpoint_interval"] == 10 else "num_epochs / 20"


def _complete(values: dict[str, Any]) -> Settings:
    """Make Settings from checked values; None replaces "off" and missing values."""
    switched_off = {name for name in SWITCHABLE if values[name] == "off"}
    return Settings(**{name: None if name in switched_off else values.get(name) for name in SETTING_NAMES})  # type: ignore[arg-type]


def _largest_divisor(number: int, limit: int) -> int:
    return next(k for k in range(min(number, limit), 0, -1) if number % k == 0)
