"""From what the user said to what a run is: flag > file > preset of (environment, algorithm) > default."""

import copy
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from actor_critic.config.adapting import adapt, nearest_divisor, nearest_multiple
from actor_critic.config.config import MAX_ENVS, RANDOM_STATES, Config
from actor_critic.config.preset import find_preset
from actor_critic.config.settings import SWITCHABLE, Settings
from actor_critic.errors import ConfigError
from actor_critic.imports import class_name

DEFAULT_LOG = "actor_critic_training.log"

_DEFAULTS: dict[str, Any] = {
    "preset": "auto",
    "environment": RANDOM_STATES,
    "environment_kwargs": {},
    "wrappers": [],
    "frame_stack": 1,
    "vectorization": "auto",
    "worker_timeout": 300.0,
    "max_worker_restarts": 0,
    "replay": "auto",
    "reward_model_kwargs": {},
    "reward_mode": "replace",
    "clip_rewards": "off",
    "normalize_observations": False,
    "normalize_rewards": False,
    "seed": 42,
    "batch_size": 32,
    "num_epochs": 100,
    "encoder": "auto",
    "encoder_kwargs": {},
    "embedding_dim": "off",
    "memory": "off",
    "hidden_dim": 256,
    "hidden_layers": 2,
    "activation": "tanh",
    "shared_encoder": False,
    "learning_rate": 1e-4,
    "anneal_lr": False,
    "anneal_clip": False,
    "anneal_ent": False,
    "adam_beta1": 0.9,
    "adam_beta2": 0.999,
    "adam_epsilon": 1e-8,
    "gamma": 0.99,
    "gae_lambda": 0.95,
    "update_epochs": 1,
    "num_minibatches": 1,
    "clip_coef": "off",
    "clip_vloss": False,
    "normalize_advantages": False,
    "ent_coef": 0.0,
    "vf_coef": 0.5,
    "max_grad_norm": 0.5,
    "target_kl": "off",
    "device": "auto",
    "backend": "auto",
    "threads": 1,
    "overlap": False,
    "keep_checkpoints": 5,
    "on_checkpoint_error": "stop",
    "evaluation_interval": "off",
    "evaluation_episodes": 100,
    "evaluation_max_steps": 27_000,
    "log_file": DEFAULT_LOG,
}

# Settings that stay null in a run: there is no such limit, target or source.
_OPEN = frozenset({"max_episode_steps", "target_return", "max_hours", "init_from"})

# Settings that runs before them did not have, and what these did.
_SINCE: dict[str, Any] = {"evaluation_max_steps": 10_000}

# Two names for one quantity: one source may say only one of them, and the higher source wins.
_ALTERNATIVES = {"num_epochs": "total_timesteps", "batch_size": "num_steps"}


@dataclass(frozen=True)
class Layer:
    """One source of settings: how to call it in an error, and what it says."""

    source: str
    config: Config


@dataclass(frozen=True)
class Resolution:
    """Resolved settings, and which source each came from."""

    settings: Settings
    sources: dict[str, str]


def resolve(*layers: Layer) -> Resolution:
    """Resolve what was said in one or more sources into complete, checked settings.

    Args:
        layers: The sources, highest precedence first; presets and defaults are added beneath them.

    Returns:
        The settings and, for each, the name of the source it came from. Values of presets and defaults that contradict
        what was said follow it (:func:`actor_critic.config.adapting.adapt`).

    Raises:
        ConfigError: One source says a quantity twice, or two settings that were said contradict each other.
    """
    # Checked once more: what a list or dict in it holds may have been changed since.
    layers = tuple(Layer(layer.source, layer.config.model_copy()) for layer in layers)
    for layer in layers:
        for name, other in _ALTERNATIVES.items():
            if getattr(layer.config, name) is not None and getattr(layer.config, other) is not None:
                raise ConfigError(
                    f"{layer.source} sets both {name}={getattr(layer.config, name)} and "
                    f"{other}={getattr(layer.config, other)}, two ways to say the same; keep one of them"
                )
    said = [(layer.source, _spoken(layer.config)) for layer in layers]
    environment = _first(said, "environment", _DEFAULTS["environment"])
    is_random_states = environment == RANDOM_STATES
    algorithm = _first(said, "algorithm", "a2c" if is_random_states else "ppo")
    defaults = copy.deepcopy(_DEFAULTS) | {
        "algorithm": algorithm,
        "reward_model": "linear" if is_random_states else "environment",
    }
    if is_random_states:
        defaults |= {"input_dim": 10, "output_dim": 2}
    if _first(said, "preset", "auto") == "auto":
        preset = find_preset(environment, algorithm)
        said.append((f"preset {preset.name}", _spoken(preset.config)))
    said.append(("default", defaults))

    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    by_user: set[str] = set()
    for rank, (source, settings) in enumerate(said):
        for key, value in settings.items():
            overruled = key in values or _partner(key) in values
            if not overruled:
                values[key], sources[key] = value, source
                by_user |= {key} if rank < len(layers) else set()
    adapt(values, sources, by_user)
    _derive_sizes(values, sources, is_random_states)
    if "workers" not in values:
        is_parallel = values["vectorization"] in ("shared", "workers")
        values["workers"] = "auto" if is_parallel else 1
        sources["workers"] = "default"
    if "checkpoint_interval" not in values:
        # A run of thousands of short epochs would spend half its time on saving every tenth of them.
        values["checkpoint_interval"] = min(max(10, values["num_epochs"] // 20), 250)
        sources["checkpoint_interval"] = "default" if values["checkpoint_interval"] == 10 else "num_epochs / 20"
    _check(values, sources)
    _check_restarts(values, sources)
    return Resolution(_complete(values), sources)


def settings_of(config: "Config | Settings", encoder: type[Any] | None = None) -> Settings:
    """Complete settings from what a Python program hands over.

    Args:
        config: What to train; a Config is resolved, and Settings are checked and copied with the lists in them.
        encoder: A module class that encodes observations, instead of the one that ``config`` names.

    Raises:
        ConfigError: Settings are not allowed or contradict each other, or the class cannot be named.
    """
    if encoder is not None:
        name = class_name(encoder, "encoder")
        config = (
            config.replace(encoder=name)
            if isinstance(config, Settings)
            else config.model_copy(update={"encoder": name})
        )
    return _checked(config) if isinstance(config, Settings) else resolve(Layer("Config", config)).settings


def _checked(settings: Settings) -> Settings:
    """A copy of settings that a program may have changed, a list or dict in them too."""
    values = _spoken(settings.to_config())
    open_yet = _OPEN | {"input_dim", "output_dim"}
    if missing := [f.name for f in fields(Settings) if f.name not in values and f.name not in open_yet]:
        raise ConfigError(f"{', '.join(missing)} not set; Settings are complete")
    _check(values, dict.fromkeys(values, "Settings"))
    return _complete(values)


def starting_config(environment: str, algorithm: str | None, input_dim: int, output_dim: int) -> Config:
    """The file a user starts from: the described keys with their values, everything else left to the preset."""
    settings = resolve(Layer("start", Config(environment=environment, algorithm=algorithm))).settings  # type: ignore[arg-type]
    described = ("hidden_dim", "learning_rate", "batch_size", "num_epochs", "seed", "environment", "algorithm")
    values = {name: getattr(settings, name) for name in described}
    return Config(input_dim=input_dim, output_dim=output_dim, **values)


def settings_from_document(document: dict[str, Any], origin: str | Path) -> Settings:
    """Read settings that a run or checkpoint saved. They are complete: no preset or default of today enters them.

    Raises:
        ConfigError: They are not complete and valid.
    """
    try:
        if len(document) > 2 * len(Config.model_fields):  # to look for what each may have meant would take minutes
            raise ConfigError(f"{len(document)} settings; there are {len(Config.model_fields)}")
        document = _SINCE | document
        config = Config(**document)
        missing = [f.name for f in fields(Settings) if f.name not in _OPEN and document.get(f.name) is None]
        if missing:
            raise ConfigError(f"{', '.join(missing)} not set; saved settings are complete")
        values = _spoken(config)
        if unknown := sorted(set(_ALTERNATIVES.values()) & set(values)):
            raise ConfigError(f"{', '.join(unknown)} set; saved settings hold {', '.join(_ALTERNATIVES)} instead")
        _check(values, dict.fromkeys(values, str(origin)))
        return _complete(values)
    except ConfigError as error:
        raise ConfigError(f"{origin}: {error}") from None


def _spoken(config: Config) -> dict[str, Any]:
    return {name: value for name, value in config.model_dump().items() if value is not None}


def _first(said: list[tuple[str, dict[str, Any]]], name: str, default: Any) -> Any:
    return next((settings[name] for _, settings in said if name in settings), default)


def _partner(name: str) -> str | None:
    inverse = {other: key for key, other in _ALTERNATIVES.items()}
    return _ALTERNATIVES.get(name) or inverse.get(name)


def _derive_sizes(values: dict[str, Any], sources: dict[str, str], is_random_states: bool) -> None:
    """Fill num_envs, batch_size and num_epochs, whichever way they were said."""
    if "num_steps" in values:
        # Every random state is an episode of its own: a batch of 32 is 32 environments, unless something else is said.
        values.setdefault("num_envs", _DEFAULTS["batch_size"])
        values["batch_size"] = values["num_envs"] * values.pop("num_steps")
        Config(batch_size=values["batch_size"])  # the product has to keep the range, too
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


def _check_restarts(values: dict[str, Any], sources: dict[str, str]) -> None:
    """Refuse to replace workers where there are none. Runs that were begun without this check are still read."""
    if not values["max_worker_restarts"]:
        return
    said = f"max_worker_restarts={values['max_worker_restarts']} ({sources['max_worker_restarts']})"
    if values["environment"] == RANDOM_STATES:
        raise ConfigError(f"{said} does not apply to random states, which have no workers; leave it out")
    if (vectorization := values["vectorization"]) in ("sync", "shared", "native"):
        raise ConfigError(
            f"{said} contradicts vectorization={vectorization} ({sources['vectorization']}): this process cannot be "
            f"replaced; use vectorization workers"
        )


def _check(values: dict[str, Any], sources: dict[str, str]) -> None:
    """Cross-field rules; each message shows both numbers."""

    def shown(name: str) -> str:
        return f"{name}={values[name]} ({sources[name]})"

    if values["batch_size"] % values["num_envs"]:
        raise ConfigError(
            f"batch_size: {values['batch_size']} ({sources['batch_size']}) is not a multiple of {shown('num_envs')}; "
            f"try {nearest_multiple(values['batch_size'], values['num_envs'])}, or another num_envs"
        )
    if values["batch_size"] % values["num_minibatches"]:
        raise ConfigError(
            f"num_minibatches: {values['num_minibatches']} ({sources['num_minibatches']}) does not divide "
            f"{shown('batch_size')}; allowed are its divisors, such as "
            f"{nearest_divisor(values['batch_size'], values['num_minibatches'])}"
        )
    several = values["workers"] not in (1, "auto")
    if several and values["workers"] > values["num_envs"]:
        raise ConfigError(f"workers: {values['workers']} ({sources['workers']}) is more than {shown('num_envs')}")
    if values["workers"] != 1 and values["vectorization"] in ("sync", "native"):
        raise ConfigError(
            f"{shown('workers')} contradicts {shown('vectorization')}, which runs in one process; leave one of them out"
        )
    if values["replay"] in ("reset", "fresh") and values["vectorization"] == "native":
        raise ConfigError(
            f"{shown('replay')} is for single environments, and {shown('vectorization')} cannot rebuild its episodes; "
            f"leave one of them out"
        )
    if values["vectorization"] == "native":
        for name in ("wrappers", "frame_stack"):
            if values[name] not in ([], 1):
                raise ConfigError(
                    f"{name}: {values[name]} ({sources[name]}) is for single environments, and "
                    f"{shown('vectorization')}; leave one of them out"
                )
    if values["memory"] != "off" and values["num_envs"] % values["num_minibatches"]:
        raise ConfigError(
            f"num_minibatches: {values['num_minibatches']} ({sources['num_minibatches']}) does not divide "
            f"{shown('num_envs')}; with memory={values['memory']} a minibatch is whole environments: allowed are "
            f"divisors, such as {nearest_divisor(values['num_envs'], values['num_minibatches'])}"
        )
    if values["encoder_kwargs"] and ":" not in values["encoder"]:
        raise ConfigError(
            f"encoder_kwargs: {values['encoder_kwargs']} ({sources['encoder_kwargs']}) is for an encoder of yours, but "
            f"{shown('encoder')}; remove it or name a module:Class"
        )
    if ":" in values["encoder"] and values["embedding_dim"] != "off":
        raise ConfigError(
            f"embedding_dim: {values['embedding_dim']} ({sources['embedding_dim']}) has no effect with an encoder of "
            f"your own, {shown('encoder')}; leave it out"
        )
    if values["clip_vloss"] and values["clip_coef"] == "off":
        raise ConfigError(f"clip_vloss: true needs a clip range, but {shown('clip_coef')}; set clip_coef, such as 0.2")
    if values["anneal_clip"] and values["clip_coef"] == "off":
        raise ConfigError(f"anneal_clip: true needs a clip range, but {shown('clip_coef')}; set clip_coef, such as 0.2")
    if values["overlap"] and values["clip_coef"] == "off":
        raise ConfigError(
            f"overlap: true learns from what an older policy did, which needs ratios and a clip range, but "
            f"{shown('clip_coef')}; set clip_coef, such as 0.2, or algorithm ppo"
        )
    if values["environment"] == RANDOM_STATES:
        for name in ("environment_kwargs", "wrappers", "max_episode_steps"):
            if values.get(name):
                raise ConfigError(
                    f"{name}: {values[name]} ({sources[name]}) does not apply to random states; remove it or name an "
                    f"environment"
                )
        if values["vectorization"] in ("shared", "workers", "native") or several:
            raise ConfigError(
                f"vectorization: {values['vectorization']} with {shown('workers')} does not apply to random states, "
                f"which are drawn all at once; leave both out"
            )
        if values["replay"] in ("fresh", "none"):
            raise ConfigError(f"{shown('replay')} does not apply to random states, which are saved whole; leave it out")
        if values["frame_stack"] > 1:
            raise ConfigError(f"{shown('frame_stack')}: random states have no past to stack; expected 1")
        if values["reward_mode"] != "replace":
            raise ConfigError(
                f"{shown('reward_mode')}: random states have no reward of their own to {values['reward_mode']}; "
                f'expected "replace"'
            )
        if values["reward_model"] == "environment":
            raise ConfigError(
                'reward_model: "environment" is not possible with random states, which have no reward of their own; '
                'expected "linear" or "module:Class"'
            )
    elif values["reward_model"] == "environment" and values["reward_mode"] != "replace":
        raise ConfigError(f"{shown('reward_mode')} needs a reward_model; name one as module:Class")


def _complete(values: dict[str, Any]) -> Settings:
    """Settings from checked values; those that may stay open are None where nothing was said."""
    switched_off = {name for name in SWITCHABLE if values[name] == "off"}
    return Settings(**{f.name: None if f.name in switched_off else values.get(f.name) for f in fields(Settings)})  # type: ignore[arg-type]


def _largest_divisor(number: int, limit: int) -> int:
    return next(k for k in range(min(number, limit), 0, -1) if number % k == 0)
