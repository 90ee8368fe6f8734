"""Config: the settings as a user gives them. It declares the name, type, range, default and meaning of each."""

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
        value: The default. None means no limit or no source, or that a space of the environment decides later.
        random_states: The default for random states; None means ``value``.
        old: The value in runs that were saved before this setting existed; None if no such run exists.
    """

    value: Any
    random_states: Any = None
    old: Any = None


_Off = Literal["off"]
# A name within a module may have dots, "<locals>" and "#2" if a program passed the object.
_Class = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_<][\w.<>#]*$", examples=["module:Class"])]
_Wrapper = (
    _Class
    | Annotated[
        dict[_Class, dict[str, Any]], Field(min_length=1, max_length=1, examples=[{"module:Class": {"argument": 1}}])
    ]
)
_RewardModel = Annotated[
    str,
    Field(
        pattern=r"^(environment|linear|[A-Za-z_][\w.]*:[A-Za-z_<][\w.<>#]*)$",
        examples=["environment", "linear", "module:Class"],
    ),
]
_Encoder = Annotated[
    str,
    Field(
        pattern=r"^(auto|mlp|nature_cnn|small_cnn|[A-Za-z_][\w.]*:[A-Za-z_<][\w.<>#]*)$",
        examples=["auto", "mlp", "nature_cnn", "small_cnn", "module:Class"],
    ),
]
_Part = Annotated[str, Field(pattern=r"^[^\x00]+$", examples=["image", "sensors.camera", "0"])]
_Path = Annotated[str, Field(pattern=r"^[^\x00]+$", examples=["folder/name"])]
_Device = Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d{1,3})?)$", examples=["auto", "cpu", "cuda", "cuda:1"])]
_Count = Annotated[int, Field(ge=1, le=10**12)]
_Positive = Annotated[float, Field(gt=0)]

_JSON_FIELDS = (
    "environment_kwargs", "wrappers", "reward_model_kwargs", "encoder_kwargs", "evaluation_environment_kwargs"
)  # fmt: skip

Algorithm = Literal["a2c", "ppo"]


class Config(BaseModel):
    """The settings that a user gives. ``None`` (null in the file) takes the preset's value, or else the default.

    :func:`actor_critic.config.resolve.resolve` completes a ``Config``: flag > file > preset of (environment,
    algorithm) > default. Where "off" is allowed, it switches the feature off and overrides the preset. NumPy scalars,
    paths and tuples are converted to JSON values. Copies (``model_copy(update=...)``) are validated like new objects.

    Raises:
        ConfigError: A key is unknown, or a value has the wrong type or is out of range.
    """

    # The meaning of each setting is the text below it. A setting without a Default is computed from others
    # (resolve.py). The value of every field starts as None, because a preset overrides the default.

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    # --- the problem ---
    environment: Annotated[str | None, Field(min_length=1, max_length=200), Default(RANDOM_STATES)] = None
    """The environment: a Gymnasium id such as "CartPole-v1"; "module:Id", which first imports the module that registers
    it; "module:name", an environment class or a function that makes an environment; or "random-states", the built-in
    problem with one decision per random state. Default: "random-states"."""
    environment_kwargs: Annotated[dict[str, Any] | None, Default({})] = None
    """Keyword arguments for the environment's constructor, as a JSON object."""
    wrappers: Annotated[list[_Wrapper] | None, Default([])] = None
    """Gymnasium wrappers, innermost first: "module:Class", or {"module:Class": {"argument": 1}} with keyword
    arguments."""
    observation_keys: Annotated[list[_Part] | None, Default([], old=[])] = None
    """The parts of a Dict or Tuple observation that the networks see. A name is a key or a position in a Tuple, or
    several joined by dots: "sensors.camera". The name of a Dict or Tuple keeps all parts inside. An empty list keeps
    every part that a network reads."""
    frame_stack: Annotated[int | None, Field(ge=1, le=64), Default(1)] = None
    """Number of latest observations that the networks see together. Default: 1."""
    vectorization: Annotated[
        Literal["auto", "sync", "shared", "workers", "native", "compiled"] | None, Default("auto")
    ] = None
    """How several environments run. "sync": one after the other in this process. "shared": in this process and in
    workers. "workers": only in workers, so a crash or hang stays in its worker. These three give the same bits.
    "native": the environment's own vector form; a resumed run starts new episodes. "compiled": the functions of a
    FunctionalEnvironment, or of the twin of an environment of Gymnasium, compiled. "auto": "workers" if
    ``max_worker_restarts`` is above 0, "shared" if ``workers`` is above 1, "compiled" if possible, "native" if a trial
    gives the same episodes as "sync", else "sync". Default: "auto"."""
    workers: Annotated[int, Field(ge=1, le=1024)] | Literal["auto"] | None = None
    """Number of processes that run environments. It changes no bits, except that vectorization "auto" compiles only
    with 1 or "auto". "auto" tries several numbers when the run starts, one second each, and takes the fastest.
    Default: 1, or with vectorization "shared" or "workers" "auto"."""
    worker_timeout: Annotated[float | None, Field(gt=0, le=10**6), Default(300.0)] = None
    """Seconds after which a worker that does not answer is killed and counts as dead. Environments in this process have
    no timeout. Default: 300."""
    rank_timeout: Annotated[float | None, Field(gt=0, le=10**6), Default(600.0, old=600.0)] = None
    """Seconds that a rank of a data-parallel run waits for another one before the run ends with an error. The others
    wait while rank 0 evaluates. Default: 600."""
    max_worker_restarts: Annotated[int | None, Field(ge=0, le=10**6), Default(0)] = None
    """How many dead workers a run replaces in total; it replays their episodes. Default: 0, any ends the run."""
    replay: Annotated[Literal["auto", "reset", "fresh", "none"] | None, Default("auto")] = None
    """How a resumed run rebuilds its running episodes. "reset": reset with the episode's seed, then repeat its actions.
    "fresh": the same, with a new instance of the environment for every episode. "none": start new episodes, so the
    resumed run differs from an uninterrupted one. "auto": the first of these that works in a trial of 32 short episodes
    before the run. Default: "auto"."""
    max_episode_steps: Annotated[_Count | None, Default(None)] = None
    """Truncate an episode after this many environment steps. Null: the environment's own limit."""
    input_dim: Annotated[int | None, Field(ge=1, le=MAX_INPUT_DIM), Default(None, random_states=10)] = None
    """Length of a random state (default 10). With a named environment it comes from the observation space."""
    output_dim: Annotated[int | None, Field(ge=2, le=MAX_OUTPUT_DIM), Default(None, random_states=2)] = None
    """Number of actions in a random state (default 2). With a named environment it comes from the action space (the
    number of logits)."""
    reward_model: Annotated[_RewardModel | None, Default("environment", random_states="linear")] = None
    """Source of the rewards: "environment" (its own), "linear" (the built-in model), or "module:name" (your own
    RewardModel, or a function of states and actions). Default: "linear" for random states, else "environment"."""
    reward_model_kwargs: Annotated[dict[str, Any] | None, Default({})] = None
    """Keyword arguments for the reward model's constructor, as a JSON object."""
    reward_mode: Annotated[Literal["replace", "add", "shape"] | None, Default("replace")] = None
    """How a reward model changes the rewards of a named environment: "replace" them, "add" to them, or "shape" them
    with differences of its potentials, which keeps the optimal policy. Default: "replace"."""
    clip_rewards: Annotated[_Positive | _Off | None, Default("off")] = None
    """Clip every training reward to [-x, x], after the reward model and before normalisation. Default: off."""
    normalize_observations: Annotated[bool | None, Default(False)] = None
    """Scale the numbers of observations by their running mean and standard deviation, clipped to ±10.
    Default: false."""
    normalize_encoded: Annotated[bool | None, Default(False, old=True)] = None
    """With normalize_observations, also scale pictures, booleans and one-hot categories. Default: false."""
    normalize_rewards: Annotated[bool | None, Default(False)] = None
    """Divide training rewards by the running standard deviation of the discounted return. Default: false."""

    # --- the run ---
    algorithm: Annotated[Algorithm | None, Default("ppo", random_states="a2c")] = None
    """The algorithm whose preset fills the settings left null: "a2c" (one unclipped step per epoch) or "ppo" (several
    clipped passes). Default: "a2c" for random states, else "ppo"."""
    preset: Annotated[Literal["auto", "none"] | None, Default("auto")] = None
    """Which preset fills the settings left null. "auto": the preset of the environment and algorithm if there is one
    for the same problem and kind of network, else the general preset of the algorithm. "none": always the general
    preset. Random states have presets of their own in either case. Default: "auto"."""
    seed: Annotated[int | None, Field(ge=0, le=MAX_SEED), Default(42)] = None
    """Seed of all random numbers: the same settings and seed give the same bits. Default: 42."""
    num_envs: Annotated[int | None, Field(ge=1, le=MAX_ENVS)] = None
    """Number of parallel environments. Default for random states: batch_size, as each is an episode of its own."""
    batch_size: Annotated[int | None, Field(ge=1, le=MAX_BATCH_SIZE), Default(32)] = None
    """Transitions collected per epoch, = num_envs x num_steps. Default: 32.
    (In Stable-Baselines3, batch_size is the size of a minibatch; here that is batch_size / num_minibatches.)"""
    num_steps: Annotated[int | None, Field(ge=1, le=2**31)] = None
    """Steps per environment and epoch; set this or batch_size."""
    num_epochs: Annotated[_Count | None, Default(100)] = None
    """Length of the run, in epochs of one collection and one update. Default: 100."""
    total_timesteps: _Count | None = None
    """Length of the run in environment steps, rounded down to whole epochs; set this or num_epochs."""
    target_return: Annotated[float | None, Default(None)] = None
    """Stop early once the mean return of the last training episodes reaches this. The mean covers 100 episodes, or all
    that ended in the last epoch if these are more. It counts only once every episode that began before
    them has ended."""
    max_hours: Annotated[float | None, Field(gt=0), Default(None)] = None
    """Stop early, after the epoch in which the wall-clock time exceeds this many hours."""
    init_from: Annotated[_Path | None, Default(None)] = None
    """Warm start: a checkpoint or run folder from which the agent loads its weights and normaliser, nothing else."""

    # --- the networks ---
    encoder: Annotated[_Encoder | None, Default("auto")] = None
    """The network before the hidden layers. "auto": a CNN chosen by size for images, and none for small grids of codes;
    everything else is flattened. "mlp": everything is flattened. "nature_cnn", "small_cnn": this CNN for images.
    "module:Class": your own torch.nn.Module, constructed with the shapes of its input. Default: "auto"."""
    encoder_kwargs: Annotated[dict[str, Any] | None, Default({})] = None
    """Keyword arguments for the constructor of your own encoder, as a JSON object."""
    embedding_dim: Annotated[Annotated[int, Field(ge=1, le=2**16)] | _Off | None, Default("off")] = None
    """Size of the learned embedding of each Discrete entry of an observation. Default: off, which shows it one-hot."""
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
    """Policy and value function share their encoder, hidden layers and memory. Default: false."""

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
    """PPO's clip range for the probability ratio. "off": the unclipped policy gradient of A2C. Null takes the value of
    the preset (a2c: "off", ppo: 0.2)."""
    clip_vloss: Annotated[bool | None, Default(False)] = None
    """Also clip the change of the value to ±clip_coef; the loss takes the larger of both errors. Default: false."""
    normalize_advantages: Annotated[bool | None, Default(False)] = None
    """Shift and scale advantages to mean 0 and deviation 1 within each minibatch. Default: false (ppo, a2c: true)."""
    min_advantage_std: Annotated[float | None, Field(ge=0), Default(0.0, old=0.0)] = None
    """The smallest deviation that advantages are divided by. With normalize_rewards and a value above 0, it is 1 until
    rewards differ for the first time: before, the deviation of advantages is only the error of the critic, which a
    policy should not learn from. It suits normalized rewards, which have a scale. Default: 0 (ppo, a2c: 0.05)."""
    ent_coef: Annotated[float | None, Field(ge=0), Default(0.0)] = None
    """Weight of the entropy bonus. Default: 0."""
    vf_coef: Annotated[float | None, Field(ge=0), Default(0.5)] = None
    """Weight of the value loss, which is half the mean squared error. Default: 0.5."""
    max_grad_norm: Annotated[_Positive | _Off | None, Default(0.5)] = None
    """Largest Euclidean norm of the gradient of both networks; a larger gradient is scaled down. Default: 0.5."""
    target_kl: Annotated[_Positive | _Off | None, Default("off")] = None
    """Skip the remaining optimizer steps of an epoch once the approximate KL divergence exceeds 1.5 times this.
    Default: off."""

    # --- the machine and the records ---
    device: Annotated[_Device | None, Default("auto")] = None
    """The device of the networks: "auto" (a CUDA GPU if there is one, else the CPU), "cpu", "cuda" or "cuda:1".
    Default: "auto"."""
    backend: Annotated[Literal["auto", "eager", "fused"] | None, Default("auto")] = None
    """How the networks are executed. "eager": PyTorch, one operation at a time. "fused": the whole update in compiled
    code, for multilayer perceptrons and CNNs on the CPU. "auto": "fused" where it is faster. The bits depend on the
    backend. Default: "auto"."""
    threads: Annotated[int | None, Field(ge=1, le=1024), Default(1)] = None
    """Threads for learning on the CPU. Fused backend: with 2, policy and value function learn in parallel if a core is
    idle; the bits stay the same. With several ranks, only the estimates of an epoch use the second thread. It waits
    awake for about a millisecond after each update. Very short updates (a hundred microseconds), shared encoders and
    Windows use one thread. Eager backend: the threads of PyTorch; the bits depend on their number. Default: 1."""
    overlap: Annotated[bool | None, Default(False)] = None
    """Collect the next rollout on another core during the update. Its policy is exactly one update old; the ratios
    correct for that, so clip_coef must be set. The bits depend on this setting, but never on timing. Each epoch copies
    the actions of the running episodes, which takes long if episodes never end.
    Default: false."""
    checkpoint_interval: _Count | None = None
    """Epochs between checkpoints; the last epoch always writes one. A crash loses the epochs since the last checkpoint.
    Default: num_epochs / 20, but 10 at least and 250 at most."""
    keep_checkpoints: Annotated[int | None, Field(ge=1, le=10**6), Default(5)] = None
    """Number of newest periodic checkpoints that stay on disk, besides the best one. Default: 5."""
    on_checkpoint_error: Annotated[Literal["stop", "continue"] | None, Default("stop")] = None
    """What happens if a checkpoint or the metrics of an epoch cannot be written. "stop": the run ends with an error.
    "continue": the error is logged, and training goes on until the next checkpoint. The last checkpoint of a run must
    be written in either case. Default: "stop"."""
    evaluation_interval: Annotated[_Count | _Off | None, Default("off")] = None
    """Epochs between evaluations that choose the best checkpoint. Default: off (the best one is then the checkpoint
    with the highest mean training return, among those whose mean covers at least 100 episodes and is not one of short
    episodes alone, which end first; the last one where there is none such)."""
    evaluation_episodes: Annotated[int | None, Field(ge=1, le=10**6), Default(100)] = None
    """Episodes per evaluation, for the greedy and for the sampled policy each. Default: 100 (random states: 1000)."""
    evaluation_max_steps: Annotated[_Count | None, Default(27_000, old=10_000)] = None
    """Maximum steps of an evaluation episode, for environments without a limit of their own. The result counts the
    episodes that were cut. Default: 27000, the limit of Atari games."""
    evaluation_environment: Annotated[str | None, Field(min_length=1, max_length=200), Default(None)] = None
    """Another environment for all evaluations of the run, named as in environment. Null: the one of training."""
    evaluation_environment_kwargs: Annotated[dict[str, Any] | None, Default({}, old={})] = None
    """Keyword arguments of the environment in evaluations, such as another difficulty. Without evaluation_environment,
    they replace those of the same name in environment_kwargs, and the others stay."""
    video_interval: Annotated[_Count | _Off | None, Default("off", old="off")] = None
    """Epochs between recordings of one greedy episode, in the folder "videos" of the run: .gif, or .txt for an
    environment that renders texts. The end of the run is recorded too. Recordings change no bits. GIFs need
    pip install "actor-critic[video]". Default: off."""
    logger: Annotated[list[Literal["wandb", "mlflow"]] | None, Default([], old=[])] = None
    """Other tools that get the figures of the run: "wandb" (Weights & Biases, offline unless WANDB_MODE says otherwise)
    and "mlflow" (mlflow.db beside the run folder, unless MLFLOW_TRACKING_URI says otherwise)."""
    report: Annotated[bool | None, Default(True, old=True)] = None
    """Whether to write report.html into the run folder at the end, a page with charts and findings (0.7 MB). Default:
    true."""
    log_file: Annotated[_Path | None, Default("actor_critic_training.log")] = None
    """The log file that commands append to. Default: "actor_critic_training.log"."""

    @model_validator(mode="wrap")
    @classmethod
    def _one_error_family(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            config = handler(as_json(data))
        except ValidationError as error:
            raise ConfigError(explain(error, cls.model_fields)) from None
        for name in _JSON_FIELDS:
            check_is_json(name, getattr(config, name))
        return config

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with some fields changed.

        Args:
            update: The changes.
            deep: Ignored; every copy is deep.

        Raises:
            ConfigError: A key is unknown, or a value has the wrong type or is out of range.
        """
        explicit = {name: value for name, value in self if value is not None or name in self.model_fields_set}
        return type(self)(**{**explicit, **(update or {})})

    def copy(self, *, include: Any = None, exclude: Any = None, update: Any = None, deep: bool = False) -> Self:
        """Return a copy with some fields included, excluded or changed (pydantic's older :meth:`model_copy`).

        Raises:
            ConfigError: A key is unknown, or a value has the wrong type or is out of range.
        """
        kept = self.model_dump(include=include, exclude=exclude, exclude_none=True)
        return type(self)(**{**kept, **(update or {})})

    @classmethod
    def model_construct(cls, _fields_set: set[str] | None = None, **values: Any) -> Self:  # type: ignore[override]
        """Call the constructor, so that every ``Config`` is validated.

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
        """Write a settings file for :meth:`load`; an existing file is replaced atomically."""
        write_durably(Path(path), self.to_json())

    def save_new(self, path: str | Path) -> bool:
        """Write a settings file unless the path exists; return whether it was written."""
        return create_exclusively(Path(path), self.to_json())

    def to_json(self) -> bytes:
        """Return an indented JSON document with every key."""
        return (json.dumps(self.model_dump(), indent=2, ensure_ascii=False) + "\n").encode()
