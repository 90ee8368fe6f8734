"""What the user says: every setting with its range, its unit and its meaning, documented beneath itself."""

import difflib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args, get_origin

import annotated_types
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, ValidationError, model_validator

from actor_critic.config.reading import MAX_DEPTH, read_json_object
from actor_critic.errors import ConfigError
from actor_critic.files import create_exclusively, write_durably
from actor_critic.seeding import MAX_SEED

RANDOM_STATES = "random-states"
MAX_ENVS = 65536
MAX_INPUT_DIM, MAX_OUTPUT_DIM = 2**31, 10**6

_Off = Literal["off"]

# Settings are kept inside other documents (a settings file, a checkpoint's header), which nest MAX_DEPTH deep at most.
_MAX_KWARGS_DEPTH = MAX_DEPTH - 8

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
_NonNegative = Annotated[float, Field(ge=0)]
_Fraction = Annotated[float, Field(ge=0, le=1)]
_Decay = Annotated[float, Field(ge=0, lt=1)]


class Config(BaseModel):
    """What a user asks for. ``None`` (null in the file) means: from the preset, or else the default.

    A ``Config`` is complete only once resolved (:func:`actor_critic.config.resolve.resolve`): flag > file > preset of
    (environment, algorithm) > default. Where "off" is allowed, it switches the feature off whatever the preset says.
    NumPy's numbers, truth values and texts, paths and tuples are taken as the JSON values that they stand for. A copy
    (``model_copy(update=...)``) is checked as a new one is.

    Raises:
        ConfigError: A key is unknown, or a value has the wrong type or is out of range.
    """

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    # --- the problem ---
    environment: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """What to learn: a Gymnasium id such as "CartPole-v1", "module:Id" to import the module that registers it first,
    or "random-states", the built-in problem of one decision per random state. Default: "random-states"."""
    environment_kwargs: dict[str, Any] | None = None
    """Keyword arguments for the environment's constructor, as a JSON object."""
    wrappers: list[_Class] | None = None
    """Gymnasium wrappers to apply, innermost first, each "module:Class" and called with the environment alone."""
    frame_stack: Annotated[int, Field(ge=1, le=64)] | None = None
    """How many of the latest observations the networks see together, in frames. Default: 1."""
    vectorization: Literal["auto", "sync", "shared", "workers", "native"] | None = None
    """How environments run side by side: "sync" (one after the other in this process), "shared" (in this process and
    others), "workers" (in others alone, so that one that crashes or hangs does so alone), all three to the same bits;
    "native" (the environment's own vector form, which a resumed run begins anew); or "auto": workers where
    ``max_worker_restarts`` has them replaced, shared with several ``workers``, else native where a trial shows the very
    same episodes, else sync. Default: "auto"."""
    workers: Annotated[int, Field(ge=1, le=1024)] | Literal["auto"] | None = None
    """Processes that environments run in, to the same bits for any number; "auto" measures which is fastest here when
    the run begins, a second for each number tried. Default: 1, or with vectorization "shared" or "workers" "auto"."""
    worker_timeout: Annotated[float, Field(gt=0, le=10**6)] | None = None
    """Seconds after which a worker that does not answer is killed and taken for dead; environments in this process are
    not watched. Default: 300."""
    max_worker_restarts: Annotated[int, Field(ge=0, le=10**6)] | None = None
    """How many workers, in all, are replaced when they die, their episodes replayed. Default: 0, any ends the run."""
    replay: Literal["auto", "reset", "fresh", "none"] | None = None
    """How running episodes are rebuilt when a run is resumed: "reset" (a reset with the episode's seed, and its
    actions), "fresh" (the same, and every episode has an instance made for it), "none" (new ones begin: a resumed run
    is not quite the one that was stopped), or "auto": the first that works in a trial of 32 short
    episodes before the run. Default: "auto"."""
    max_episode_steps: _Count | None = None
    """Truncate an episode after this many environment steps. Null: the environment's own limit."""
    input_dim: Annotated[int, Field(ge=1, le=MAX_INPUT_DIM)] | None = None
    """Numbers in a random state (default 10). With a named environment it comes from the observation space."""
    output_dim: Annotated[int, Field(ge=2, le=MAX_OUTPUT_DIM)] | None = None
    """Actions to choose from in a random state (default 2). With a named environment it comes from the action space
    (the number of logits)."""
    reward_model: _RewardModel | None = None
    """Where rewards come from: "environment" (its own), "linear" (the built-in model), or "module:Class", a RewardModel
    of yours. Default: "linear" for random states, else "environment"."""
    reward_model_kwargs: dict[str, Any] | None = None
    """Keyword arguments for the reward model's constructor, as a JSON object."""
    reward_mode: Literal["replace", "add", "shape"] | None = None
    """What a reward model does to the rewards of a named environment: "replace" them, "add" to them, or "shape" them by
    the differences of its potentials, which leaves the best policy what it was. Default: "replace"."""
    clip_rewards: _Positive | _Off | None = None
    """Clip every training reward to [-x, x], after the reward model and before normalisation. Default: off."""
    normalize_observations: bool | None = None
    """Scale observations by their running mean and standard deviation, clipped to ±10. Default: false."""
    normalize_rewards: bool | None = None
    """Divide training rewards by the running standard deviation of the discounted return. Default: false."""

    # --- the run ---
    algorithm: Literal["a2c", "ppo"] | None = None
    """Whose preset fills the settings left null: "a2c" (one unclipped step per epoch) or "ppo" (several clipped
    passes). Default: "a2c" for random states, else "ppo"."""
    preset: Literal["auto", "none"] | None = None
    """Whether a preset fills the settings left null: "auto" takes that of the environment and algorithm, or the
    algorithm's general one; "none" leaves the plain defaults. Default: "auto"."""
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] | None = None
    """The one source of randomness: same settings and seed, same bits. Default: 42."""
    num_envs: Annotated[int, Field(ge=1, le=MAX_ENVS)] | None = None
    """Environments stepped side by side. Default for random states: batch_size, as each is an episode of its own."""
    batch_size: Annotated[int, Field(ge=1, le=2**31)] | None = None
    """Transitions collected per epoch, = num_envs x num_steps. Default: 32.
    (Stable-Baselines3 gives this name to its minibatch; here that is batch_size / num_minibatches.)"""
    num_steps: Annotated[int, Field(ge=1, le=2**31)] | None = None
    """The other way to say batch_size: steps per environment and epoch."""
    num_epochs: _Count | None = None
    """Length of the run, in epochs of one collection and one update. Default: 100."""
    total_timesteps: _Count | None = None
    """The other way to say num_epochs: environment steps, rounded down to whole epochs."""
    target_return: float | None = None
    """Stop early once the mean return of the last 100 training episodes reaches this; or of all that ended in the last
    epoch, where these are more. It counts once no episode still runs that began before all of these."""
    max_hours: _Positive | None = None
    """Stop early, after the epoch in which this wall-clock time has passed, in hours."""
    init_from: _Path | None = None
    """Warm start: a checkpoint or run folder whose weights and normaliser (nothing else) the agent begins with."""

    # --- the networks ---
    encoder: _Encoder | None = None
    """What observations pass before the hidden layers: "auto" (images a CNN chosen by their size, all else flattened),
    "mlp" (everything flattened), "nature_cnn", "small_cnn" (images by that CNN), or "module:Class", a torch.nn.Module
    of yours that is called with the shapes of its input. Default: "auto"."""
    encoder_kwargs: dict[str, Any] | None = None
    """Keyword arguments for the constructor of an encoder of yours, as a JSON object."""
    embedding_dim: Annotated[int, Field(ge=1, le=2**16)] | _Off | None = None
    """UpdateResult numbers for each Discrete entry of an observation. Default: off, which shows it one-hot."""
    memory: Literal["gru", "lstm"] | _Off | None = None
    """A recurrent layer of hidden_dim units after the hidden layers; num_minibatches must then divide num_envs.
    Default: off."""
    hidden_dim: Annotated[int, Field(ge=1, le=2**24)] | None = None
    """Units in each hidden layer. Default: 256."""
    hidden_layers: Annotated[int, Field(ge=0, le=64)] | None = None
    """Hidden layers of each network; 0 makes it linear. Default: 2."""
    activation: Literal["tanh", "relu", "gelu", "silu", "elu"] | None = None
    """Nonlinearity after each hidden layer. Default: "tanh"."""
    shared_encoder: bool | None = None
    """Let policy and value share encoder, hidden layers and memory instead of having separate ones. Default: false."""

    # --- the update ---
    learning_rate: Annotated[float, Field(gt=0, le=1)] | None = None
    """Step size of Adam. Default: 0.0001."""
    anneal_lr: bool | None = None
    """Lower the learning rate linearly, from learning_rate in the first epoch towards 0 after the last.
    Default: false."""
    anneal_clip: bool | None = None
    """Lower clip_coef in the same way. Default: false."""
    anneal_ent: bool | None = None
    """Lower ent_coef in the same way. Default: false."""
    adam_beta1: _Decay | None = None
    """Decay of Adam's first moment. Default: 0.9."""
    adam_beta2: _Decay | None = None
    """Decay of Adam's second moment. Default: 0.999."""
    adam_epsilon: _Positive | None = None
    """Added to Adam's denominator. Default: 1e-8; the presets for named environments use 1e-5."""
    gamma: _Fraction | None = None
    """Discount per step: how much a reward one step later is worth. Default: 0.99."""
    gae_lambda: _Fraction | None = None
    """Trace decay of generalized advantage estimation: 0 is the one-step TD target, 1 the Monte-Carlo return.
    Default: 0.95."""
    update_epochs: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Passes over the batch per epoch. Default: 1."""
    num_minibatches: Annotated[int, Field(ge=1, le=2**31)] | None = None
    """Slices of the batch per pass, one optimizer step each; must divide batch_size. Default: 1."""
    clip_coef: _Positive | _Off | None = None
    """PPO's clip range for the probability ratio. "off" is the unclipped policy gradient of A2C; null means that only
    where the preset says so (a2c does; ppo says 0.2)."""
    clip_vloss: bool | None = None
    """Also clip the value's change by clip_coef, taking the larger of both errors. Default: false."""
    normalize_advantages: bool | None = None
    """Shift and scale advantages to mean 0 and deviation 1 within each minibatch. Default: false (ppo: true)."""
    ent_coef: _NonNegative | None = None
    """Weight of the entropy bonus. Default: 0."""
    vf_coef: _NonNegative | None = None
    """Weight of the value loss, which is half the mean squared error. Default: 0.5."""
    max_grad_norm: _Positive | _Off | None = None
    """Scale the gradient of both networks together down to this Euclidean norm. Default: 0.5."""
    target_kl: _Positive | _Off | None = None
    """Skip the rest of an epoch's steps once the approximate KL divergence exceeds 1.5 times this. Default: off."""

    # --- the machine and the records ---
    device: _Device | None = None
    """Where the networks live: "auto" (a CUDA GPU if there is one, else the CPU), "cpu", "cuda" or "cuda:1".
    Default: "auto"."""
    backend: Literal["auto", "eager", "fused"] | None = None
    """How the networks are executed: "eager" (PyTorch, one operation at a time), "fused" (the whole update in compiled
    code, for multilayer perceptrons and CNNs on the CPU), or "auto": fused where it is faster. The bits depend on it.
    Default: "auto"."""
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Threads that learn on the CPU. With the fused backend 2 let policy and value function learn side by side, to the
    same bits, which pays for CNNs, wide networks, large minibatches and an idle core (for an update of less than some
    hundred microseconds the other thread is not woken); with the eager one they are PyTorch's, and the bits depend on
    them. Networks that share an encoder learn on one thread, and so does Windows. Default: 1."""
    overlap: bool | None = None
    """Collect the next rollout while learning from this one, on another core, with a policy exactly one update old;
    the ratios correct for that, so it needs clip_coef. The bits depend on it, and on nothing that is timed. The actions
    of the running episodes are copied every epoch, which shows where episodes never end.
    Default: false."""
    checkpoint_interval: _Count | None = None
    """Epochs between checkpoints; the last epoch always has one. A crash costs the epochs since the last one.
    Default: num_epochs / 20, but 10 at least and 250 at most."""
    keep_checkpoints: Annotated[int, Field(ge=1, le=10**6)] | None = None
    """How many of the newest periodic checkpoints stay on disk, besides the best one. Default: 5."""
    on_checkpoint_error: Literal["stop", "continue"] | None = None
    """Where the disk refuses a checkpoint or the figures of an epoch: "stop" ends the run with an error, "continue"
    writes it to the log and trains on until the next checkpoint is due; the last one of a run must be written in either
    case. Default: "stop"."""
    evaluation_interval: _Count | _Off | None = None
    """Epochs between evaluations that choose the best checkpoint. Default: off (the best one is then the checkpoint
    with the highest mean training return, among those whose mean covers at least 100 episodes and is not one of short
    episodes alone, which end first; the last one where there is none such)."""
    evaluation_episodes: Annotated[int, Field(ge=1, le=10**6)] | None = None
    """Episodes per evaluation, for the greedy and for the sampled policy each. Default: 100 (random states: 1000)."""
    evaluation_max_steps: _Count | None = None
    """Steps after which an evaluation cuts an episode of an environment that has no limit of its own; the result says
    how many were cut. Default: 27000, the limit of Atari games."""
    log_file: _Path | None = None
    """The log that a command appends to. Default: "actor_critic_training.log"."""

    @model_validator(mode="wrap")
    @classmethod
    def _one_error_family(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            config = handler(_as_json(data))
        except ValidationError as error:
            raise ConfigError(_explain(error)) from None
        for name in ("environment_kwargs", "reward_model_kwargs", "encoder_kwargs"):
            _check_is_json(name, getattr(config, name))
        return config

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with some fields changed.

        Args:
            update: The changes.
            deep: Every copy is a deep one.

        Raises:
            ConfigError: A key is unknown, or a value has the wrong type or is out of range.
        """
        said = {name: value for name, value in self if value is not None or name in self.model_fields_set}
        return type(self)(**{**said, **(update or {})})

    def copy(self, *, include: Any = None, exclude: Any = None, update: Any = None, deep: bool = False) -> Self:
        """The former name of :meth:`model_copy`, with the fields to keep or to leave out.

        Raises:
            ConfigError: A key is unknown, or a value has the wrong type or is out of range.
        """
        kept = self.model_dump(include=include, exclude=exclude, exclude_none=True)
        return type(self)(**{**kept, **(update or {})})

    @classmethod
    def model_construct(cls, _fields_set: set[str] | None = None, **values: Any) -> Self:  # type: ignore[override]
        """The same as the constructor: no ``Config`` is made without being checked.

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
        """Write this as a settings file that :meth:`load` reads back equal; an existing file is replaced atomically."""
        write_durably(Path(path), self.to_json())

    def save_new(self, path: str | Path) -> bool:
        """Write this as a settings file unless one is there already; says whether it wrote."""
        return create_exclusively(Path(path), self.to_json())

    def to_json(self) -> bytes:
        """This as an indented JSON document with every key."""
        return (json.dumps(self.model_dump(), indent=2, ensure_ascii=False) + "\n").encode()


def allowed_values(name: str) -> str:
    """Say in words what field ``name`` of :class:`Config` accepts, such as "a number from 0 to 1"."""
    parts = [_describe(part) for part in _alternatives(Config.model_fields[name].annotation)]
    if constraints := Config.model_fields[name].metadata:
        parts[0] = _describe(Annotated[_alternatives(Config.model_fields[name].annotation)[0], *constraints])
    return " or ".join(parts)


def base_type(name: str) -> type:
    """The plain type of field ``name`` of :class:`Config`: bool, int, float, str, list or dict."""
    first = _alternatives(Config.model_fields[name].annotation)[0]
    if get_origin(first) is Annotated:
        first = get_args(first)[0]
    origin = get_origin(first)
    if origin is Literal:
        return str
    plain: type = origin or first
    return plain


def nearest(word: str, choices: list[str]) -> str:
    """A "did you mean" clause for a misspelt word, or nothing when no choice is near."""
    matches = difflib.get_close_matches(word, choices, n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(repr(match) for match in matches)}?" if matches else ""


def _alternatives(annotation: Any) -> list[Any]:
    """The members of a union, without None."""
    if get_origin(annotation) in (Literal, Annotated, list, dict) or not get_args(annotation):
        return [] if annotation is type(None) else [annotation]
    return [member for argument in get_args(annotation) for member in _alternatives(argument)]


def _describe(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return " or ".join(json.dumps(choice) for choice in get_args(annotation))
    if get_origin(annotation) is Annotated:
        kind, *metadata = get_args(annotation)
        return f"{_describe(kind)}{_describe_constraints(metadata)}"
    if get_origin(annotation) is list:
        return f"a list, each item {_describe(get_args(annotation)[0])}"
    if get_origin(annotation) is dict:
        return "a JSON object"
    return {bool: "true or false", int: "a whole number", float: "a finite number", str: "a text"}[annotation]


def _describe_constraints(metadata: list[Any]) -> str:
    flat = [item for entry in metadata for item in (getattr(entry, "metadata", None) or [entry])]
    examples = [example for entry in metadata for example in (getattr(entry, "examples", None) or [])]
    words = [f"such as {', '.join(json.dumps(example) for example in examples)}"] if examples else []
    for item in flat:
        match item:
            case annotated_types.Gt(gt):
                words.append(f"above {gt}")
            case annotated_types.Ge(ge):
                words.append(f"at least {ge}")
            case annotated_types.Lt(lt):
                words.append(f"below {lt}")
            case annotated_types.Le(le):
                words.append(f"at most {le}")
            case annotated_types.MaxLen(length):
                words.append(f"of at most {length} characters")
            case annotated_types.MinLen(length):
                words.append(f"of at least {length} character")
            case _ if not examples and (pattern := getattr(item, "pattern", None)):
                words.append(f"matching {pattern}")
    return (" " + " and ".join(words)) if words else ""


_MAX_CLAUSES = 20  # of an error; a document of nonsense would take for ever to explain


def _explain(error: ValidationError) -> str:
    """One line for all that is wrong with a document, a clause per field."""
    clauses: dict[str, str] = {}
    for problem in error.errors(include_url=False)[:_MAX_CLAUSES]:
        name = str(problem["loc"][0]) if problem["loc"] else ""
        if problem["type"] == "extra_forbidden":
            clauses[name] = f"unknown setting {_show(name)}{nearest(name, list(Config.model_fields))}"
        elif name in Config.model_fields:
            clauses[name] = f"{name}: {_show(problem['input'])} is not allowed; expected {allowed_values(name)}"
        else:
            clauses[name] = f"{_show(problem['input'])} is not a JSON object of settings"
    left = error.error_count() - _MAX_CLAUSES
    return "; ".join([*clauses.values(), *([f"and {left} more"] if left > 0 else [])])


def _as_json(value: Any, depth: int = 0) -> Any:
    """The JSON value that a value of Python's or NumPy's stands for; what stands for none is left to be refused."""
    if isinstance(value, (np.floating, np.integer, np.bool_, np.str_)):
        return float(value) if isinstance(value, np.floating) else value.item()
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return _as_json(value[()], depth)
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if depth > _MAX_KWARGS_DEPTH + 1:
        return value
    if isinstance(value, (list, tuple)):
        return [_as_json(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {str(k) if isinstance(k, np.str_) else k: _as_json(item, depth + 1) for k, item in value.items()}
    return value


def _show(value: Any) -> str:
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # more digits, or nested deeper, than Python itself prints
        text = "a value too large to show"
    kind = "" if isinstance(value, (int, float, str)) and not isinstance(value, bool) else f" ({type(value).__name__})"
    return (text if len(text) <= 60 else f"{text[:57]}...") + kind


def _check_is_json(name: str, value: Any, depth: int = 1) -> None:
    """Refuse what a JSON file could not hold, so that a run's settings can always be written and read back."""
    if depth > _MAX_KWARGS_DEPTH and isinstance(value, (list, dict)):
        raise ConfigError(f"{name} is nested too deeply; at most {_MAX_KWARGS_DEPTH} levels are allowed")
    match value:
        case None | bool():
            return
        case int() | float():
            if not abs(value) <= sys.float_info.max:
                raise ConfigError(
                    f"{name}: {_show(value)} is not allowed; every number must be finite (below 1.8e308 in size)"
                )
        case str():
            if any("\ud800" <= character <= "\udfff" for character in value):
                raise ConfigError(f"{name}: {value!r} holds half a surrogate pair, which is not valid Unicode")
        case list():
            for item in value:
                _check_is_json(name, item, depth + 1)
        case dict():
            for key, item in value.items():
                if not isinstance(key, str):
                    raise ConfigError(f"{name}: key {key!r} is not allowed; keys must be texts")
                _check_is_json(name, key)
                _check_is_json(name, item, depth + 1)
        case _:
            mend = "; write the array as a list: array.tolist()" if isinstance(value, np.ndarray) else ""
            raise ConfigError(f"{name}: {_show(value)} is not allowed; expected JSON values{mend}")
