"""Settings: the resolved settings of a run, each with its value."""

import dataclasses
import json
import re
from dataclasses import dataclass, field
from typing import Any, Literal

from actor_critic.config.config import MAX_INPUT_DIM, RANDOM_STATES, Config
from actor_critic.config.fields import OLD_VALUES, SWITCHABLE
from actor_critic.config.preset import find_preset
from actor_critic.errors import ConfigError
from actor_critic.imports import Objects, is_installed
from actor_critic.process import command_line

# Settings that make a coefficient depend on the length of the run.
ANNEALING = ("anneal_lr", "anneal_clip", "anneal_ent")

# Settings that do not change the numbers of an epoch: records, stopping, and initial weights (part of the state).
_NOT_COMPUTED = frozenset(
    {
        "checkpoint_interval",
        "keep_checkpoints",
        "on_checkpoint_error",
        "evaluation_interval",
        "evaluation_episodes",
        "evaluation_max_steps",
        "evaluation_environment",
        "evaluation_environment_kwargs",
        "video_interval",
        "logger",
        "report",
        "log_file",
        "target_return",
        "max_hours",
        "init_from",
        "preset",
        "workers",
        "worker_timeout",
        "rank_timeout",
        "max_worker_restarts",
    }
)


SMALLER_OBSERVATIONS = "wrap it to show fewer, such as the digits of a large Discrete as a MultiDiscrete"
FEWER_ACTIONS = "wrap it to ask for several small choices, such as the digits of a large Discrete as a MultiDiscrete"

_IS_ID = re.compile(r"-v\d+$")  # of a registered environment, rather than a class or function

# Well-known packages that register environments.
_REGISTRARS = frozenset({"gymnasium", "ale_py", "minigrid", "minatar", "minatar.gym"})


def wrapper_and_kwargs(wrapper: str | dict[str, dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    """Return the name and the keyword arguments of an entry of ``wrappers``."""
    return (wrapper, {}) if isinstance(wrapper, str) else next(iter(wrapper.items()))


def computed_fields(document: dict[str, Any]) -> dict[str, Any]:
    """Return the saved settings that decide the bits of the next epoch.

    Args:
        document: Settings as :meth:`Settings.to_json` writes them.

    Returns:
        The entries that the digest of a run covers. The length of the run is included only if something
            is annealed.
    """
    is_annealed = any(document.get(name) for name in ANNEALING)
    left_out = _NOT_COMPUTED if is_annealed else _NOT_COMPUTED | {"num_epochs"}
    if document.get("backend") == "fused":  # its numbers do not depend on the number of threads
        left_out |= {"threads"}
    # Our own vectoriser gives the same numbers in any process.
    if document.get("vectorization") not in ("native", "compiled"):
        left_out |= {"vectorization"}
    # A setting that did not exist yet, at the value that stood for it, leaves the digests of older runs as they are.
    return {
        name: value
        for name, value in document.items()
        if name not in left_out and not (name in OLD_VALUES and value == OLD_VALUES[name])
    }


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The resolved settings of a run.

    :class:`Config` declares them. The fields here repeat names and types for the type checker; a test compares both.
    None means that a feature is off, or that there is no limit, target or source. ``input_dim`` and ``output_dim`` are
    None until :meth:`fitted` takes them from the spaces of the environment.

    Attributes:
        objects: Finds the objects that the settings name, such as ``environment``. It is no setting: no file has it.
    """

    environment: str
    environment_kwargs: dict[str, Any]
    wrappers: list[str | dict[str, dict[str, Any]]]
    observation_keys: list[str]
    frame_stack: int
    vectorization: str
    workers: int | Literal["auto"]
    worker_timeout: float
    rank_timeout: float
    max_worker_restarts: int
    replay: Literal["auto", "reset", "fresh", "none"]
    max_episode_steps: int | None
    input_dim: int | None
    output_dim: int | None
    reward_model: str
    reward_model_kwargs: dict[str, Any]
    reward_mode: str
    clip_rewards: float | None
    normalize_observations: bool
    normalize_encoded: bool
    normalize_rewards: bool

    algorithm: str
    preset: str
    seed: int
    num_envs: int
    batch_size: int
    num_epochs: int
    target_return: float | None
    max_hours: float | None
    init_from: str | None

    encoder: str
    encoder_kwargs: dict[str, Any]
    embedding_dim: int | None
    memory: str | None
    hidden_dim: int
    hidden_layers: int
    activation: str
    shared_encoder: bool

    learning_rate: float
    anneal_lr: bool
    anneal_clip: bool
    anneal_ent: bool
    adam_beta1: float
    adam_beta2: float
    adam_epsilon: float
    gamma: float
    gae_lambda: float
    update_epochs: int
    num_minibatches: int
    clip_coef: float | None
    clip_vloss: bool
    normalize_advantages: bool
    min_advantage_std: float
    ent_coef: float
    vf_coef: float
    max_grad_norm: float | None
    target_kl: float | None

    device: str
    backend: str
    threads: int
    overlap: bool
    checkpoint_interval: int
    keep_checkpoints: int
    on_checkpoint_error: str
    evaluation_interval: int | None
    evaluation_episodes: int
    evaluation_max_steps: int
    evaluation_environment: str | None
    evaluation_environment_kwargs: dict[str, Any]
    video_interval: int | None
    logger: list[Literal["wandb", "mlflow"]]
    report: bool
    log_file: str

    objects: Objects = field(default_factory=Objects, compare=False, repr=False)

    @property
    def num_steps(self) -> int:
        """Steps per environment and epoch, T."""
        return self.batch_size // self.num_envs

    @property
    def total_timesteps(self) -> int:
        """Environment steps of the whole run."""
        return self.num_epochs * self.batch_size

    @property
    def minibatch_size(self) -> int:
        """Transitions per optimizer step."""
        return self.batch_size // self.num_minibatches

    @property
    def optimizer_steps(self) -> int:
        """Optimizer steps of the whole run, if ``target_kl`` skips none."""
        return self.num_epochs * self.update_epochs * self.num_minibatches

    @property
    def torch_threads(self) -> int:
        """Threads for the operations of PyTorch; the fused backend starts its own."""
        return self.threads if self.backend == "eager" else 1

    @property
    def cores(self) -> int:
        """Number of cores that a run keeps busy."""
        assert self.workers != "auto", "choose_vectorization comes first"
        return self.workers + self.cores_beside if self.overlap else max(self.workers, self._learning_cores)

    @property
    def cores_beside(self) -> int:
        """Number of cores that learn while environments are stepped."""
        return self._learning_cores if self.overlap else 0

    @property
    def _learning_cores(self) -> int:
        return min(self.threads, 2) if self.backend == "fused" else self.threads

    @property
    def is_annealed(self) -> bool:
        """Whether a coefficient depends on the length of the run."""
        return any(getattr(self, name) for name in ANNEALING)

    @property
    def is_random_states(self) -> bool:
        """Whether the environment is the built-in random states."""
        return self.environment == RANDOM_STATES

    @property
    def is_saved_whole(self) -> bool:
        """Whether checkpoints hold the whole state of the environments, so that nothing is replayed."""
        return self.is_random_states or self.vectorization == "compiled"

    @property
    def episode_figures(self) -> list[str]:
        """Names of the per-episode sums in training; those that only some runs have come last."""
        has_model = not self.is_random_states and self.reward_model != "environment"
        extra = {"model_return": has_model, "training_return": bool(self.wrappers)}
        return ["return", "length", *(name for name, is_there in extra.items() if is_there)]

    @property
    def imported_code(self) -> list[str]:
        """Every ``module:Name`` that these settings import."""
        named = [self.reward_model, self.encoder, self.environment, *self.wrapper_names]
        named.append(self.evaluation_environment or "")
        both = (self.environment_kwargs, self.evaluation_environment_kwargs)
        named += [str(kwargs.get("env_id", "")) for kwargs in both]  # the id inside a wrapper of old Gym
        return [name for name in named if ":" in name]

    @property
    def wrapper_names(self) -> list[str]:
        """The names of the wrappers, without their keyword arguments."""
        return [wrapper_and_kwargs(wrapper)[0] for wrapper in self.wrappers]

    @property
    def code_to_trust(self) -> list[str]:
        """The part of :attr:`imported_code` that needs the user's consent if a file names it.

        Objects that the program passed are not imported. Two other kinds of code need no consent: code that our preset
        for this environment names too, and environments of well-known packages. Both must be installed, not found in
        the current folder.
        """
        preset = find_preset(self.environment, self.algorithm).settings
        environments = {self.environment, self.evaluation_environment or ""}
        known = {name for name in environments if name.partition(":")[0] in _REGISTRARS and _IS_ID.search(name)}
        if preset.get("wrappers") == self.wrappers:
            known |= set(self.wrapper_names)
        for name in ("encoder", "reward_model"):
            if preset.get(name) == getattr(self, name):
                known |= {getattr(self, name)}
        return [
            name
            for name in self.imported_code
            if name not in self.objects and (name not in known or not is_installed(name.partition(":")[0]))
        ]

    def for_evaluation(self) -> "Settings":
        """Return a copy with the environment of evaluations as the environment."""
        kwargs = self.evaluation_environment_kwargs
        if self.evaluation_environment is not None:
            return self.replace(environment=self.evaluation_environment, environment_kwargs=kwargs)
        return self.replace(environment_kwargs=self.environment_kwargs | kwargs)

    def fitted(self, input_dim: int, output_dim: int) -> "Settings":
        """Return a copy with the dimensions of the environment's spaces.

        Raises:
            ConfigError: The settings contradict the dimensions, or the dimensions are not supported.
        """
        for name, found, space in (("input_dim", input_dim, "observation"), ("output_dim", output_dim, "action")):
            value = getattr(self, name)
            if value is not None and value != found:
                raise ConfigError(
                    f"{name}: {value} contradicts {self.environment}, whose {space} space says {found}; set it to null "
                    f"or {found}, or let `{self._init_command()}` write a fitting file"
                )
        if input_dim < 1 or output_dim < 2:
            raise ConfigError(
                f"environment: {self.environment} shows {input_dim} numbers and has {output_dim} actions; expected at "
                f"least 1 and 2, as otherwise nothing is learned"
            )
        if input_dim > MAX_INPUT_DIM:
            raise ConfigError(
                f"environment: the observation space of {self.environment} is {input_dim} numbers for the networks, "
                f"and at most {MAX_INPUT_DIM} are possible; {SMALLER_OBSERVATIONS}"
            )
        return self.replace(input_dim=input_dim, output_dim=output_dim)

    def _init_command(self) -> str:
        """Return the command that writes a settings file for this environment."""
        words = ["init", "--environment", self.environment]
        words += ["--config", f"{self.environment.rpartition(':')[2].replace('/', '-')}.json"]
        if self.environment_kwargs:
            words += ["--environment-kwargs", json.dumps(self.environment_kwargs)]
        if self.wrappers:
            words += [
                "--wrappers",
                json.dumps(self.wrappers) if self.wrappers != self.wrapper_names else ",".join(self.wrapper_names),
            ]
        if self.observation_keys:
            words += ["--observation-keys", json.dumps(self.observation_keys, ensure_ascii=False)]
        return command_line(*words)

    def replace(self, **changes: Any) -> "Settings":
        """Return a copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    def to_config(self) -> Config:
        """Return a Config that resolves to exactly these settings with any presets."""
        fields: dict[str, Any] = dataclasses.asdict(self)
        del fields["objects"]
        switched = {name: "off" for name in SWITCHABLE if fields[name] is None}
        return Config(**{**fields, **switched})

    def to_document(self) -> dict[str, Any]:
        """Return a complete JSON object that reproduces the run."""
        return self.to_config().model_dump(exclude={"num_steps", "total_timesteps"})

    def to_json(self) -> bytes:
        """Return :meth:`to_document` as indented JSON."""
        return (json.dumps(self.to_document(), indent=2, ensure_ascii=False) + "\n").encode()


SETTING_NAMES = tuple(each.name for each in dataclasses.fields(Settings) if each.name != "objects")
"""The names of all settings."""
