"""Messages about settings: which values a field accepts, and what is wrong with a document."""

import difflib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args, get_origin

import annotated_types
from pydantic import ValidationError
from pydantic.fields import FieldInfo

OTHER_NAMES = {
    name: ours
    for ours, names in {
        "adam_epsilon": "adam_eps eps epsilon optimizer_eps optimizer_epsilon",
        "anneal_lr": "lr_schedule use_linear_lr_decay linear_lr_decay",
        "checkpoint_interval": "checkpoint_freq checkpoint_frequency save_freq save_interval",
        "clip_coef": "clip clip_eps clip_param clip_range clip_ratio clipping epsilon_clip eps_clip",
        "encoder": "cnn features_extractor features_extractor_class feature_extractor net_arch network policy_kwargs",
        "ent_coef": "entropy entropy_beta entropy_coef entropy_coeff entropy_coefficient",
        "environment": "env env_id env_name environment_id environment_name task",
        "environment_kwargs": "env_args env_config env_kwargs make_kwargs",
        "evaluation_episodes": "eval_episodes n_eval_episodes num_eval_episodes",
        "evaluation_interval": "eval_every eval_freq eval_frequency eval_interval evaluation_frequency",
        "gae_lambda": "gae lam lambda lambda_ td_lambda",
        "gamma": "discount discount_factor",
        "hidden_dim": "hidden hidden_size hidden_sizes hidden_units n_hidden num_hidden units",
        "hidden_layers": "depth n_layers num_layers",
        "learning_rate": "alpha lr optimizer_lr step_size",
        "logger": "tensorboard_log track use_wandb wandb",
        "max_episode_steps": "max_ep_len max_episode_length max_steps time_limit",
        "max_grad_norm": "clip_grad clip_grad_norm grad_clip grad_norm gradient_clip",
        "memory": "lstm gru recurrent rnn use_lstm use_rnn",
        "normalize_advantages": "norm_adv normalize_advantage",
        "normalize_observations": "norm_obs normalize normalize_obs obs_norm",
        "normalize_rewards": "norm_reward norm_rewards normalize_reward reward_normalization rew_norm",
        "num_envs": "n_envs num_environments number_of_envs vec_envs",
        "num_epochs": "epochs iterations num_iterations num_updates n_updates",
        "num_minibatches": "minibatches mini_batches n_minibatches nminibatches num_mini_batches minibatch_size",
        "num_steps": "horizon n_steps rollout_fragment_length rollout_length rollout_steps steps_per_env unroll_length",
        "reward_model": "reward reward_fn reward_function",
        "target_kl": "kl_target max_kl target_kl_div",
        "total_timesteps": "max_timesteps num_timesteps timesteps total_steps total_env_steps train_steps n_timesteps",
        "update_epochs": "k_epochs n_epochs num_sgd_iter ppo_epoch ppo_epochs repeat_per_collect sgd_epochs",
        "vf_coef": "critic_coef value_coef value_coeff value_loss_coef vf_coeff vf_loss_coeff",
        "video_interval": "capture_video record_video render_every render_freq video_freq video_frequency",
        "workers": "n_jobs n_workers num_env_runners num_processes num_workers",
        "wrappers": "env_wrapper wrapper wrapper_class",
    }.items()
    for name in names.split()
}
"""The names of settings in other libraries, and ours."""

_MAX_CLAUSES = 20  # per error; explaining a long invalid document would take minutes


def explain(error: ValidationError, fields: Mapping[str, FieldInfo]) -> str:
    """Describe all errors in a document of settings in one line, one clause per field.

    Args:
        error: The error of pydantic.
        fields: The fields of the model, by name.
    """
    clauses: dict[str, str] = {}
    for problem in error.errors(include_url=False)[:_MAX_CLAUSES]:
        name = str(problem["loc"][0]) if problem["loc"] else ""
        if problem["type"] == "extra_forbidden":
            clauses[name] = f"unknown setting {show(name)}{nearest(name, list(fields))}"
        elif name in fields:
            clauses[name] = f"{name}: {show(problem['input'])} is not allowed; expected {describe_field(fields[name])}"
        else:
            clauses[name] = f"{show(problem['input'])} is not a JSON object of settings"
    left = error.error_count() - _MAX_CLAUSES
    return "; ".join([*clauses.values(), *([f"and {left} more"] if left > 0 else [])])


def describe_field(field: FieldInfo) -> str:
    """Describe in words the values that a field accepts, such as "a finite number at least 0 and at most 1"."""
    first, *others = alternatives(field.annotation)
    constraints = _describe_constraints(field.metadata)
    return " or ".join([f"{_describe_type(first)}{constraints}", *map(_describe_type, others)])


def alternatives(annotation: Any) -> list[Any]:
    """Return the members of a union, without None."""
    if get_origin(annotation) in (Literal, Annotated, list, dict) or not get_args(annotation):
        return [] if annotation is type(None) else [annotation]
    return [member for argument in get_args(annotation) for member in alternatives(argument)]


def nearest(word: str, choices: list[str]) -> str:
    """Return a clause that names what a word probably means, or an empty string if no choice is similar."""
    plain = word.lower().replace("-", "_")
    if (ours := OTHER_NAMES.get(plain)) in choices:
        return f"; it is called {ours!r} here"
    matches = difflib.get_close_matches(word, choices, n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(repr(match) for match in matches)}?" if matches else ""


def show(value: Any) -> str:
    """Return a short text of a value for a message, with the type where the text alone is ambiguous."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # more digits or deeper nesting than Python prints
        text = "a value too large to show"
    kind = "" if isinstance(value, (int, float, str)) and not isinstance(value, bool) else f" ({type(value).__name__})"
    return (text if len(text) <= 60 else f"{text[:57]}...") + kind


def _describe_type(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return " or ".join(json.dumps(choice) for choice in get_args(annotation))
    if get_origin(annotation) is Annotated:
        kind, *metadata = get_args(annotation)
        return f"{_describe_type(kind)}{_describe_constraints(metadata)}"
    if get_origin(annotation) is list:
        return f"a list, each item {' or '.join(map(_describe_type, alternatives(get_args(annotation)[0])))}"
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
            case annotated_types.MaxLen(length) if not examples:
                words.append(f"of at most {length} characters")
            case annotated_types.MinLen(length) if not examples:
                words.append(f"of at least {length} character")
            case _ if not examples and (pattern := getattr(item, "pattern", None)):
                words.append(f"matching {pattern}")
    return (" " + " and ".join(words)) if words else ""
