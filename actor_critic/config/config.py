"""Config, the settings as a user gives them. Each setting is declared here: name, type, range, default and meaning."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, ValidationError, model_validator

from actor_critic.config.json_values import as_json, check_is_json
from actor_critic.config.messages import explain
from actor_critic.config.reading import read_json_object
from actor_critic.errors import ConfigError
from actor_critic.files import create_exclusively, write_durably
from actor_critic.seeding import MAX_SEED

RANDOM_STATES = "random-states"
MAX_ENVS = 65536
MAX_BATCH_SIZE = 2**31
MAX_INPUT_DIM, MAX_OUTPUT_DIM = 2**31, 10**6


@dataclass(frozen=True)
class Default:
    """The value of a setting that neither the user nor a preset sets.

    Attributes:
        value: The default. None keeps the setting open: there is no such limit or source, or a space says it later.
        random_states: The default for random states; None if it is the same.
        old: The value that versions without this setting used; runs that they saved are read with it. None if every
            version that saved runs has this setting.
    """

    value: Any
    random_states: Any = None
    old: Any = None


_Off = Literal["off"]
_Class = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$", examples=["module:Class"])]
_RewardModel = Annotated[
    str,
    Field(
        pattern=r"^(environment|linear|[A-Za-z_][\w.]*:[A-Za-z_]\w*)$",
        examples=["environment", "linear", "module:Class"],
    ),
]
_Encoder = Annotated[
    str,
    Field(
        pattern=r"^(auto|mlp|nature_cnn|small_cnn|[A-Za-z_][\w.]*:[A-Za-z_]\w*)$",
        examples=["auto", "mlp", "nature_cnn", "small_cnn", "module:Class"],
    ),
]
_Path = Annotated[str, Field(pattern=r"^[^\x00]+$", examples=["folder/name"])]
_Device = Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d{1,3})?)$", examples=["auto", "cpu", "cuda", "cuda:1"])]
_Count = Annotated[int, Field(ge=1, le=10**12)]
_Positive = Annotated[float, Field(gt=0)]

Algorithm = Literal["a2c", "ppo"]


class Config(BaseModel):
    """What a user asks for. ``None`` (null in the file) means: from the preset, or else the default.

    A ``Config`` is complete only once resolved (:func:`actor_critic.config.resolve.resolve`): flag > file > preset of
    (environment, algorithm) > default. Where "off" is allowed, it switches the feature off whatever the preset says.
    NumPy's numbers, truth values and texts, paths and tuples are taken as the JSON values that they stand for. A copy
    (``model_copy(update=...)``) is checked as a new one is.

    Raises:
        ConfigError: A key is unknown, or a value has the wrong type or is out of range.
    """

    # Each setting: its name, type, range and default, and its meaning beneath. A setting without a Default is computed
    # from others (resolve.py). All are null at first, since a preset comes before the default.

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    # --- the problem ---
    environment: Annotated[str | None, Field(min_length=1, max_length=200), Default(RANDOM_STATES)] = None
    """What to learn: a Gymnasium id such as "CartPole-v1", "module:Id" to import the module that registers it first,
    or "random-states", the built-in problem of one decision per random state. Default: "random-states"."""
    environment_kwargs: Annotated[dict[str, Any] | None, Default({})] = None
    """Keyword arguments for the environment's constructor, as a JSON object."""
    wrappers: Annotated[list[_Class] | None, Default([])] = None
    """Gymnasium wrappers to apply, innermost first, each "module:Class" and called with the environment alone."""
    frame_stack: Annotated[int | None, Field(ge=1, le=64), Default(1)] = None
    """How many of the latest observations the networks see together, in frames. Default: 1."""
    vectorization: Annotated[Literal["auto", "sync", "shared", "workers", "native"] | None, Default("auto")] = None
    """How environments run side by side: "sync" (one after the other in this process), "shared" (in this process and
    others), "workers" (in others alone, so that one that crashes or hangs does so alone), all three to the same bits;
    "native" (the environment's own vector form, which a resumed run begins anew); or "auto": workers where
    ``max_worker_restarts`` has them replaced, shared with several ``workers``, else native where a trial shows the very
    same episodes, else sync. Default: "auto"."""
    workers: Annotated[int, Field(ge=1, le=1024)] | Literal["auto"] | None = None
    """Processes that environments run in, to the same bits for any number; "auto" measures which is fastest here when
    the run begins, a second for each number tried. Default: 1, or with vectorization "shared" or "workers" "auto"."""
    worker_timeout: Annotated[float | None, Field(gt=0, le=10**6), Default(300.0)] = None
    """Seconds after which a worker that does not answer is killed and taken for dead; environments in this process are
    not watched. Default: 300."""
    max_worker_restarts: Annotated[int | None, Field(ge=0, le=10**6), Default(0)] = None
    """How many workers, in all, are replaced when they die, their episodes replayed. Default: 0, any ends the run."""
    replay: Annotated[Literal["auto", "reset", "fresh", "none"] | None, Default("auto")] = None
    """How running episodes are rebuilt when a run is resumed: "reset" (a reset with the episode's seed, and its
    actions), "fresh" (the same, and every episode has an instance made for it), "none" (new ones begin: a resumed run
    is not quite the one that was stopped), or "auto": the first that works in a trial of 32 short
    episodes before the run. Default: "auto"."""
    max_episode_steps: Annotated[_Count | None, Default(None)] = None
    """Truncate an episode after this many environment steps. Null: the environment's own limit."""
    input_dim: Annotated[int | None, Field(ge=1, le=MAX_INPUT_DIM), Default(None, random_states=10)] = None
    """Numbers in a random state (default 10). With a named environment it comes from the observation space."""
    output_dim: Annotated[int | None, Field(ge=2, le=MAX_OUTPUT_DIM), Default(None, random_states=2)] = None
    """Actions to choose from in a random state (default 2). With a named environment it comes from the action space
    (the number of logits)."""
    reward_model: Annotated[_RewardModel | None, Default("environment", random_states="linear")] = None
    """Where rewards come from: "environment" (its own), "linear" (the built-in model), or "module:Class", a RewardModel
    of yours. Default: "linear" for random states, else "environment"."""
    reward_model_kwargs: Annotated[dict[str, Any] | None, Default({})] = None
    """Keyword arguments for the reward model's constructor, as a JSON object."""
    reward_mode: Annotated[Literal["replace", "add", "shape"] | None, Default("replace")] = None
    """What a reward model does to the rewards of a named environment: "replace" them, "add" to them, or "shape" them by
    the differences of its potentials, which leaves the best policy what it was. Default: "replace"."""
    clip_rewards: Annotated[_Positive | _Off | None, Default("off")] = None
    """Clip every training reward to [-x, x], after the reward model and before normalisation. Default: off."""
    normalize_observations: Annotated[bool | None, Default(False)] = None
    """Scale observations by their running mean and standard deviation, clipped to ±10. Default: false."""
    normalize_rewards: Annotated[bool | None, Default(False)] = None
    """Divide training rewards by the running standard deviation of the discounted return. Default: false."""

    # --- the run ---
    algorithm: Annotated[Algorithm | None, Default("ppo", random_states="a2c")] = None
    """Whose preset fills the settings left null: "a2c" (one unclipped step per epoch) or "ppo" (several clipped
    passes). Default: "a2c" for random states, else "ppo"."""
    preset: Annotated[Literal["auto", "none"] | None, Default("auto")] = None
    """Whether a preset fills the settings left null: "auto" takes that of the environment and algorithm, or the
    algorithm's general one; "none" leaves the plain defaults. Default: "auto"."""
    seed: Annotated[int | None, Field(ge=0, le=MAX_SEED), Default(42)] = None
    """The one source of randomness: same settings and seed, same bits. Default: 42."""
    num_envs: Annotated[int | None, Field(ge=1, le=MAX_ENVS)] = None
    """Environments stepped side by side. Default for random states: batch_size, as each is an episode of its own."""
    batch_size: Annotated[int | None, Field(ge=1, le=MAX_BATCH_SIZE), Default(32)] = None
    """Transitions collected per epoch, = num_envs x num_steps. Default: 32.
    (Stable-Baselines3 gives this name to its minibatch; here that is batch_size / num_minibatches.)"""
    num_steps: Annotated[int | None, Field(ge=1, le=2**31)] = None
    """The other way to say batch_size: steps per environment and epoch."""
    num_epochs: Annotated[_Count | None, Default(100)] = None
    """Length of the run, in epochs of one collection and one update. Default: 100."""
    total_timesteps: _Count | None = None
    """The other way to say num_epochs: environment steps, rounded down to whole epochs."""
    target_return: Annotated[float | None, Default(None)] = None
    """Stop early once the mean return of the last 100 training episodes reaches this; or of all that ended in the last
    epoch, where these are more. It counts once no episode still runs that began before all of these."""
    max_hours: Annotated[float | None, Field(gt=0), Default(None)] = None
    """Stop early, after the epoch in which this wall-clock time has passed, in hours."""
    init_from: Annotated[_Path | None, Default(None)] = None
    """Warm start: a checkpoint or run folder whose weights and normaliser (nothing else) the agent begins with."""

    # --- the networks ---
    encoder: Annotated[_Encoder | None, Default("auto")] = None
    """What observations pass before the hidden layers: "auto" (images a CNN chosen by their size, all else flattened),
    "mlp" (everything flattened), "nature_cnn", "small_cnn" (images by that CNN), or "module:Class", a torch.nn.Module
    of yours that is called with the shapes of its input. Default: "auto"."""
    encoder_kwargs: Annotated[dict[str, Any] | None, Default({})] = None
    """Keyword arguments for the constructor of an encoder of yours, as a JSON object."""
    embedding_dim: Annotated[Annotated[int, Field(ge=1, le=2**16)] | _Off | None, Default("off")] = None
    """Learned numbers for each Discrete entry of an observation. Default: off, which shows it one-hot."""
    memory: Annotated[Literal["gru", "lstm"] | _Off | None, Default("off")] = None
    """A recurrent layer of hidden_dim units after the hidden layers; num_minibatches must then divide num_envs.
    Default: off."""
    hidden_dim: Annotated[int | None, Field(ge=1, le=2**24), Default(256)] = None
    """Units in each hidden layer. Default: 256."""
    hidden_layers: Annotated[int | None, Field(ge=0, le=64), Default(2)] = None
    """Hidden layers of each network; 0 makes it linear. Default: 2."""
    activation: Annotated[Literal["tanh", "relu", "gelu", "silu", "elu"] | None, Default("tanh")] = None
    """Nonlinearity after each hidden layer. Default: "tanh"."""
    shared_encoder: Annotated[bool | None, Default(False)] = None
    """Let policy and value share encoder, hidden layers and memory instead of having separate ones. Default: false."""

    # --- the update ---
    learning_rate: Annotated[float | None, Field(gt=0, le=1), Default(1e-4)] = None
    """Step size of Adam. Default: 0.0001."""
    anneal_lr: Annotated[bool | None, Default(False)] = None
    """Lower the learning rate linearly, from learning_rate in the first epoch towards 0 after the last.
    Default: false."""
    anneal_clip: Annotated[bool | None, Default(False)] = None
    """Lower clip_coef in the same way. Default: false."""
    anneal_ent: Annotated[bool | None, Default(False)] = None
    """Lower ent_coef in the same way. Default: false."""
    adam_beta1: Annotated[float | None, Field(ge=0, lt=1), Default(0.9)] = None
    """Decay of Adam's first moment. Default: 0.9."""
    adam_beta2: Annotated[float | None, Field(ge=0, lt=1), Default(0.999)] = None
    """Decay of Adam's second moment. Default: 0.999."""
    adam_epsilon: Annotated[float | None, Field(gt=0), Default(1e-8)] = None
    """Added to Adam's denominator. Default: 1e-8; the presets for named environments use 1e-5."""
    gamma: Annotated[float | None, Field(ge=0, le=1), Default(0.99)] = None
    """Discount per step: how much a reward one step later is worth. Default: 0.99."""
    gae_lambda: Annotated[float | None, Field(ge=0, le=1), Default(0.95)] = None
    """Trace decay of generalized advantage estimation: 0 is the one-step TD target, 1 the Monte-Carlo return.
    Default: 0.95."""
    update_epochs: Annotated[int | None, Field(ge=1, le=1000), Default(1)] = None
    """Passes over the batch per epoch. Default: 1."""
    num_minibatches: Annotated[int | None, Field(ge=1, le=2**31), Default(1)] = None
    """Slices of the batch per pass, one optimizer step each; must divide batch_size. Default: 1."""
    clip_coef: Annotated[_Positive | _Off | None, Default("off")] = None
    """PPO's clip range for the probability ratio. "off" is the unclipped policy gradient of A2C; null means that only
    where the preset says so (a2c does; ppo says 0.2)."""
    clip_vloss: Annotated[bool | None, Default(False)] = None
    """Also clip the value's change by clip_coef, taking the larger of both errors. Default: false."""
    normalize_advantages: Annotated[bool | None, Default(False)] = None
    """Shift and scale advantages to mean 0 and deviation 1 within each minibatch. Default: false (ppo: true)."""
    ent_coef: Annotated[float | None, Field(ge=0), Default(0.0)] = None
    """Weight of the entropy bonus. Default: 0."""
    vf_coef: Annotated[float | None, Field(ge=0), Default(0.5)] = None
    """Weight of the value loss, which is half the mean squared error. Default: 0.5."""
    max_grad_norm: Annotated[_Positive | _Off | None, Default(0.5)] = None
    """Scale the gradient of both networks together down to this Euclidean norm. Default: 0.5."""
    target_kl: Annotated[_Positive | _Off | None, Default("off")] = None
    """Skip the rest of an epoch's steps once the approximate KL divergence exceeds 1.5 times this. Default: off."""

    # --- the machine and the records ---
    device: Annotated[_Device | None, Default("auto")] = None
    """Where the networks live: "auto" (a CUDA GPU if there is one, else the CPU), "cpu", "cuda" or "cuda:1".
    Default: "auto"."""
    backend: Annotated[Literal["auto", "eager", "fused"] | None, Default("auto")] = None
    """How the networks are executed: "eager" (PyTorch, one operation at a time), "fused" (the whole update in compiled
    code, for multilayer perceptrons and CNNs on the CPU), or "auto": fused where it is faster. The bits depend on it.
    Default: "auto"."""
    threads: Annotated[int | None, Field(ge=1, le=1024), Default(1)] = None
    """Threads that learn on the CPU. With the fused backend 2 let policy and value function learn side by side, to the
    same bits, which pays for CNNs, wide networks, large minibatches and an idle core (for an update of less than some
    hundred microseconds the other thread is not woken); with the eager one they are PyTorch's, and the bits depend on
    them. Networks that share an encoder learn on one thread, and so does Windows. Default: 1."""
    overlap: Annotated[bool | None, Default(False)] = None
    """Collect the next rollout while learning from this one, on another core, with a policy exactly one update old;
    the ratios correct for that, so it needs clip_coef. The bits depend on it, and on nothing that is timed. The actions
    of the running episodes are copied every epoch, which shows where episodes never end.
    Default: false."""
    checkpoint_interval: _Count | None = None
    """Epochs between checkpoints; the last epoch always has one. A crash costs the epochs since the last one.
    Default: num_epochs / 20, but 10 at least and 250 at most."""
    keep_checkpoints: Annotated[int | None, Field(ge=1, le=10**6), Default(5)] = None
    """How many of the newest periodic checkpoints stay on disk, besides the best one. Default: 5."""
    on_checkpoint_error: Annotated[Literal["stop", "continue"] | None, Default("stop")] = None
    """Where the disk refuses a checkpoint or the figures of an epoch: "stop" ends the run with an error, "continue"
    writes it to the log and trains on until the next checkpoint is due; the last one of a run must be written in either
    case. Default: "stop"."""
    evaluation_interval: Annotated[_Count | _Off | None, Default("off")] = None
    """Epochs between evaluations that choose the best checkpoint. Default: off (the best one is then the checkpoint
    with the highest mean training return, among those whose mean covers at least 100 episodes and is not one of short
    episodes alone, which end first; the last one where there is none such)."""
    evaluation_episodes: Annotated[int | None, Field(ge=1, le=10**6), Default(100)] = None
    """Episodes per evaluation, for the greedy and for the sampled policy each. Default: 100 (random states: 1000)."""
    evaluation_max_steps: Annotated[_Count | None, Default(27_000, old=10_000)] = None
    """Steps after which an evaluation cuts an episode of an environment that has no limit of its own; the result says
    how many were cut. Default: 27000, the limit of Atari games."""
    log_file: Annotated[_Path | None, Default("actor_critic_training.log")] = None
    """The log that a command appends to. Default: "actor_critic_training.log"."""

    @model_validator(mode="wrap")
    @classmethod
    def _one_error_family(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            config = handler(as_json(data))
        except ValidationError as error:
            raise ConfigError(explain(error, cls.model_fields)) from None
        for name in ("environment_kwargs", "reward_model_kwargs", "encoder_kwargs"):
            check_is_json(name, getattr(config, name))
        return config

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with some fields changed.

        Args:
            update: The changes.
            deep: Has no effect: every copy is a deep one.

        Raises:
            ConfigError: A key is unknown, or a value has the wrong type or is out of range.
        """
        explicit = {name: value for name, value in self if value is not None or name in self.model_fields_set}
        return type(self)(**{**explicit, **(update or {})})

    def copy(self, *, include: Any = None, exclude: Any = None, update: Any = None, deep: bool = False) -> Self:
        """Return a copy with some fields kept, left out or changed (pydantic's older form of :meth:`model_copy`).

        Raises:
            ConfigError: A key is unknown, or a value has the wrong type or is out of range.
        """
        kept = self.model_dump(include=include, exclude=exclude, exclude_none=True)
        return type(self)(**{**kept, **(update or {})})

    @classmethod
    def model_construct(cls, _fields_set: set[str] | None = None, **values: Any) -> Self:  # type: ignore[override]
        """Call the constructor: no ``Config`` is made without being checked.

        Raises:
            ConfigError: A key is unknown, or a value has the wrong type or is out of range.
        """
        return cls(**values)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a settings file.

        Raises:
            ConfigError: The file is not strict JSON, or a setting in it is wrong.
        """
        document = read_json_object(Path(path))
        try:
            return cls(**document)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None

    def save(self, path: str | Path) -> None:
        """Write a settings file that :meth:`load` reads back equal; an existing file is replaced atomically."""
        write_durably(Path(path), self.to_json())

    def save_new(self, path: str | Path) -> bool:
        """Write a settings file unless the path exists already; return whether it wrote."""
        return create_exclusively(Path(path), self.to_json())

    def to_json(self) -> bytes:
        """Return an indented JSON document with every key."""
        return (json.dumps(self.model_dump(), indent=2, ensure_ascii=False) + "\n").encode()
